"""Which trailers may leave, and in which order an app may send them."""

from __future__ import annotations

from typing import Any

import pytest

from bridge._protocol.head import head_from_asgi, head_from_wsgi
from bridge._protocol.trailers import TrailersCycle, asked_for, trailers_from_native
from bridge.errors import AppProtocolError


@pytest.mark.spec("H-23")
@pytest.mark.parametrize(
    ("te", "asked"),
    [
        ("trailers", True),
        ("gzip;q=0.5, Trailers ;x=1", True),
        ("", False),
        ("trailer", False),
        ("x;trailers", False),
    ],
)
def test_only_the_te_field_asks_for_trailers(te: str, asked: bool) -> None:
    assert asked_for(te) is asked


FORBIDDEN = ["Content-Length", "Transfer-Encoding", "Host", "Trailer", "TE", "Connection", "Set-Cookie"]
FORBIDDEN += [
    "Content-Type",
    "Content-Encoding",
    "Content-Range",
    "Authorization",
    "Cache-Control",
    "Location",
]
WRONG = [("X-A", "1\r\nX-B: 2"), ("X A", "1"), (":status", "200"), ("X-A", "\u0394"), ("X-A", 1), "X-A"]


@pytest.mark.spec("H-23", "E-25", "SEC-10")
@pytest.mark.parametrize("field", [*((name, "1") for name in FORBIDDEN), *WRONG], ids=str)
def test_what_may_not_follow_a_body_is_refused(field: Any) -> None:
    cycle = due()

    with pytest.raises(AppProtocolError):
        trailers_from_native([("X-Good", "1"), field])
    if isinstance(field, tuple) and str(field[1]).isascii():
        name, value = field[0].encode(), field[1] if isinstance(field[1], int) else field[1].encode()
        with pytest.raises(AppProtocolError):
            cycle.add([(b"x-good", b"1"), (name, value)], more=False)
        assert cycle.add([], more=False) == []


def due() -> TrailersCycle:
    cycle = TrailersCycle()
    cycle.announce()
    cycle.end_of_body()
    return cycle


@pytest.mark.spec("E-17")
def test_the_fields_of_all_events_leave_together() -> None:
    cycle = due()

    assert cycle.add([(b"X-A", b"1")], more=True) is None
    assert cycle.add([(b"x-b", b"2")], more=False) == [(b"x-a", b"1"), (b"x-b", b"2")]
    with pytest.raises(AppProtocolError):
        cycle.add([], more=False)


@pytest.mark.spec("E-17")
@pytest.mark.parametrize("announced", [False, True])
def test_trailers_before_the_end_of_the_body_raise(announced: bool) -> None:
    cycle = TrailersCycle()
    if announced:
        cycle.announce()

    with pytest.raises(AppProtocolError):
        cycle.add([], more=False)
    assert (cycle.announced, cycle.due) == (announced, False)


@pytest.mark.spec("E-17")
@pytest.mark.parametrize("fields", ["x-a", b"x-a", 7, None, [7], [("x-a", "1")]])
def test_headers_that_are_no_pairs_of_bytes_raise(fields: Any) -> None:
    with pytest.raises(AppProtocolError):
        due().add(fields, more=False)


@pytest.mark.spec("H-13")
@pytest.mark.parametrize("offered", [False, True])
def test_a_trailer_field_leaves_only_where_trailers_are_offered(offered: bool) -> None:
    from_wsgi = head_from_wsgi("200 OK", [("Trailer", "X-A"), ("TE", "x")], "GET", trailers=offered)
    from_asgi = head_from_asgi(200, [(b"trailer", b"X-A"), (b"te", b"x")], "GET", trailers=offered)

    for head in (from_wsgi, from_asgi):
        assert head.headers == ([(b"trailer", b"X-A")] if offered else [])
        assert head.announces is offered
        assert head.dropped == ((b"te",) if offered else (b"trailer", b"te"))
