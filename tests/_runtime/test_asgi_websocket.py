from __future__ import annotations

import socket

import pytest

from bridge import ASGIToWSGI
from bridge._runtime import websocket_channel
from bridge.types import Receive, Scope, Send
from tests.support.wsgi import Answer, make_environ

SECONDS = 10


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
    handshake = {
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==",
        "gunicorn.socket": near,
    }
    opened = adapter._websockets._open
    with near, far:
        adapter(make_environ() | handshake, Answer().start_response)
        with opened._emptied:
            ended = opened._emptied.wait_for(lambda: not len(opened), SECONDS)

    assert ended
    adapter.close()
