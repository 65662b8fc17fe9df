"""What of a WSGI app reaches the loop first, the handshake on its socket or its return; and its denials."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from bridge import WSGIToASGI
from bridge._protocol.frames import Frames
from bridge._protocol.handshake import accept_key
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.wsgi_websocket import DENIAL, WSGIWebSocket
from bridge.types import Environ, Message, Receive, Send, StartResponse

SECONDS = 20


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def accept(environ: Environ) -> None:
    key = accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])
    environ["werkzeug.socket"].sendall(
        b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        % key
    )


def accepts_and_returns(environ: Environ, start_response: StartResponse) -> list[bytes]:
    accept(environ)
    start_response("200 OK", [("Content-Type", "text/html")])
    return []


def declines(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain")])
    return []


async def silence() -> Message:
    """Receive nothing."""
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await never


async def served(app: Any, turns: int) -> list[Message]:
    """Serve a WebSocket whose app runs from beginning to end between two looks at the sockets.

    Args:
        app: the WSGI app.
        turns: of the loop before the app runs.
    """
    loop = asyncio.get_running_loop()
    sent: list[Message] = []

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
    async with asyncio.timeout(SECONDS):
        await WSGIWebSocket(app, scope, Mailbox(loop), settings).serve(submit, silence, send)
    return sent


class LastWords:
    """Accepts; says its last words, closes with 4001 and ends when it is told to.

    Args:
        words: the messages.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._wanted, self._ended = threading.Event(), threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        frames = Frames(client=False, max_message_bytes=10_000)
        accept(environ)
        self._wanted.wait(SECONDS)
        last = b"".join(map(frames.message, self._words)) + frames.close(4001, "so long")
        environ["werkzeug.socket"].sendall(last)
        return []

    def start(self, call: Callable[[], None]) -> None:
        """Run the call of it in a thread."""

        def run() -> None:
            call()
            self._ended.set()

        threading.Thread(target=run).start()

    def end(self) -> None:
        """Have it end, and wait until it has: it does so between two looks at the sockets."""
        self._wanted.set()
        assert self._ended.wait(SECONDS)

    async def served(self, receive: Receive, send: Send) -> None:
        """Serve a WebSocket of it."""
        scope = {"type": "websocket", "path": "/", "headers": [], "extensions": {}}
        settings = WSGIToASGI(self, websocket=True)._settings
        async with asyncio.timeout(SECONDS):
            mailbox = Mailbox(asyncio.get_running_loop())
            await WSGIWebSocket(self, scope, mailbox, settings).serve(self.start, receive, send)


@pytest.mark.spec("S-06", "S-23")
@pytest.mark.parametrize("count", [1, 200])
def test_what_an_app_said_last_is_heard_though_a_message_for_it_came_too_late(
    runner: asyncio.Runner, count: int
) -> None:
    """The message could not be written, and what was unread was dropped: the client got 1000."""
    words = [f"{number} {'x' * 200}" for number in range(count)]
    app = LastWords(words)
    sent: list[Message] = []

    async def receive() -> Message:
        if not app._ended.is_set():
            app.end()
            return {"type": "websocket.receive", "text": "too late"}
        return await silence()

    async def send(message: Message) -> None:
        sent.append(message)

    runner.run(app.served(receive, send))

    assert [message["text"] for message in sent[1:-1]] == words
    assert sent[-1] == {"type": "websocket.close", "code": 4001, "reason": "so long"}


@pytest.mark.spec("S-06", "S-28")
def test_what_an_app_said_last_is_heard_by_a_client_that_is_slow_and_still_talks(
    runner: asyncio.Runner,
) -> None:
    """A message for the app that had ended ended the exchange: the client got no close of the app's."""
    app = LastWords(["bye", "now"])
    sent: list[Message] = []

    async def serve() -> None:
        taking, talked = asyncio.Event(), asyncio.Event()
        talk = iter(["end", "too late", "and later"])

        async def receive() -> Message:
            text = next(talk, None)
            if text is None:
                talked.set()
                return await silence()
            if text == "end":
                app.end()
                await taking.wait()
            return {"type": "websocket.receive", "text": text}

        async def send(message: Message) -> None:
            if message.get("text") == "bye":
                taking.set()
                await talked.wait()
            sent.append(message)

        await app.served(receive, send)

    runner.run(serve())

    assert [message.get("text") for message in sent[1:-1]] == ["bye", "now"]
    assert sent[-1] == {"type": "websocket.close", "code": 4001, "reason": "so long"}


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

        async with asyncio.timeout(SECONDS):
            await adapter({"type": "websocket", "path": "/", "extensions": {DENIAL: {}}}, receive, send)
        await asyncio.to_thread(adapter.close)
        return sent

    head, *blocks = runner.run(deny())

    assert head["status"] == 403
    assert b"".join(block["body"] for block in blocks) == b"x" * count
    assert not blocks[-1]["more_body"]
