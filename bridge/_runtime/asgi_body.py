"""The request body of an ASGI app under a WSGI server: received on the loop, read in the server's thread."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, Final, TypeAlias

from bridge._protocol.request_body import RequestBodyCycle, read_bytes
from bridge._runtime.client_probe import bytes_waiting
from bridge._runtime.inlet import Inlet
from bridge.types import Environ, Message

__all__ = ["ASGIBody", "Ask"]


_Chunk: TypeAlias = "tuple[bytes, bool]"
"""A piece of the body, and whether more will come."""

_NOTHING: Final[_Chunk] = (b"", False)


class Ask(Enum):
    """What the task asks of the thread besides taking a part."""

    READ = "read"


class ASGIBody:
    """What `receive()` gives to the app.

    Args:
        cycle: counts what is read.
        environ: of the request; `wsgi.input` is only ever read in the server's thread.
        inlet: through which the thread is asked to read.
        loop: runs the app.
        has_body: whether there can be anything to read.

    Attributes:
        over: whether the exchange is, as the app sees it.
    """

    __slots__ = ("_chunk", "_cycle", "_done", "_environ", "_inlet", "_loop", "_reading", "_waiters", "over")

    def __init__(
        self,
        cycle: RequestBodyCycle,
        environ: Environ,
        inlet: Inlet[Any],
        loop: asyncio.AbstractEventLoop,
        has_body: bool,
    ) -> None:
        self._cycle = cycle
        self._environ = environ
        self._inlet = inlet
        self._loop = loop
        # The next is asked for when the last has been taken: there is one at most.
        self._chunk: _Chunk | None = None if has_body else _NOTHING
        self._done = not has_body
        self._reading = False
        self._waiters: list[asyncio.Future[None]] = []
        self.over = False

    @property
    def read_out(self) -> bool:
        """Whether nothing is left to read, as far as HTTP/1.1 says; from any thread."""
        return self._done or (self._cycle.length is None and "HTTP_TRANSFER_ENCODING" not in self._environ)

    @property
    def received(self) -> int:
        """How many bytes were read; from any thread."""
        return self._cycle.received

    # ------------------------------------------------------------ in the server's thread

    def read(self) -> _Chunk:
        """Read a piece of the body, with the one method and the one argument that PEP 3333 names (WA-07).

        Returns:
            What is for `came()`.

        Raises:
            BodyTooLarge: the body is over its limit.
            Exception: servers raise what they like for a lost client.
        """
        cycle, environ = self._cycle, self._environ
        left = None if cycle.length is None else cycle.length - cycle.received
        data = environ["wsgi.input"].read(read_bytes(bytes_waiting(environ), left))
        piece = cycle.data(data)
        if not data:
            cycle.end()
        return piece, bool(data) and not cycle.complete

    # ------------------------------------------------------------ on the loop

    async def receive(self) -> Message:
        """ASGI www "Request", "Disconnect". Cancelling it loses nothing (A-19)."""
        while (chunk := self._chunk) is None:
            if self.over:
                return {"type": "http.disconnect"}
            if not self._done and not self._reading:
                self._reading = True
                self._inlet.put(Ask.READ)
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        self._chunk = None
        return {"type": "http.request", "body": chunk[0], "more_body": chunk[1]}

    def came(self, chunk: _Chunk) -> None:
        """Take what was read."""
        self._reading = False
        self._done = not chunk[1]
        self._chunk = chunk
        self._wake()

    @property
    def awaited(self) -> bool:
        """Whether the app waits in `receive()`."""
        return bool(self._waiters)

    def end(self) -> None:
        """Say from now on that the exchange is over; also to those who wait."""
        self.over = True
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
