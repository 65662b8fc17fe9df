"""Log lines about a request: one line each, in ASCII, with nothing of a body, a query or a header in them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.contract.wsgi_specimens import answering
from tests.support.asgi import Exchange, body_events, get, happened, http_scope
from tests.support.wsgi import Answer, call, make_environ

SECONDS = 10

PATH = "/a\x1b[31m\nb\u00e9"
SHOWN = r"/a\x1b[31m\nb\xe9"
SECRET = b"s3cr3t"


def the_record(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> Any:
    (record,) = [r for r in caplog.records if r.name.startswith("bridge") and r.levelno >= level]
    return record


def check(record: Any, what: str, state: str, *, method: str = "POST", path: str = SHOWN) -> None:
    assert record.getMessage() == f"shop {what} ({method} {path}, {state})"
    assert (record.bridge_app, record.bridge_method) == ("shop", method)
    assert (record.bridge_path, record.bridge_state) == (path, state)
    whole = logging.Formatter("%(message)s").format(record)
    assert SECRET.decode() not in whole


async def request(adapter: WSGIToASGI) -> None:
    scope = http_scope(
        PATH,
        method="POST",
        headers=[(b"cookie", b"s=" + SECRET), (b"content-length", b"6")],
        query_string=b"token=" + SECRET,
    )
    await Exchange(*body_events(SECRET)).run(adapter, scope)


@pytest.mark.spec("SEC-27")
async def test_a_wsgi_app_that_fails_in_close(caplog: pytest.LogCaptureFixture) -> None:
    class Blocks:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            raise ValueError("in close")

    def app(environ: Environ, start_response: StartResponse) -> Blocks:
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return Blocks()

    adapter = WSGIToASGI(app, name="shop")
    await request(adapter)
    await asyncio.to_thread(adapter.close)

    check(the_record(caplog), "failed in close() of its response", "done")


@pytest.mark.spec("SEC-27", "SEC-20")
async def test_a_client_that_takes_nothing_of_its_response(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        while True:
            yield b"x" * 65_536

    exchange = Exchange(*body_events(SECRET))
    exchange.send_gate = asyncio.Event()
    scope = http_scope(PATH, method="POST", query_string=b"token=" + SECRET)
    with caplog.at_level(logging.INFO, "bridge"):
        await exchange.run(WSGIToASGI(app, name="shop", send_timeout=0.1), scope)

    check(the_record(caplog, logging.INFO), gave_up("took nothing of its response"), "streaming")


@pytest.mark.spec("SEC-27", "SEC-20")
async def test_a_client_that_sends_nothing_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    scope = http_scope(
        PATH, method="POST", headers=[(b"content-length", b"6")], query_string=b"token=" + SECRET
    )
    with caplog.at_level(logging.INFO, "bridge"):
        await Exchange(end=False).run(WSGIToASGI(answering([b"x"]), name="shop", receive_timeout=0.1), scope)

    check(the_record(caplog, logging.INFO), gave_up("sent nothing of its request"), "idle")


def gave_up(what: str) -> str:
    return f"gave a client up that {what} for 0.1 s"


@pytest.mark.spec("SEC-27")
async def test_a_wsgi_app_that_fails_after_its_client_had_left(caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x"
        except GeneratorExit:
            raise ValueError("gone") from None

    adapter = WSGIToASGI(app, name="shop", after_request=ended.set)
    exchange = Exchange()
    serving = asyncio.ensure_future(exchange.run(adapter, http_scope(PATH)))
    await exchange.sent_count(2)
    exchange.disconnect()
    await serving
    assert await happened(ended)
    await asyncio.to_thread(adapter.close)

    record = the_record(caplog)
    assert record.bridge_path == SHOWN
    assert record.bridge_state == "streaming"


@pytest.mark.spec("SEC-27")
def test_an_asgi_app_that_fails_after_its_response(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        raise ValueError("later")

    adapter = ASGIToWSGI(app, lifespan="off", name="shop")
    environ = make_environ(
        PATH.encode().decode("latin-1"),
        method="POST",
        body=SECRET,
        HTTP_COOKIE="s=s3cr3t",
        QUERY_STRING="token=s3cr3t",
    )
    call(adapter, environ)
    adapter.close()

    check(the_record(caplog), "failed after its response was complete", "done")


@pytest.mark.spec("SEC-27")
def test_an_asgi_app_that_fails_after_its_client_had_left(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ValueError("gone")

    adapter = ASGIToWSGI(app, lifespan="off", name="shop")
    blocks: Any = adapter(make_environ("/" + "x" * 1000), Answer().start_response)
    next(blocks)
    blocks.close()
    adapter.close()

    path = "/" + "x" * 199 + "..."
    check(the_record(caplog), "failed after its client had left", "streaming", method="GET", path=path)


async def test_a_body_that_is_cut_is_said_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "1")])
        return [b"s3cr3t"]

    adapter = WSGIToASGI(app, name="shop")
    await get(adapter, "/cut")
    await asyncio.to_thread(adapter.close)

    what = "sent more than its Content-Length or status allows; it was cut"
    check(the_record(caplog), what, "done", method="GET", path="/cut")
