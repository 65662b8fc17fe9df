from __future__ import annotations

import asyncio
import socket
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from bridge import ASGIToWSGI
from bridge._runtime import websocket_channel
from bridge._runtime.asgi_websocket import ASGIWebSocket
from tests.support.wsgi import Answer, make_environ

if TYPE_CHECKING:
    from bridge.types import Environ, Receive, Scope, Send

SECONDS = 10


def handshake(near: socket.socket) -> Environ:
    return make_environ() | {
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==",
        "gunicorn.socket": near,
    }


@pytest.fixture
def shut_when_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each WebSocket closed in the turn of the loop that gets its socket, before the app goes on."""
    give = ASGIWebSocket.give

    def give_and_shut(session: ASGIWebSocket, sock: socket.socket, early: bytes) -> None:
        both_posted = threading.Event()
        session._mailbox.post(lambda: both_posted.wait(SECONDS))
        give(session, sock, early)
        session._mailbox.post(session.shut)
        both_posted.set()

    monkeypatch.setattr(ASGIWebSocket, "give", give_and_shut)


@pytest.mark.spec("SEC-20", "SEC-22")
@pytest.mark.parametrize("returns", [True, False])
def test_a_client_that_answers_no_close_keeps_no_place(
    returns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task was cancelled at `cancel_timeout`, while it waited for the socket to be closed.

    So the WebSocket was open for ever to `max_websockets`, to `stats()` and to `close()`.
    """
    monkeypatch.setattr(websocket_channel, "CLOSE_SECONDS", 0.3)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if not returns:
            await send({"type": "websocket.close"})
            await receive()

    adapter = ASGIToWSGI(app, lifespan="off", cancel_timeout=0.05)
    near, far = socket.socketpair()
    opened = adapter._websockets._open
    with near, far:
        adapter(handshake(near), Answer().start_response)
        with opened._emptied:
            ended = opened._emptied.wait_for(lambda: not len(opened), SECONDS)

    assert ended
    adapter.close()


@pytest.mark.spec("L-14", "S-15", "SEC-20")
@pytest.mark.usefixtures("shut_when_given")
def test_a_websocket_that_is_closed_while_it_is_being_accepted_ends_with_1001() -> None:
    """It got its 101 and no close: `close()` waited for as long as the app and the client liked."""
    heard: SimpleQueue[object] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.put((await receive())["code"])

    adapter = ASGIToWSGI(app, lifespan="off", cancel_timeout=None)
    near, far = socket.socketpair()
    far.settimeout(SECONDS)
    with near, far:
        adapter(handshake(near), Answer().start_response)
        with far.makefile("rb") as answer:
            status, *_ = iter(answer.readline, b"\r\n")
            close = answer.read(4)

    assert status.startswith(b"HTTP/1.1 101 ")
    assert close == b"\x88\x02\x03\xe9"
    assert heard.get(timeout=SECONDS) == 1001
    adapter.close()


@pytest.mark.spec("L-14", "SEC-20")
@pytest.mark.usefixtures("shut_when_given")
def test_a_websocket_that_ends_twice_is_cancelled_no_more_once_its_app_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The timer of the first end went on, and gave the place of a socket away that was still open."""
    monkeypatch.setattr(websocket_channel, "CLOSE_SECONDS", 0.3)
    cancelled: SimpleQueue[bool] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda ended: cancelled.put(ended.cancelled()))
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    adapter = ASGIToWSGI(app, lifespan="off", cancel_timeout=0.05)
    near, far = socket.socketpair()
    with near, far:
        adapter(handshake(near), Answer().start_response)
        was_cancelled = cancelled.get(timeout=SECONDS)

    assert not was_cancelled
    adapter.close()
