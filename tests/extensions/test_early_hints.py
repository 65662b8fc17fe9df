"""Early hints: `wsgi.early_hints` of a WSGI app, `http.response.early_hint` of an ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bridge import WSGIToASGI
from bridge.errors import AppProtocolError
from bridge.types import Environ, Scope, StartResponse
from tests.contract.asgi_specimens import body, bridged, catching, recording, sending, start
from tests.extensions.apps import LINK
from tests.extensions.http2 import http2_get
from tests.servers.wire import head, recv_until
from tests.support.asgi import get
from tests.support.servers import serve
from tests.support.wsgi import call

EARLY_HINT = "http.response.early_hint"
OFFER: dict[str, Any] = {"extensions": {EARLY_HINT: {}}}
LINKS = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
HINT = {"type": EARLY_HINT, "links": LINKS}

Hints = Callable[[list[tuple[str, str]]], None]


def hinting(before: Callable[[Hints], None], after: Callable[[Hints], None] | None = None) -> WSGIToASGI:
    """Make an app that hints before its start, and after its first block."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        before(environ["wsgi.early_hints"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        if after is not None:
            after(environ["wsgi.early_hints"])
        yield b"two"

    return WSGIToASGI(app)


# ---------------------------------------------------------------- a WSGI app


@pytest.mark.spec("E-09", "E-11")
async def test_each_call_sends_its_links_before_the_response() -> None:
    def before(hints: Hints) -> None:
        hints([("Link", "</a>; rel=preload"), ("X-Other", "1"), ("link", "</b>; rel=preload")])
        hints([("X-Other", "1")])
        hints([("Link", "</c>; rel=preload")])

    exchange = await get(hinting(before), **OFFER)

    assert exchange.sent[0] == {
        "type": EARLY_HINT,
        "links": [b"</a>; rel=preload", b"</b>; rel=preload"],
    }
    assert exchange.sent[1] == {"type": EARLY_HINT, "links": [b"</c>; rel=preload"]}
    assert exchange.sent[2]["headers"] == [(b"content-type", b"text/plain")]
    assert exchange.body == b"onetwo"


@pytest.mark.spec("E-09")
async def test_a_hint_leaves_while_the_app_works() -> None:
    sent = asyncio.Event()
    loop = asyncio.get_running_loop()

    def before(hints: Hints) -> None:
        hints([("Link", LINK)])
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(sent.wait(), 10), loop).result(10)

    async def on_send(message: Any) -> None:
        if message["type"] == EARLY_HINT:
            sent.set()

    from tests.support.asgi import Exchange, http_scope

    exchange = Exchange()
    exchange.on_send = on_send
    await exchange.run(hinting(before), http_scope(**OFFER))

    assert exchange.body == b"onetwo"


@pytest.mark.spec("E-09")
@pytest.mark.parametrize("extensions", [{}, None, {"http.response.debug": {}}])
async def test_the_key_is_absent_where_the_server_offers_nothing(extensions: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"%d" % ("wsgi.early_hints" in environ)]

    exchange = await get(WSGIToASGI(app), extensions=extensions)

    assert exchange.body == b"0"


@pytest.mark.spec("E-10")
async def test_a_hint_after_the_first_block_is_ignored() -> None:
    exchange = await get(hinting(lambda hints: None, lambda hints: hints([("Link", LINK)])), **OFFER)

    assert [message["type"] for message in exchange.sent].count(EARLY_HINT) == 0
    assert exchange.body == b"onetwo"


@pytest.mark.spec("E-10")
async def test_a_client_of_http_1_0_gets_no_hint() -> None:
    exchange = await get(hinting(lambda hints: hints([("Link", LINK)])), http_version="1.0", **OFFER)

    assert exchange.sent[0]["type"] == "http.response.start"
    assert exchange.body == b"onetwo"


@pytest.mark.spec("E-10", "E-25")
@pytest.mark.parametrize(
    "field", [("Link", "</a>\r\nSet-Cookie: e=1"), ("X-Other", "a\0"), ("Li nk", "</a>"), ("Link", "\u0394")]
)
async def test_a_wrong_field_raises_in_the_app(field: tuple[str, str]) -> None:
    def before(hints: Hints) -> None:
        with pytest.raises(AppProtocolError):
            hints([field])

    exchange = await get(hinting(before), **OFFER)

    assert exchange.sent[0]["type"] == "http.response.start"
    assert exchange.body == b"onetwo"


