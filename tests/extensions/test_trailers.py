"""Trailers: `http.response.trailers` of an ASGI app, `gunicorn.http2.send_trailers` of a WSGI app."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import pytest

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.errors import AppProtocolError
from bridge.types import Environ, Message, Scope, StartResponse
from tests.contract.asgi_specimens import body, bridged, catching, recording, sending, start
from tests.contract.wsgi_specimens import hello
from tests.extensions.http2 import http2_get
from tests.extensions.trailing_apps import BLOCKS
from tests.support.asgi import Exchange, get, http_scope
from tests.support.servers import serve
from tests.support.wsgi import Answer, call, make_environ

TRAILERS = "http.response.trailers"
KEY = "gunicorn.http2.send_trailers"
TE = [(b"te", b"trailers")]
LAST = {"type": TRAILERS, "headers": [(b"x-a", b"1")]}

Named = list[tuple[str, str]]


def announced(*headers: tuple[bytes, bytes]) -> Message:
    return {**start(200, *headers), "trailers": True}


# ---------------------------------------------------------------- an ASGI app


def with_trailers(app: Any, te: str = "trailers", **options: Any) -> tuple[list[Named], Answer]:
    taken: list[Named] = []
    environ = make_environ(HTTP_TE=te, **options)
    environ[KEY] = taken.append
    return taken, call(bridged(app), environ)


@pytest.mark.spec("E-17", "H-23")
def test_trailers_reach_the_server_after_the_whole_body() -> None:
    events = [announced((b"trailer", b"x-a")), body(b"one", more=True), body(b"two")]
    more = {"type": TRAILERS, "headers": [(b"x-b", b"2")], "more_trailers": True}
    taken, answer = with_trailers(sending(*events, more, LAST))

    assert taken == [[], [("X-B", "2"), ("X-A", "1")]]  # the first announces
    assert answer.blocks[:2] == [b"one", b"two"]
    assert answer.headers["Trailer"] == "x-a"


@pytest.mark.spec("H-23")
@pytest.mark.parametrize(("te", "method"), [("", "GET"), ("gzip", "GET"), ("trailers", "HEAD")])
def test_a_client_that_cannot_take_trailers_gets_none(te: str, method: str) -> None:
    taken, answer = with_trailers(sending(announced(), body(b"ok"), LAST), te=te, REQUEST_METHOD=method)

    assert (taken, answer.body) == ([[]], b"" if method == "HEAD" else b"ok")


@pytest.mark.spec("E-17")
@pytest.mark.parametrize("offer", [None, "not callable"])
def test_trailers_are_offered_only_where_the_server_takes_them(offer: object) -> None:
    scopes: list[Scope] = []
    environ = make_environ(HTTP_TE="trailers")

    call(bridged(recording(scopes)), {**environ, KEY: offer})
    call(bridged(recording(scopes)), {**environ, KEY: print})

    assert [TRAILERS in scope["extensions"] for scope in scopes] == [False, True]


@pytest.mark.spec("E-17", "E-25")
@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([start(), LAST, body(b"ok")], 1),
        ([announced(), LAST, body(b"ok"), LAST], 1),
        ([announced(), body(b"ok"), {"type": TRAILERS, "headers": [(b"host", b"x")]}, LAST], 1),
        ([announced((b"content-length", b"2")), body(b"not ok"), body(b"ok"), LAST], 1),
        ([announced(), {"type": "http.response.pathsend", "path": __file__}, body(b"ok"), LAST], 1),
        ([announced(), body(b"ok"), body(b"more"), LAST, body(b"more"), LAST, start()], 0),  # D-02
    ],
    ids=["unannounced", "before the body", "forbidden", "too long", "with a file", "after the end"],
)
def test_what_is_wrong_raises_in_the_app_which_may_go_on(events: list[Message], wrong: int) -> None:
    errors: list[Exception] = []

    _, answer = with_trailers(catching(errors, *events), wsgi__file_wrapper=list)

    assert [type(error) for error in errors] == [AppProtocolError] * wrong
    assert answer.body == b"ok"


@pytest.mark.spec("E-17")
def test_an_app_that_ends_without_the_trailers_it_announced_has_not_ended() -> None:
    with pytest.raises(AppProtocolError, match="in the middle"):
        with_trailers(sending(announced(), body(b"ok")))


# ---------------------------------------------------------------- a WSGI app


def trailing(
    before: Callable[[Any], None], after: Callable[[Any], None], *headers: tuple[str, str]
) -> WSGIToASGI:
    """Make an app that does something before its start, and after its last block."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        before(environ[KEY])
        start_response("200 OK", [("Content-Length", "6"), *headers])
        yield b"one"
        yield b"two"
        after(environ[KEY])

    return WSGIToASGI(app)


async def offered(app: WSGIToASGI, headers: Any = TE, **keys: Any) -> Exchange:
    return await get(app, headers=headers, extensions={TRAILERS: {}}, **keys)


def nothing(send_trailers: Any) -> None:
    """Say nothing."""


def say(name: str = "X-A", value: str = "1") -> Callable[[Any], None]:
    return lambda send_trailers: send_trailers([(name, value)])


