from __future__ import annotations

import pytest

from bridge._protocol import listening
from bridge._protocol.listening import Listening
from tests._protocol.docstring_tables import transitions

TABLE = transitions(listening.__doc__)
ATTRIBUTES = {
    "read": "when_read",
    "watch": "when_watched",
    "outlive": "when_outlived",
    "ask": "when_asked",
    "end": "when_ended",
}
LAST = {Listening.DEAF, Listening.CLOSED, Listening.LOST}
SPARING = {Listening.SPARED, Listening.OUTLIVED, Listening.TIMED}


def after(state: Listening, *events: str) -> Listening:
    """Give the state that these events lead to."""
    for event in events:
        state = getattr(state, f"when_{event}")
    return state


def everywhere(state: Listening) -> set[Listening]:
    """Give all the states that anything can lead to."""
    found, new = {state}, {state}
    while new:
        new = {after(one, event) for one in new for event in EVENTS} - found
        found |= new
    return found


EVENTS = [name.removeprefix("when_") for name in Listening.__annotations__ if name.startswith("when_")]


@pytest.mark.parametrize(("state", "event"), TABLE, ids="-".join)
def test_each_cell_of_the_table_holds(state: str, event: str) -> None:
    assert getattr(Listening[state], ATTRIBUTES[event]).name == TABLE[state, event]


def test_the_table_shows_every_state() -> None:
    assert {(state.name, event) for state in Listening for event in ATTRIBUTES} == TABLE.keys()


@pytest.mark.spec("W-51", "D-07")
@pytest.mark.parametrize("state", SPARING, ids=lambda state: state.name)
@pytest.mark.parametrize("event", ["outlived", "asked"])
def test_who_waits_for_100_continue_is_spared_by_what_only_takes_its_time(
    state: Listening, event: str
) -> None:
    assert after(state, event) in SPARING


@pytest.mark.spec("W-51")
@pytest.mark.parametrize("state", SPARING, ids=lambda state: state.name)
@pytest.mark.parametrize("event", ["read", "watched"])
def test_who_waits_for_100_continue_is_spared_no_more_once_the_app_reads_or_streams(
    state: Listening, event: str
) -> None:
    assert after(state, event).pulled


@pytest.mark.spec("W-51", "AA-12")
@pytest.mark.parametrize(
    "events", [("outlived", "read"), ("outlived", "asked", "read"), ("read", "outlived"), ("asked", "read")]
)
def test_what_has_outlived_its_grace_is_watched_as_soon_as_that_sends_nothing(
    events: tuple[str, ...],
) -> None:
    assert after(Listening.SPARED, *events).watched


@pytest.mark.spec("D-07")
def test_a_body_that_is_only_read_is_pulled_to_its_end_and_no_further() -> None:
    assert after(Listening.UNASKED, "read").pulled
    assert after(Listening.UNASKED, "read", "ended") is Listening.ENDED
    assert not Listening.ENDED.pulled and not after(Listening.ENDED, "read").pulled


@pytest.mark.spec("AA-12", "D-07")
@pytest.mark.parametrize(
    "events", [("watched", "ended"), ("read", "watched", "ended"), ("read", "ended", "watched")]
)
def test_a_client_that_is_watched_is_watched_beyond_the_end_of_its_body(events: tuple[str, ...]) -> None:
    assert after(Listening.UNASKED, *events) is Listening.LISTENING


@pytest.mark.spec("AA-16")
@pytest.mark.parametrize("event", ["read", "watched", "outlived", "asked"])
def test_nobody_else_receives_while_the_task_of_the_request_does(event: str) -> None:
    assert after(Listening.FETCHING, event) is Listening.FETCHING and not Listening.FETCHING.pulled


@pytest.mark.spec("AA-16")
@pytest.mark.parametrize("state", LAST, ids=lambda state: state.name)
def test_nothing_is_received_after_the_last_event(state: Listening) -> None:
    assert everywhere(state) <= LAST
    assert not any(later.pulled or later.coming for later in everywhere(state))


@pytest.mark.spec("W-30")
@pytest.mark.parametrize("state", Listening, ids=lambda state: state.name)
def test_every_state_has_an_end(state: Listening) -> None:
    assert after(state, "closed").over and after(state, "lost").over
    assert after(state, "failed") in LAST


@pytest.mark.parametrize("first", ["closed", "lost"])
@pytest.mark.parametrize("then", ["closed", "lost", "failed"])
def test_a_request_ends_in_one_way(first: str, then: str) -> None:
    """What was complete was not cut short, whoever leaves later; what was cut short is not complete."""
    over = after(Listening.WATCHING, first)

    assert after(over, then) is over


@pytest.mark.parametrize("state", Listening, ids=lambda state: state.name)
def test_a_client_that_is_watched_is_pulled_from(state: Listening) -> None:
    assert state.pulled or not state.watched
