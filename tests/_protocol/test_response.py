from __future__ import annotations

import wsgiref.validate
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge._protocol import response
from bridge._protocol.head import Head, head_from_asgi, head_from_wsgi
from bridge._protocol.response import ResponseCycle, State
from bridge.errors import AppProtocolError
from tests._protocol.docstring_tables import transitions
from tests._protocol.strategies import LAW

check_status = wsgiref.validate.check_status  # type: ignore[attr-defined]  # not in its type stubs

TABLE = transitions(response.__doc__)
LENGTH = (b"content-length", b"5")
LENGTH = (b"content-length", b"5")


def wsgi_head(status: str, *fields: tuple[str, str], method: str = "GET") -> Head:
    """Give the head of a WSGI app that calls start_response so."""
    return head_from_wsgi(status, list(fields), method)


def ok_of(length: int | None = None) -> Head:
    """Give a plain 200, with a Content-Length if there is one."""
    return head_from_asgi(200, [] if length is None else [(b"content-length", b"%d" % length)], "GET")


def held(head: Head) -> ResponseCycle:
    """Give a cycle that holds this head back."""
    cycle = ResponseCycle()
    cycle.start(head)
    return cycle


def refused() -> ResponseCycle:
    cycle = ResponseCycle()
    cycle.refuse()
    return cycle


def streaming() -> ResponseCycle:
    cycle = held(ok_of())
    cycle.data(b"x")
    return cycle


def done() -> ResponseCycle:
    cycle = streaming()
    cycle.end()
    return cycle


REACH = {
    "IDLE": ResponseCycle,
    "REFUSED": refused,
    "HELD": lambda: held(ok_of()),
    "STREAMING": streaming,
    "DONE": done,
}
Event: TypeAlias = "tuple[str, Head | bytes]"


def take(cycle: ResponseCycle, event: Event) -> bytes:
    """Feed one event and give what may leave."""
    name, argument = event
    if isinstance(argument, Head):
        cycle.start(argument, replace=name == "restart")
    elif name == "data":
        return cycle.data(argument)
    elif name == "end":
        cycle.end()
    else:
        cycle.refuse()
    return b""


def test_the_table_of_the_docstring_is_the_one_that_is_used() -> None:
    shown = {
        (State[state], event): State[following]
        for (state, event), following in TABLE.items()
        if following is not None
    }

    assert shown == response._NEXT
    assert {state for state, _ in TABLE} == {state.name for state in State} == set(REACH)


@pytest.mark.spec("W-34", "W-35", "W-40", "A-24", "D-02")
@pytest.mark.parametrize(("state", "event"), TABLE, ids="-".join)
def test_each_cell_of_the_table_holds(state: str, event: str) -> None:
    cycle = REACH[state]()
    before, following = cycle.head, TABLE[state, event]
    argument = ok_of() if event.endswith("start") else b"y"

    if following is None:
        with pytest.raises(AppProtocolError):
            take(cycle, (event, argument))
        assert cycle.head is before
    else:
        take(cycle, (event, argument))

    assert cycle.state.name == (following or state)


@pytest.mark.spec("W-34")
@pytest.mark.parametrize("state", sorted(REACH.keys() - {"IDLE"}))
def test_a_refused_start_matters_only_while_nothing_has_begun(state: str) -> None:
    cycle = REACH[state]()

    cycle.refuse()

    assert cycle.state.name == state


@pytest.mark.spec("W-35")
def test_a_restart_replaces_the_whole_head() -> None:
    first, second = wsgi_head("200 OK", ("A", "1")), wsgi_head("500 Oops", ("B", "2"))
    cycle = held(first)

    cycle.start(second, replace=True)

    assert cycle.head is cycle.held is second


@pytest.mark.spec("W-38")
def test_a_head_is_held_back_until_the_first_block() -> None:
    cycle = held(ok_of())

    assert not cycle.committed
    cycle.data(b"x")
    assert cycle.committed


@pytest.mark.spec("W-40")
def test_there_is_no_head_before_the_start() -> None:
    with pytest.raises(AppProtocolError, match="before it started"):
        _ = ResponseCycle().held


@pytest.mark.spec("W-56")
def test_a_block_is_cut_where_the_length_ends() -> None:
    cycle = held(ok_of(3))

    assert cycle.data(b"hello") == b"hel"
    assert cycle.full
    assert cycle.excess
    assert cycle.data(b"more") == b""
    cycle.end()


@pytest.mark.spec("W-56")
def test_a_body_of_just_its_length_is_no_excess() -> None:
    cycle = held(ok_of(3))

    assert cycle.data(b"hel") == b"hel"
    assert cycle.full
    cycle.end()
    assert not cycle.excess


