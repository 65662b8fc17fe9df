"""The request body of a WSGI app under an ASGI server: `wsgi.input` over pulled events.

`BodyFeed` stands on the loop and owns `receive()`: one consumer of it at a time (AA-16). `Input` is what
the app holds; it asks the feed on its first read and not before, so that `Expect: 100-continue` stays
with the app (W-51) and an app that never reads costs nothing.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any, Final

from bridge._protocol.request_body import RequestBodyCycle
from bridge._runtime.fork import reset_in_child
from bridge._runtime.inlet import Inlet
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.outlet import Outlet
from bridge._runtime.stall import PeerTimeouts, StallWatch
from bridge.errors import BodyTooLarge, ClientDisconnected, ProtocolError, ReceiveTimedOut
from bridge.types import Environ, Receive

__all__ = ["BUFFER_BYTES", "BodyFeed", "Input"]

BUFFER_BYTES = 256 * 1024
"""How much of a body is pulled ahead of an app that reads it."""

_READ_BYTES = 64 * 1024

_END: Final = b""


class _Opening:
    """The lock under which a feed gets its queue; a forked child must not inherit it held."""

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_opening = _Opening()


class BodyFeed:
    """Pulls `http.request` events for a reader in a thread, and notices `http.disconnect`.

    The pump runs while the reader wants data and there is room, and from `watch()` on also to learn that
    the client has gone: most servers ignore `send()` to a lost client, so a pending `receive()` is the
    only way to know (D-07). A common request needs none of this, and makes none of it.

    Args:
        environ: of the request: what it says of the body.
        receive: of the ASGI request; awaited as it is given (granian 2.8 needs that).
        mailbox: of the loop.
        limit: the most bytes of a body that are accepted; None for no limit.
        timeouts: how long the client may make no progress.

    Attributes:
        wanted: whether a body was announced, and may be fetched before the app asks: not where the client
            waits for `100 Continue`, which the first `receive()` sends (W-51).
        outlet: of the response; cut when the client has gone.
        task: of the request; None where nobody is to end it.
        lost: whether the request is over without a complete response.
        refusal: set when the body has gone over its limit, or has not come for too long.

    Raises:
        BodyTooLarge: the declared length is over the limit already.
    """

    __slots__ = (
        "_cycle",
        "_ended",
        "_expects_continue",
        "_fetching",
        "_items",
        "_mailbox",
        "_overdue",
        "_pump",
        "_receive",
        "_stall",
        "_timeouts",
        "_watching",
        "closed",
        "lost",
        "outlet",
        "refusal",
        "task",
        "wanted",
    )

    def __init__(
        self,
        environ: Environ,
        receive: Receive,
        mailbox: Mailbox,
        limit: int | None,
        timeouts: PeerTimeouts,
    ) -> None:
        declared = environ.get("CONTENT_LENGTH")
        length = int(declared) if declared is not None else None  # digits: `environ_from_scope` has checked
        self._cycle = RequestBodyCycle(length, limit)
        self._receive = receive
        self._mailbox = mailbox
        self._timeouts = timeouts
        self._expects_continue = "HTTP_EXPECT" in environ
        self.wanted = bool(length) and not self._expects_continue
        self._items: Inlet[bytes | Exception] | None = None  # chunks, then _END or an exception
        self._ended = False
        self._watching = False
        self._pump: asyncio.Task[None] | None = None
        self.closed = False
        self.lost = False
        self.outlet: Outlet[Any] | None = None
        self.task: asyncio.Task[Any] | None = None
        self.refusal: BodyTooLarge | ReceiveTimedOut | None = None
        self._fetching = False
        self._overdue = False
        self._stall: StallWatch | None = None

    def _opened(self) -> Inlet[bytes | Exception]:
        items = self._items
        if items is None:
            with (
                _opening.lock
            ):  # the reader and the pump may both be the first: what one put must not be lost
                items = self._items
                if items is None:
                    items = self._items = Inlet(self._mailbox, BUFFER_BYTES)
        return items

    @property
    def received(self) -> int:
        """How many bytes of the body have come; from any thread."""
        return self._cycle.received

    # ------------------------------------------------------------ in the thread

    def pull(self) -> bytes:
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
        items = self._items
        if items is None:
            # Made here before the loop hears of it, and `closed` looked at after it is made, as `close()`
            # looks at it after it set `closed`: one of the two always sees the other.
            items = self._opened()
        if items.empty:
            if self.closed:
                raise ClientDisconnected("the request is over")
            if self._pump is None:
                self._mailbox.post(self.start)
        try:
            item = items.get(timeout=self._timeouts.receive)
        except TimeoutError:
            self._overdue = True
            self.refusal = ReceiveTimedOut()
            raise self.refusal from None
        if item and not isinstance(item, Exception):
            return item
        items.unget(item)  # the end stays the end, for whoever reads again (W-21, W-30)
        if isinstance(item, Exception):
            raise item
        return _END

    def client_disconnected(self) -> bool:
        """Tell whether the client is known to have left; what `environ["bridge.client_disconnected"]` is.

        A response that is complete was not cut short, whoever leaves later. The first call has the loop watch
        from then on, so it may be too early to know; not while the client waits for `100 Continue`, which to
        watch would send.
        """
        if self.lost:
            return True
        if not self._watching and not self.closed:
            try:
                self._mailbox.post(self.outlived)
            except ClientDisconnected:  # the loop is closed
                return True
        return False

    # ------------------------------------------------------------ on the loop

    async def prefetch(self) -> io.BytesIO | Input:
        """Take the first event in the request's own task, before a thread is taken.

        Returns:
            What the app is to read: the whole body if it came in one event, else one that pulls the rest.

        Raises:
            ClientDisconnected: the client left, or sent less than it declared.
            ReceiveTimedOut: the client sent nothing for `receive_timeout`.
            BodyTooLarge: the body is over its limit.
        """
        self._fetching = True
        try:
            event = await self._receive()
        except asyncio.CancelledError as exc:
            if self._stall is not None and self._stall.claims(exc):
                raise ReceiveTimedOut from None
            raise
        self._fetching = False
        data = self._data_of(event)
        if data is None:
            self._ended = True
            raise ClientDisconnected()
        if not event.get("more_body", False):
            self._ended = True
            data = self._cycle.data(data)
            self._cycle.end()
            return io.BytesIO(data)
        self._feed(data)
        return Input(self)

    def start(self) -> None:
        """Pull until the end of the body."""
        self._expects_continue = False
        if self._pump is None and not self.closed and (self._watching or not self._ended):
            self._pump = self._mailbox.loop.create_task(self._run())

    def watch(self) -> None:
        """Go on pulling after the end of the body, to learn of a disconnect."""
        if not self._watching:
            self._watching = True
            self.start()

    def outlived(self) -> None:
        """Watch a request that takes its time, unless that would be rude; end it if its client stalls."""
        if self.closed:
            return
        if self._stall is None and self.task is not None and self._timeouts.shortest is not None:
            self._stall = StallWatch(self, self.task, self._timeouts)
        if not self._expects_continue and not self._fetching:
            self.watch()

    def awaited(self) -> tuple[bool, int] | None:
        """See `Stallable`. The body that the app waits for is not the task's: `pull()` has its own clock."""
        if self._fetching:
            return True, 0
        outlet = self.outlet
        return (False, outlet.progress) if outlet is not None and outlet.sending else None

    def give_up(self) -> None:
        """Free the thread: the task is about to end."""
        self.lost = True
        if self.outlet is not None:
            self.outlet.close()

    def leave_to_server(self) -> None:
        """Look for a stalled client no more: the server sends a file, without a sign of its progress."""
        self.task = None
        if self._stall is not None:
            self._stall.close()

    def stalled(self, error: BaseException) -> bool:
        """Tell whether a cancellation only says that the client has made no progress."""
        return self._stall is not None and self._stall.claims(error)

    def close(self) -> None:
        """End the pump, and have every further read raise instead of wait (W-30)."""
        self.closed = True
        if self._items is not None:
            self._items.put(_END if self._ended else ClientDisconnected("the request is over"))
        if self._pump is not None:
            self._pump.cancel()
        if self._stall is not None:
            self._stall.close()

    async def _run(self) -> None:
        try:
            while self._watching or not self._ended:
                event = await self._receive()
                data = self._data_of(event)
                if data is None:
                    self._disconnected()
                    return
                if not self._ended:
                    self._take(data, more=event.get("more_body", False))
                items = self._items
                if items is not None and items.crowded:
                    await items.room()
        except BodyTooLarge as exc:
            self.refusal = exc
            self._end(exc)
        except OSError:
            self._disconnected()
        except Exception as exc:  # told to the reader, which is where it can be handled
            self._end(exc)
        finally:
            self._pump = None

    def _take(self, data: bytes, *, more: bool) -> None:
        self._feed(data)
        if self._cycle.complete:
            self._end(_END)
        elif not more:
            self._cycle.end()
            self._end(_END)

    def _feed(self, data: bytes) -> None:
        data = self._cycle.data(data)
        if data:
            self._opened().put(data, len(data))

    def _end(self, item: bytes | Exception) -> None:
        if not self._ended:
            self._ended = True
            self._opened().put(item)

    def _disconnected(self) -> None:
        self._end(ClientDisconnected("the client disconnected before its request body was complete"))
        self._watching = False
        self.lost = True
        if self.outlet is not None:
            self.outlet.cut()

    @staticmethod
    def _data_of(event: Any) -> bytes | None:
        """Give the bytes of an event; None for a disconnect (AA-08, AA-09)."""
        kind = event["type"]
        if kind == "http.request":
            return event.get("body") or b""
        if kind == "http.disconnect":
            return None
        raise ProtocolError(f"receive() gave {kind!r} to an http request")


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
        if self._reader is None:
            self._reader = io.BufferedReader(_Raw(self._feed), _READ_BYTES)
        return self._reader

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

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._feed.pull())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def readall(self) -> bytes:
        pieces = [bytes(self._rest)]
        self._rest = memoryview(b"")
        while data := self._feed.pull():
            pieces.append(data)
        return b"".join(pieces)
