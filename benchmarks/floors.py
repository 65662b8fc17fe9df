"""What no bridge can beat: the apps of `served` with a thread or a loop between, and nothing else.

No request is translated and no rule is applied; what is left is what the threads, the loop and the app cost.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from benchmarks.served import BODY, asgi_transfer, fastapi_native, flask_native, plain, wsgi_transfer
from bridge.types import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp

try:
    import uvloop
except ImportError:
    uvloop = None

_AHEAD = 4
"""Blocks of 64 KiB that a stream may be ahead: as many as the bridge allows."""


def flask_floor() -> ASGIApp:
    """Call the Flask app on the event loop itself, with an environ made beforehand.

    No bridge can be faster: there is no thread, translation or rule, and the loop stands still meanwhile.
    """
    app = flask_native()
    template = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"13")]

    async def floor(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("http only")
        result = app(template.copy(), lambda status, headers, exc_info=None: bytes)
        body = b"".join(result)
        result.close()  # type: ignore[attr-defined]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return floor


def fastapi_floor() -> WSGIApp:
    """Run the FastAPI app on a loop by the bare call of asyncio, with a scope made beforehand.

    No bridge that keeps to one loop can do with less: nothing is translated, no rule is applied.
    """
    app = fastapi_native()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    run = _Loop()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    def floor(environ: Environ, start_response: StartResponse) -> list[bytes]:
        body: list[bytes] = []

        async def send(message: Message) -> None:
            body.append(message.get("body", b""))

        asyncio.run_coroutine_threadsafe(app(scope.copy(), receive, send), run.started()).result()
        start_response("200 OK", headers)
        return [b"".join(body)]

    return floor


class _ToLoop:
    """Blocks from a thread to a loop, which is woken only where it waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._blocks: deque[bytes] = deque()
        self._room = threading.Semaphore(_AHEAD)
        self._waiter: asyncio.Future[None] | None = None

    def put(self, block: bytes) -> None:
        self._room.acquire()
        self._blocks.append(block)
        if self._waiter is not None:
            self._loop.call_soon_threadsafe(self._wake)

    async def take(self) -> bytes:
        while not self._blocks:
            waiter = self._waiter = self._loop.create_future()
            if not self._blocks:
                await waiter
            self._waiter = None
        self._room.release()
        return self._blocks.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _ToThread:
    """Blocks from a loop to a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._blocks: SimpleQueue[bytes] = SimpleQueue()
        self._room = asyncio.Semaphore(_AHEAD)

    async def put(self, block: bytes) -> None:
        await self._room.acquire()
        self._blocks.put(block)

    def take(self, _size: int = 0) -> bytes:
        block = self._blocks.get()
        self._loop.call_soon_threadsafe(self._room.release)
        return block


def transfer_floor_asgi() -> ASGIApp:
    """Let the WSGI app of the large bodies make and take its blocks in a thread."""

    async def floor(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("http only")
        loop = asyncio.get_running_loop()
        out, into = _ToLoop(loop), _ToThread(loop)
        environ: dict[str, Any] = {
            "PATH_INFO": scope["path"],
            "QUERY_STRING": scope["query_string"].decode(),
            "wsgi.input": _Reads(into),
        }
        lengths: SimpleQueue[int] = SimpleQueue()

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            lengths.put(int(headers[1][1]))

        def work() -> None:
            for block in wsgi_transfer(environ, start):
                out.put(block)

        done = loop.run_in_executor(None, work)
        more = scope["path"] == "/up"
        while more:
            event = await receive()
            await into.put(event["body"])
            more = event["more_body"]
            if not more:
                await into.put(b"")
        block = await out.take()
        left = lengths.get()
        await send({"type": "http.response.start", "status": 200, "headers": plain(left)})
        while left := left - len(block):
            await send({"type": "http.response.body", "body": block, "more_body": True})
            block = await out.take()
        await send({"type": "http.response.body", "body": block})
        await done

    return floor


class _Reads:
    def __init__(self, into: _ToThread) -> None:
        self.read = into.take


def transfer_floor_wsgi() -> WSGIApp:
    """Let the ASGI app of the large bodies make and take its blocks on a loop."""
    run = _Loop()

    def floor(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        loop = run.started()
        out, into = _ToThread(loop), _ToLoop(loop)
        scope = {
            "type": "http",
            "path": environ["PATH_INFO"],
            "query_string": environ["QUERY_STRING"].encode(),
        }
        lengths: SimpleQueue[int] = SimpleQueue()

        async def receive() -> Message:
            block = await into.take()
            return {"type": "http.request", "body": block, "more_body": bool(block)}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                lengths.put(int(message["headers"][1][1]))
            else:
                await out.put(message["body"])

        done = asyncio.run_coroutine_threadsafe(asgi_transfer(scope, receive, send), loop)
        block = b"x" if scope["path"] == "/up" else b""
        while block:
            block = environ["wsgi.input"].read(65536)
            into.put(block)
        left = lengths.get()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(left))])
        while left:
            block = out.take()
            left -= len(block)
            yield block
        done.result()

    return floor


class _Loop:
    """One loop in a thread, started in the worker by its first request."""

    def __init__(self) -> None:
        self._loop = (uvloop or asyncio).new_event_loop()
        self._started = threading.Lock()

    def started(self) -> asyncio.AbstractEventLoop:
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return self._loop
