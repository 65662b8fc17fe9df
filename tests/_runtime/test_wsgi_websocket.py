"""What of a WSGI app reaches the loop first, the handshake on its socket or its return; and its denials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from bridge import WSGIToASGI
from bridge._protocol.handshake import accept_key
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.wsgi_websocket import DENIAL, WSGIWebSocket
from bridge.types import Environ, Message, StartResponse


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def accepts_and_returns(environ: Environ, start_response: StartResponse) -> list[bytes]:
    accept = accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])
    environ["werkzeug.socket"].sendall(
        b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        % accept
    )
    start_response("200 OK", [("Content-Type", "text/html")])
    return []


def declines(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain")])
    return []


async def served(app: Any, turns: int) -> list[Message]:
    """Serve a WebSocket whose app runs from beginning to end between two looks at the sockets.

    Args:
        app: the WSGI app.
        turns: of the loop before the app runs.
    """
    loop = asyncio.get_running_loop()
    sent: list[Message] = []

    async def receive() -> Message:
        silent: asyncio.Future[Message] = loop.create_future()
        return await silent

    async def send(message: Message) -> None:
        sent.append(message)

    def submit(call: Callable[[], None]) -> None:
        def later(left: int) -> None:
            if left:
                loop.call_soon(later, left - 1)
            else:
                call()

        loop.call_soon(later, turns)

    scope = {"type": "websocket", "path": "/", "headers": [], "extensions": {DENIAL: {}}}
    settings = WSGIToASGI(app, websocket=True)._settings
    async with asyncio.timeout(20):
        await WSGIWebSocket(app, scope, Mailbox(loop), settings).serve(submit, receive, send)
    return sent


@pytest.mark.spec("S-02")
@pytest.mark.parametrize("turns", range(4))
def test_a_handshake_counts_though_the_return_of_the_app_is_heard_of_first(
    runner: asyncio.Runner, turns: int
) -> None:
    """The response that the app returned behind its WebSocket was sent in place of the upgrade."""
    sent = runner.run(served(accepts_and_returns, turns))

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


@pytest.mark.spec("S-07")
@pytest.mark.parametrize("turns", range(4))
def test_an_app_that_wrote_nothing_denies(runner: asyncio.Runner, turns: int) -> None:
    sent = runner.run(served(declines, turns))

    assert [message["type"] for message in sent] == [f"{DENIAL}.start", f"{DENIAL}.body"]
    assert sent[0]["status"] == 403


@pytest.mark.spec("S-07", "W-45")
def test_a_denial_of_many_small_blocks_comes_to_its_end(runner: asyncio.Runner) -> None:
    """What each block counts beside its bytes was not given back: after 512 the app waited for ever."""
    count = 2 * HIGH_WATER_BYTES // BLOCK_OVERHEAD_BYTES

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("403 Forbidden", [])
        yield from [b"x"] * count

    async def deny() -> list[Message]:
        adapter = WSGIToASGI(app, websocket=True)
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async with asyncio.timeout(20):
            await adapter({"type": "websocket", "path": "/", "extensions": {DENIAL: {}}}, receive, send)
        await asyncio.to_thread(adapter.close)
        return sent

    head, *blocks = runner.run(deny())

    assert head["status"] == 403
    assert b"".join(block["body"] for block in blocks) == b"x" * count
    assert not blocks[-1]["more_body"]
