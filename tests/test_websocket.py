"""What the two adapters decide about a WebSocket before a frame is exchanged."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import bridge._protocol
from bridge import ASGIToWSGI, WSGIToASGI
from bridge.errors import ConfigurationError
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse
from tests.support.wsgi import Answer


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    assert (await receive())["type"] == "websocket.disconnect"


@pytest.fixture
def environ() -> Iterator[Environ]:
    """A WebSocket request with a socket as gunicorn hands it out."""
    server, client = socket.socketpair()
    with server, client:
        yield {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "HTTP_HOST": "localhost",
            "HTTP_UPGRADE": "websocket",
            "HTTP_CONNECTION": "Upgrade",
            "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
            "gunicorn.socket": server,
            "client": client,
        }


def status_of(adapter: ASGIToWSGI, environ: Environ) -> str:
    found: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None, /) -> Any:
        found.append(status)

    list(adapter(environ, start_response))
    return found[0]


def test_an_accepted_connection_is_the_bridges_and_the_server_has_an_ended_one(environ: Environ) -> None:
    adapter = ASGIToWSGI(accepts, lifespan="off")

    assert status_of(adapter, environ).startswith("101 ")

    server, client = environ["gunicorn.socket"], environ["client"]
    assert server.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        server.send(b"HTTP/1.1 101 Switching Protocols")
    server.close()
    client.settimeout(20)
    assert client.recv(12) == b"HTTP/1.1 101"
    client.close()
    adapter.close()


@pytest.mark.spec("S-31")
def test_no_place_no_socket_or_no_wsproto_is_501(
    environ: Environ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert status_of(ASGIToWSGI(accepts, lifespan="off", max_websockets=0), environ).startswith("501 ")

    monkeypatch.setitem(sys.modules, "wsproto.connection", None)
    monkeypatch.delitem(sys.modules, "bridge._protocol.frames", raising=False)
    monkeypatch.delattr(bridge._protocol, "frames", raising=False)
    with caplog.at_level(logging.ERROR, "bridge.websocket"):
        assert status_of(ASGIToWSGI(accepts, lifespan="off"), environ).startswith("501 ")
    assert "asgi-wsgi-bridge[websocket]" in caplog.text

    del environ["gunicorn.socket"]
    assert status_of(ASGIToWSGI(accepts, lifespan="off"), environ).startswith("501 ")


def test_an_asgi_app_that_does_not_answer_is_timed_out_with_504(environ: Environ) -> None:
    adapter = ASGIToWSGI(never_answers, lifespan="off", request_timeout=0.1)

    assert status_of(adapter, environ).startswith("504 ")

    adapter.close()  # waits until the app has heard of it
    assert len(adapter._websockets) == 0


START: Message = {"type": "websocket.http.response.start", "status": 403, "headers": []}


def block(data: bytes) -> Message:
    return {"type": "websocket.http.response.body", "body": data, "more_body": True}


@pytest.mark.spec("S-07", "A-33")
def test_a_denial_is_streamed_and_ends_for_the_app_when_the_server_closes_it(environ: Environ) -> None:
    """It was collected until its end: an app that goes on for ever filled the memory, and kept the thread."""
    given = threading.Event()
    told: list[Message] = []
    heard = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(block(b"one"))
        assert await asyncio.to_thread(given.wait, 20)
        await send(block(b"two"))
        told.append(await receive())
        heard.set()

    adapter = ASGIToWSGI(app, lifespan="off")
    blocks: Any = adapter(environ, Answer().start_response)

    assert next(blocks) == b"one"
    given.set()
    assert next(blocks) == b"two"
    blocks.close()
    assert heard.wait(20)
    assert [(event["type"], event["code"]) for event in told] == [("websocket.disconnect", 1006)]
    adapter.close()


def test_a_denial_that_has_begun_is_under_no_timeout(environ: Environ) -> None:
    looked = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(block(b"one"))
        assert await asyncio.to_thread(looked.wait, 20)
        await send({**block(b"two"), "more_body": False})

    def ask() -> bool:  # each half second of waiting, after a look at the time
        looked.set()
        return False

    environ["bridge.client_disconnected"] = ask
    adapter = ASGIToWSGI(app, lifespan="off", request_timeout=0.05)

    assert list(adapter(environ, Answer().start_response)) == [b"one", b"two"]

    adapter.close()


@pytest.mark.spec("S-27")
def test_an_asgi_app_that_returns_without_an_answer_is_an_error(environ: Environ) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with pytest.raises(Exception, match="without an answer"):
        status_of(ASGIToWSGI(app, lifespan="off"), environ)


def test_a_wsgi_app_that_does_not_answer_is_timed_out_with_504() -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        release.wait(20)
        start_response("200 OK", [])
        return []

    sent: list[Message] = []

    async def run() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "websocket",
            "path": "/",
            "headers": [(b"host", b"localhost")],
            "extensions": {"websocket.http.response": {}},
        }
        await adapter(scope, receive, send)

    adapter = WSGIToASGI(app, websocket=True, request_timeout=0.1)
    asyncio.run(run())
    release.set()
    adapter.close()

    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 504)


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "10"])
def test_a_wrong_number_of_websockets_is_found_at_construction(most: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_websockets"):
        WSGIToASGI(lambda environ, start_response: [], websocket=True, max_websockets=most)
    if most != 0 or most is False:
        with pytest.raises(ConfigurationError, match="max_websockets"):
            ASGIToWSGI(accepts, max_websockets=most)


@pytest.mark.parametrize("origins", ["https://one.example", [b"https://one.example"]])
def test_wrong_origins_are_found_at_construction(origins: Any) -> None:
    with pytest.raises(ConfigurationError, match="websocket_origins"):
        WSGIToASGI(lambda environ, start_response: [], websocket=True, websocket_origins=origins)
    with pytest.raises(ConfigurationError, match="websocket_origins"):
        ASGIToWSGI(accepts, websocket_origins=origins)