@pytest.mark.spec("W-57", "H-26", "SEC-11")
@pytest.mark.parametrize("blocks", [[], [b"hello"], [b"hel", b"lo wor"]], ids=len)
def test_a_body_that_is_too_short_has_no_end(blocks: list[bytes]) -> None:
    cycle = held(ok_of(11))
    for block in blocks:
        cycle.data(block)
    state = cycle.state

    with pytest.raises(AppProtocolError, match="of 11 bytes"):
        cycle.end()

    assert cycle.state is state
    assert not cycle.full


@pytest.mark.spec("D-02", "A-25")
def test_what_comes_after_the_end_is_ignored() -> None:
    cycle = done()

    assert cycle.data(b"late") == b""
    cycle.end()

    assert cycle.excess
    assert cycle.done


@pytest.mark.spec("W-56", "W-57")
@pytest.mark.parametrize(
    ("size", "last", "error"),
    [
        (4, False, "longer"),
        (4, True, "longer"),
        (3, False, None),
        (3, True, None),
        (2, False, None),
        (2, True, "ended after"),
    ],
)
def test_a_block_can_be_checked_before_it_is_taken(size: int, last: bool, error: str | None) -> None:
    cycle = held(ok_of(5))
    cycle.data(b"xy")

    if error is None:
        cycle.check(size, last=last)
    else:
        with pytest.raises(AppProtocolError, match=error):
            cycle.check(size, last=last)

    assert cycle.data(b"123") == b"123"


@pytest.mark.parametrize(
    "cycle", [ResponseCycle(), held(ok_of()), held(head_from_asgi(200, [LENGTH], "HEAD"))]
)
def test_without_a_length_to_keep_any_block_passes_the_check(cycle: ResponseCycle) -> None:
    cycle.check(10**9, last=True)


# ---------------------------------------------------------------- laws

heads = st.builds(
    head_from_asgi,
    st.sampled_from([200, 200, 200, 204, 205, 304, 404]),
    st.sampled_from([[], [LENGTH], [(b"content-length", b"0")], [(b"content-length", b"9")]]),
    st.sampled_from(["GET", "GET", "HEAD", "CONNECT"]),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.tuples(st.sampled_from(["start", "restart"]), heads),
    st.tuples(st.just("data"), st.binary(min_size=1, max_size=6)),
    st.tuples(st.just("data"), st.binary(min_size=1, max_size=6)),
    st.tuples(st.sampled_from(["end", "refuse"]), st.just(b"")),
)
begun = st.tuples(st.tuples(st.just("start"), heads), st.lists(events, max_size=10)).map(
    lambda pair: [pair[0], *pair[1]]
)


def seen(cycle: ResponseCycle) -> tuple[object, ...]:
    """Give all that can be seen of a cycle."""
    return cycle.state, cycle.head, cycle.excess, cycle.full, cycle.committed, cycle.done


@pytest.mark.spec("W-34", "W-35", "W-56", "W-57", "H-01", "H-03", "H-26", "A-24", "A-25", "D-02")
@LAW
@given(begun | st.lists(events, max_size=10))
@example(
    [("start", ok_of(5)), ("data", b"abc"), ("end", b""), ("data", b"defg"), ("end", b""), ("data", b"x")]
)
def test_no_sequence_sends_two_heads_or_a_byte_too_many(sequence: list[Event]) -> None:
    cycle, left, sent = ResponseCycle(), list[Head | None](), b""

    for event in sequence:
        before, was_committed, was_done = seen(cycle), cycle.committed, cycle.done
        try:
            block = take(cycle, event)
        except AppProtocolError:
            assert seen(cycle) == before
            continue
        assert not (block and was_done)
        sent += block
        if cycle.committed and not was_committed:
            left.append(cycle.head)

    head = cycle.head
    assert left == ([head] if cycle.committed else [])
    assert not (sent and not cycle.committed)
    if head is not None and head.bodiless:
        assert sent == b""
    elif head is not None and head.length is not None:
        assert len(sent) <= head.length
        assert cycle.full == (len(sent) == head.length)
        assert not cycle.done or cycle.full


@pytest.mark.spec("W-56", "H-31")
@LAW
@given(st.lists(st.binary(min_size=1, max_size=6), max_size=6), st.none() | st.integers(0, 20))
def test_what_leaves_is_the_beginning_of_what_came(blocks: list[bytes], length: int | None) -> None:
    cycle = held(ok_of(length))

    sent = b"".join([cycle.data(block) for block in blocks])

    assert sent == b"".join(blocks)[:length]
    assert cycle.excess == (len(sent) < len(b"".join(blocks)))
