"""An app that does not answer ends in a 504, and the next request is served."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.support.asgi import get, happened
from tests.support.wsgi import call

SECONDS = 10


class Hanging:
    """A WSGI app that waits on its first request, and answers every other."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        if self.calls == 1:
            self.release.wait(SECONDS)
        start_response("200 OK", [])
        return [b"ok"]


async def test_a_wsgi_app_that_hangs_ends_in_a_504_and_the_next_request_is_served() -> None:
    app = Hanging()
    adapter = WSGIToASGI(app, request_timeout=0.05)

    first = await get(adapter)
    second = await get(adapter)
    app.release.set()

    assert (first.status, first.body) == (504, b"Gateway Timeout")
    assert (second.status, second.body) == (200, b"ok")
    await asyncio.to_thread(adapter.close)


@pytest.mark.spec("SEC-20")
async def test_a_wsgi_app_whose_client_got_a_504_is_told_that_nobody_waits() -> None:
    """Its request is watched no more, so it never heard of a client that left, and kept its thread."""
    told, give_up = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        while not give_up.wait(0.01):
            if environ["bridge.client_disconnected"]():
                told.set()
                break
        start_response("200 OK", [])
        return []

    adapter = WSGIToASGI(app, request_timeout=0.05)

    answer = await get(adapter)
    heard = await happened(told, timeout=SECONDS)
    give_up.set()

    assert (answer.status, heard) == (504, True)
    await asyncio.to_thread(adapter.close)


@pytest.mark.spec("SEC-20", "A-33")
async def test_an_asgi_app_in_a_wsgi_app_whose_client_got_a_504_is_told() -> None:
    told = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    adapter = WSGIToASGI(ASGIToWSGI(app, lifespan="off"), threads=1, request_timeout=0.05)

    answer = await get(adapter)

    assert answer.status == 504
    assert await happened(told, timeout=SECONDS)
    await asyncio.to_thread(adapter.close)  # its only thread is free


async def test_a_timeout_of_the_app_itself_is_no_504() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise TimeoutError("the app's own")

    with pytest.raises(TimeoutError, match="the app's own"):
        await get(WSGIToASGI(app, request_timeout=SECONDS))


async def test_a_stream_may_take_longer_than_the_timeout() -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        go_on.wait(SECONDS)
        yield b"last"

    adapter = WSGIToASGI(app, request_timeout=1)
    getting = asyncio.ensure_future(get(adapter))
    asyncio.get_running_loop().call_later(1.2, go_on.set)

    assert (await getting).body == b"firstlast"


@pytest.mark.spec("A-33")
def test_an_asgi_app_that_hangs_ends_in_a_504_and_is_told() -> None:
    told = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            told.set()
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ok"})

    adapter = ASGIToWSGI(app, lifespan="off", request_timeout=0.05)

    first = call(adapter, path="/hang")
    second = call(adapter, path="/")

    assert (first.status, first.body) == (504, b"Gateway Timeout")
    assert (second.status, second.body) == (200, b"ok")
    assert told.wait(SECONDS)
