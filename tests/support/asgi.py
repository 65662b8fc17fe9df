"""An ASGI server without a socket: gives one scope to an app, and records what comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bridge.types import ASGIApp, Message, Scope


def http_scope(
    path: str = "/", *, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = (), **more: Any
) -> dict[str, Any]:
    """Build a complete http scope; keyword arguments replace or add keys."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8"),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    scope.update(more)
    return scope


class Exchange:
    """One request to an ASGI app, driven by the test.

    Attributes:
        sent: the events the app sent, in order.
        received: how many times `receive()` was called.
        send_gate: if set, `send()` waits for this event before it records.
        send_error: if set, `send()` raises it.
    """

    def __init__(self, *events: Message, end: bool = True) -> None:
        """Prepare the request.

        Args:
            events: what `receive()` gives, in order.
            end: without events, give one empty and final http.request first.
        """
        self.events: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.sent_more = asyncio.Condition()
        self.received = 0
        self.send_gate: asyncio.Event | None = None
        self.send_error: BaseException | None = None
        self.on_send: Callable[[Message], Awaitable[None]] | None = None
        if not events and end:
            events = ({"type": "http.request", "body": b"", "more_body": False},)
        for event in events:
            self.events.put_nowait(event)

    async def receive(self) -> Message:
        self.received += 1
        return await self.events.get()

    async def send(self, message: Message) -> None:
        if self.send_gate is not None:
            await self.send_gate.wait()
        if self.send_error is not None:
            raise self.send_error
        if self.on_send is not None:
            await self.on_send(message)
        async with self.sent_more:
            self.sent.append(message)
            self.sent_more.notify_all()

    def disconnect(self) -> None:
        self.events.put_nowait({"type": "http.disconnect"})

    async def run(self, app: ASGIApp, scope: Scope, *, timeout: float = 10) -> Exchange:
        async with asyncio.timeout(timeout):
            await app(scope, self.receive, self.send)
        return self

    async def sent_count(self, count: int, *, timeout: float = 10) -> None:
        """Wait until the app has sent so many events."""
        async with asyncio.timeout(timeout), self.sent_more:
            await self.sent_more.wait_for(lambda: len(self.sent) >= count)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent if m["type"] == "http.response.body")

    @property
    def complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", False) and len(self.sent) > 1


def body_events(*chunks: bytes) -> list[Message]:
    """Make http.request events of chunks, the last one final."""
    last = len(chunks) - 1
    return [{"type": "http.request", "body": c, "more_body": i < last} for i, c in enumerate(chunks)]


async def get(app: ASGIApp, path: str = "/", **scope: Any) -> Exchange:
    """Send one request without a body and wait for the end."""
    return await Exchange().run(app, http_scope(path, **scope))


async def post(
    app: ASGIApp, *chunks: bytes, headers: Iterable[tuple[bytes, bytes]] | None = None
) -> Exchange:
    """Send one POST of these chunks, with a Content-Length unless headers are given."""
    if headers is None:
        headers = [(b"content-length", b"%d" % sum(map(len, chunks)))]
    return await Exchange(*body_events(*(chunks or (b"",)))).run(
        app, http_scope(method="POST", headers=headers)
    )


async def happened(event: threading.Event, *, timeout: float = 10) -> bool:
    """Wait for an event of another thread without blocking the loop; tell whether it came."""
    return await asyncio.to_thread(event.wait, timeout)


async def stayed_away(event: threading.Event, *, seconds: float = 0.2) -> bool:
    """Give something that must not happen the time to happen; a busy machine can only err to True."""
    return not await happened(event, timeout=seconds)