@pytest.mark.spec("E-10")
async def test_request_timeout_goes_on_over_a_hint() -> None:
    exchange = await get(
        WSGIToASGI(hinting(lambda hints: hints([("Link", LINK)])).app, request_timeout=20), **OFFER
    )

    assert [message["type"] for message in exchange.sent[:2]] == [EARLY_HINT, "http.response.start"]


# ---------------------------------------------------------------- an ASGI app


def with_hints(*events: Any, **make: Any) -> tuple[list[tuple[str, str]], Any]:
    taken: list[tuple[str, str]] = []
    answer = call(bridged(sending(*events)), wsgi__early_hints=taken.extend, **make)
    return taken, answer


@pytest.mark.spec("E-12", "E-11")
def test_links_become_link_fields_of_the_server_before_the_response() -> None:
    taken, answer = with_hints(HINT, start(), body(b"ok"))

    assert taken == [("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload")]
    assert "Link" not in answer.headers
    assert answer.body == b"ok"


@pytest.mark.spec("E-12")
@pytest.mark.parametrize("offer", [None, "not callable"])
def test_hints_are_offered_only_where_the_server_takes_them(offer: object) -> None:
    scopes: list[Scope] = []

    call(bridged(recording(scopes)), wsgi__early_hints=offer)

    assert EARLY_HINT not in scopes[0]["extensions"]


@pytest.mark.spec("E-10")
def test_an_event_after_the_first_block_is_ignored() -> None:
    taken, answer = with_hints(start(), body(b"one", more=True), HINT, body(b"two"))

    assert (taken, answer.body) == ([], b"onetwo")


@pytest.mark.spec("E-10")
def test_no_hint_of_an_asgi_app_goes_to_http_1_0() -> None:
    taken, answer = with_hints(HINT, start(), body(b"ok"), SERVER_PROTOCOL="HTTP/1.0")

    assert (taken, answer.body) == ([], b"ok")


@pytest.mark.spec("E-10", "E-25")
@pytest.mark.parametrize("links", [[b"</a>\r\nSet-Cookie: e=1"], ["</a>"], [None], 7, "</a>", b"</a>\0"])
def test_wrong_links_raise_in_the_app_which_may_go_on(links: Any) -> None:
    errors: list[Exception] = []
    taken: list[tuple[str, str]] = []
    app = catching(errors, {"type": EARLY_HINT, "links": links}, start(), body(b"ok"))

    answer = call(bridged(app), wsgi__early_hints=taken.extend)

    assert [type(error) for error in errors] == [AppProtocolError]
    assert (taken, answer.body) == ([], b"ok")


# ---------------------------------------------------------------- over real servers


@pytest.mark.spec("E-12")
@pytest.mark.parametrize("kind", ["gunicorn-sync", "gunicorn-gthread"])
def test_starlette_sends_a_103_under_gunicorn(kind: str) -> None:
    with serve(kind, "tests.extensions.apps:asgi_bridged") as server, server.connect() as sock:
        sock.sendall(head("/hints", "Connection: close"))

        received = recv_until(sock, b"offered")

    assert received.startswith(
        f"HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\n\r\nHTTP/1.1 200 OK\r\n".encode()
    )


@pytest.mark.spec("E-12")
def test_starlette_is_offered_no_hints_under_waitress() -> None:
    with serve("waitress", "tests.extensions.apps:asgi_bridged") as server, server.connect() as sock:
        sock.sendall(head("/hints", "Connection: close"))

        received = recv_until(sock, b"offered")

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b'"not offered"')


@pytest.mark.spec("E-09")
def test_flask_sends_a_103_over_http_2_under_hypercorn() -> None:
    with serve("hypercorn", "tests.extensions.apps:wsgi_bridged") as server, server.connect() as sock:
        answer = http2_get(sock, "/hints")

    heads = [dict(fields) for fields in answer.heads]
    assert [fields[b":status"] for fields in heads] == [b"103", b"200"]
    assert heads[0][b"link"] == LINK.encode()
    assert b"link" not in heads[1]
    assert answer.body == b"offered"
