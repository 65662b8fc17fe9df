"""What a WSGI app reads under an ASGI server: `wsgi.input` over what a `BodyFeed` pulls.

It asks the feed on the app's first read and not before, so that `Expect: 100-continue` stays with the app
(W-51) and an app that never reads costs nothing. All of it happens in the thread of the app.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from bridge._runtime.body import BodyFeed, opening
from bridge.errors import BodyTooLarge, ClientDisconnected, ReceiveTimedOut

__all__ = ["Input"]

_READ_BYTES = 64 * 1024


class Input:
    """The `wsgi.input` of a body that is not there yet (PEP 3333 "Input and Error Streams").

    The standard library's BufferedReader does the reading; it is made on the first read, because most
    requests have no body and it costs as much as the rest of the environ.
    """

    __slots__ = ("_feed", "_reader")

    def __init__(self, feed: BodyFeed) -> None:
        self._feed = feed
        self._reader: io.BufferedReader | None = None

    def _open(self) -> io.BufferedReader:
        reader = self._reader
        if reader is None:
            made: io.BufferedReader = io.BufferedReader(_Raw(self._feed), _READ_BYTES)
            with opening.lock:  # of two threads that are both the first, each would keep what the other needs
                reader = self._reader = self._reader or made
        return reader

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end; all that is left without a size."""
        return self._open().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read to the next LF, or `size` bytes of the line."""
        return self._open().readline(size)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read lines; stop after the one with which `hint` bytes are reached."""
        return self._open().readlines(-1 if hint is None else hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._open())

    def __getattr__(self, name: str) -> Any:
        """Offer the rest of a binary reader: read1, readinto, peek, readable and so on."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._open(), name)


class _Raw(io.RawIOBase):
    """The feed as a raw stream: `readinto` is all that BufferedReader needs."""

    def __init__(self, feed: BodyFeed) -> None:
        self._feed = feed
        self._rest = memoryview(b"")
        self._overdue = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._pull())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def readall(self) -> bytes:
        pieces = [bytes(self._rest)]
        self._rest = memoryview(b"")
        while data := self._pull():
            pieces.append(data)
        return b"".join(pieces)

    def _pull(self) -> bytes:
        """Give the next piece of the body; empty at its end.

        Ends with data, with the end of the body, of the connection or of the request, or when the loop
        is gone.

        Raises:
            ClientDisconnected: the client left before the body was complete; this is no end of file (W-29).
            ReceiveTimedOut: the client sent nothing for `receive_timeout`.
            BodyTooLarge: the body is over its limit.
        """
        if self._overdue:
            raise ReceiveTimedOut
        feed = self._feed
        pieces = feed.asked()
        try:
            piece = pieces.get(timeout=feed.timeouts.receive)
        except TimeoutError:
            self._overdue = True
            feed.refusal = ReceiveTimedOut()  # not this one raised: the loop may have taken it out by then
            raise ReceiveTimedOut from None
        if piece and not isinstance(piece, Exception):
            return piece
        pieces.unget(_anew(piece))  # the end stays the end, for whoever reads again (W-21, W-30)
        if isinstance(piece, Exception):
            try:
                raise piece
            finally:
                del piece  # this frame is in its traceback: break the cycle
        return b""


def _anew(end: bytes | Exception) -> bytes | Exception:
    """Give what is kept of an end: of an error a new one, since the traceback of this one holds the feed.

    That would be a cycle, and keep the body until it is collected: 200 KiB of each that is too large.
    """
    if isinstance(end, BodyTooLarge):
        return BodyTooLarge(str(end))
    return ClientDisconnected(str(end.strerror)) if isinstance(end, ClientDisconnected) else end