@pytest.mark.spec("E-17", "H-23")
@pytest.mark.parametrize(
    "app",
    [trailing(say(), nothing), trailing(say("X-B"), say(), ("Trailer", "X-A"))],
    ids=["before the start", "after the body"],
)
async def test_trailers_of_a_wsgi_app_follow_its_body(app: WSGIToASGI) -> None:
    exchange = await offered(app)

    assert exchange.sent[0]["trailers"] is True
    assert exchange.sent[-1] == {"type": TRAILERS, "headers": [(b"x-a", b"1")], "more_trailers": False}
    assert exchange.sent[-2]["more_body"] is False
    assert exchange.body == b"onetwo"


@pytest.mark.spec("H-23")
@pytest.mark.parametrize(("headers", "method"), [([], "GET"), (TE, "HEAD")])
async def test_trailers_of_a_wsgi_app_go_to_no_client_that_cannot_take_them(
    headers: Any, method: str
) -> None:
    exchange = await offered(trailing(say(), say(), ("Trailer", "X-A")), headers, method=method)

    assert "trailers" not in exchange.sent[0]
    assert exchange.sent[-1]["type"] == "http.response.body"


@pytest.mark.spec("E-17")
async def test_the_key_is_absent_where_the_server_offers_nothing() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"%d" % (KEY in environ)]

    assert (await get(WSGIToASGI(app), headers=TE)).body == b"0"


@pytest.mark.spec("E-17")
async def test_an_app_that_says_nothing_of_trailers_has_none() -> None:
    exchange = await offered(WSGIToASGI(hello))

    assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
    assert "trailers" not in exchange.sent[0]


@pytest.mark.spec("E-17", "E-25")
async def test_trailers_that_are_too_late_or_wrong_raise_in_the_app() -> None:
    errors: list[str] = []

    def wrong(send_trailers: Any) -> None:
        for field in (("X-A", "1"), ("Content-Length", "1"), ("X-A", "1\r\n")):
            try:
                send_trailers([field])
            except AppProtocolError as exc:
                errors.append(str(exc))

    exchange = await offered(trailing(nothing, wrong))

    # The last byte of its Content-Length was the end: it is not called again.
    assert (exchange.body, errors) == (b"onetwo", [])
    unsized = await offered(WSGIToASGI(_unsized(wrong)))
    assert unsized.body == b"one"
    assert len(errors) == 3
    assert "not announced" in errors[0]


def _unsized(after: Callable[[Any], None]) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"one"
        after(environ[KEY])

    return app


@pytest.mark.spec("E-17")
async def test_an_app_that_announced_trailers_and_sent_none_has_not_ended() -> None:
    exchange = Exchange()

    with pytest.raises(AppProtocolError, match="sent none"):
        await exchange.run(
            trailing(nothing, nothing, ("Trailer", "X-A")),
            http_scope(headers=TE, extensions={TRAILERS: {}}),
        )
    assert exchange.sent[-1]["more_body"] is True


@pytest.mark.spec("E-17", "W-35")
async def test_an_error_page_has_no_trailers_of_the_page_it_replaces() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Trailer", "X-A")])
        environ[KEY]([("X-A", "1")])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"oops"]

    exchange = await offered(WSGIToASGI(app))

    assert "trailers" not in exchange.sent[0]
    assert exchange.sent[-1]["type"] == "http.response.body"


# ---------------------------------------------------------------- over real servers

H2 = ["--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge"]


@pytest.mark.spec("E-17", "H-23")
@pytest.mark.parametrize(
    ("kind", "app", "options"),
    [
        ("gunicorn-gthread", "asgi_bridged", H2),
        ("gunicorn-gevent", "asgi_bridged", H2),
        ("gunicorn-sync", "wsgi_bridged", [*H2, "--worker-class", "asgi"]),
        ("hypercorn", "wsgi_bridged", []),
    ],
    ids=["ASGI under gthread", "ASGI under gevent", "WSGI under gunicorn's asgi", "WSGI under hypercorn"],
)
def test_a_client_of_http_2_gets_the_trailers_it_asked_for(kind: str, app: str, options: list[str]) -> None:
    digest = sha256(b"".join(BLOCKS)).hexdigest().encode()
    with serve(kind, f"tests.extensions.trailing_apps:{app}", *options) as server:
        with server.connect() as sock:
            asked = http2_get(sock, "/", ("te", "trailers"))
        with server.connect() as sock:
            without = http2_get(sock, "/")
        with server.connect() as sock:
            head = http2_get(sock, "/", ("te", "trailers"), method="HEAD")
        if kind != "hypercorn":  # 0.18 leaves a stream open whose app failed
            with server.connect() as sock:
                forgotten = http2_get(sock, "/forgets", ("te", "trailers"))
            assert not forgotten.ended

    assert (asked.body, asked.trailers, asked.ended) == (b"one two three", [(b"x-digest", digest)], True)
    assert dict(asked.heads[0])[b"trailer"].lower() == b"x-digest"
    assert (without.body, without.trailers, without.ended) == (b"one two three", None, True)
    assert (head.body, head.trailers, head.ended) == (b"", None, True)


@pytest.mark.spec("E-17")
async def test_trailers_cross_two_bridges() -> None:
    inner = ASGIToWSGI(sending(announced(), body(b"ok"), LAST), lifespan="off")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return inner(environ, start_response)

    exchange = await offered(WSGIToASGI(app))

    assert (exchange.sent[0]["trailers"], exchange.body) == (True, b"ok")
    assert exchange.sent[-1] == {"type": TRAILERS, "headers": [(b"x-a", b"1")], "more_trailers": False}
