from __future__ import annotations

import re

import pytest

from bridge._protocol import lifespan
from bridge._protocol.lifespan import LifespanCycle, LifespanState
from bridge.errors import AppProtocolError
from tests._protocol.docstring_tables import transitions

TABLE = transitions(lifespan.__doc__)
TERMINAL = {LifespanState.UNSUPPORTED, LifespanState.FAILED, LifespanState.DEAD, LifespanState.STOPPED}


def started() -> LifespanCycle:
    cycle = LifespanCycle()
    cycle.sent({"type": "lifespan.startup.complete"})
    return cycle


def stopping() -> LifespanCycle:
    cycle = started()
    cycle.stop()
    return cycle


REACH = {"STARTING": LifespanCycle, "RUNNING": started, "STOPPING": stopping}


def test_the_table_of_the_docstring_is_the_one_that_is_used() -> None:
    shown = {
        (LifespanState[state], f"lifespan.{event}"): LifespanState[following]
        for (state, event), following in TABLE.items()
        if following is not None and event not in ("returns", "raises")
    }
    left = {LifespanState[state]: TABLE[state, "returns"] for state, event in TABLE if event == "returns"}

    assert shown == lifespan._NEXT
    assert left == {state: following.name for state, following in lifespan._LEFT.items()}
    assert {state for state, _ in TABLE} == set(REACH)


def test_the_docstring_names_the_terminal_states() -> None:
    names = re.search(r"^ +((?:[A-Z]+, )+[A-Z]+): nothing more", lifespan.__doc__ or "", re.MULTILINE)

    assert names is not None
    assert {LifespanState[name] for name in names[1].split(", ")} == TERMINAL
    assert {LifespanState[state] for state, _ in TABLE} | TERMINAL == set(LifespanState)


@pytest.mark.spec("L-10")
@pytest.mark.parametrize(("state", "event"), TABLE, ids="-".join)
def test_each_cell_of_the_table_holds(state: str, event: str) -> None:
    cycle = REACH[state]()
    following = TABLE[state, event]

    if event in ("returns", "raises"):
        cycle.left(ValueError() if event == "raises" else None)
    elif following is None:
        with pytest.raises(AppProtocolError, match=event):
            cycle.sent({"type": f"lifespan.{event}"})
    else:
        cycle.sent({"type": f"lifespan.{event}"})

    assert cycle.state.name == (following or state)


@pytest.mark.spec("L-10")
@pytest.mark.parametrize(
    "message",
    [{}, {"type": None}, {"type": ["x"]}, {"type": "lifespan.startup"}, {"type": "http.response.start"}],
    ids=["no type", "None", "a list", "the server's own", "of http"],
)
@pytest.mark.parametrize("state", REACH)
def test_an_unknown_event_raises_and_changes_nothing(state: str, message: dict[str, object]) -> None:
    cycle = REACH[state]()

    with pytest.raises(AppProtocolError):
        cycle.sent(message)

    assert cycle.state is LifespanState[state]


@pytest.mark.parametrize("state", sorted(TERMINAL, key=str), ids=str)
def test_an_end_in_a_terminal_state_changes_nothing(state: LifespanState) -> None:
    cycle = LifespanCycle()
    cycle.state = state

    cycle.left(ValueError())

    assert cycle.state is state
    assert not cycle.stop()


def test_an_app_that_raises_at_the_start_does_not_support_lifespan() -> None:
    cycle = LifespanCycle()
    error = RuntimeError("no lifespan here")

    cycle.left(error)

    assert cycle.state is LifespanState.UNSUPPORTED
    assert cycle.error is error
    assert cycle.started


@pytest.mark.parametrize("reach", [LifespanCycle, started], ids=["before it answered", "while running"])
def test_requests_are_served_after_an_app_returned_early(reach: type[LifespanCycle]) -> None:
    cycle = reach()

    cycle.left()

    assert cycle.started
    assert not cycle.stop()


def test_an_app_that_died_while_running_gets_no_shutdown() -> None:
    cycle = started()

    cycle.left(ValueError())

    assert cycle.state is LifespanState.DEAD
    assert cycle.started
    assert not cycle.stop()


@pytest.mark.parametrize(
    ("more", "message"),
    [({"message": "db"}, "db"), ({}, ""), ({"message": None}, "")],
    ids=["with message", "without", "None"],
)
def test_a_failed_startup_keeps_its_message_and_serves_nothing(more: dict[str, object], message: str) -> None:
    cycle = LifespanCycle()

    cycle.sent({"type": "lifespan.startup.failed", **more})

    assert cycle.state is LifespanState.FAILED
    assert cycle.message == message
    assert not cycle.started


def test_a_failed_shutdown_keeps_its_message_and_is_the_end() -> None:
    cycle = stopping()

    cycle.sent({"type": "lifespan.shutdown.failed", "message": "x"})

    assert cycle.state is LifespanState.STOPPED
    assert cycle.message == "x"


def test_nothing_is_served_before_the_startup_is_complete() -> None:
    cycle = LifespanCycle()

    assert not cycle.started
    cycle.sent({"type": "lifespan.startup.complete"})
    assert cycle.started


def test_a_shutdown_begins_once() -> None:
    cycle = started()

    assert cycle.stop()
    assert not cycle.stop()
