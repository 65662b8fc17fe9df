"""The request body of a WSGI app under an ASGI server, on its way from `receive()` to the thread.

`BodyFeed` stands on the loop and owns `receive()`: one consumer of it at a time (AA-16). What the app holds
is in `wsgi_input`.
"""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any, Final

from bridge._protocol.request_body import RequestBodyCycle, data_from_event
from bridge._runtime.fork import reset_in_child
from bridge._runtime.inlet import Inlet
from bridge._runtime.outlet import Outlet
from bridge._runtime.stall import PeerTimeouts, StallWatch
from bridge.errors import BodyTooLarge, ClientDisconnected, ReceiveTimedOut
from bridge.types import Environ, Receive

__all__ = ["BUFFER_BYTES", "LOOK_SECONDS", "BodyFeed"]

BUFFER_BYTES = 256 * 1024
"""How much of a body is pulled ahead of an app that reads it."""

LOOK_SECONDS = 1.0
"""How long the first look for a lost client waits where it costs something; each look doubles the wait."""

CONTINUE_SECONDS = 5.0
"""How long a client that waits for `100 Continue` is not looked at for an app that asks: a look sends that.

PEP 3333 lets a server send it at once, and the client sends its body unasked after a while (RFC 9110 section
10.1.1), curl after 1 s.
"""

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
        outlet: of the response; cut when the client has gone.
        limit: the most bytes of a body that are accepted; None for no limit.
        timeouts: how long the client may make no progress.

    Attributes:
        wanted: whether a body was announced, and may be fetched before the app asks: not where the client
            waits for `100 Continue`, which the first `receive()` sends (W-51).
        outlet: the same.
        timeouts: the same.
        fetching: whether the task waits for the first event of the body.
        task: of the request; None where nobody is to end it.
        lost: whether the request is over without a complete response.
        refusal: set when the body has gone over its limit, or has not come for too long.

    Raises:
        BodyTooLarge: the declared length is over the limit already.
    """

    __slots__ = (
        "_continue_timer",
        "_cycle",
        "_ended",
        "_expects_continue",
        "_items",
        "_look_seconds",
        "_mailbox",
        "_pump",
        "_receive",
        "_watching",
        "closed",
        "fetching",
        "lost",
        "outlet",
        "refusal",
        "stall",
        "task",
        "timeouts",
        "wanted",
    )

    def __init__(
        self,
        environ: Environ,
        receive: Receive,
        outlet: Outlet[Any],
        limit: int | None,
        timeouts: PeerTimeouts,
    ) -> None:
        declared = environ.get("CONTENT_LENGTH")
        length = int(declared) if declared is not None else None  # digits: `environ_from_scope` has checked
        self._cycle = RequestBodyCycle(length, limit)
        self._receive = receive
        self.outlet = outlet
        self._mailbox = outlet.mailbox
        self.timeouts = timeouts
        self._expects_continue = "HTTP_EXPECT" in environ
        self._continue_timer: asyncio.TimerHandle | None = None
        self.wanted = bool(length) and not self._expects_continue
        self._items: Inlet[bytes | Exception] | None = None  # chunks, then _END or an exception
        self._ended = False
        self._watching = False
        self._look_seconds = LOOK_SECONDS
        self._pump: asyncio.Task[None] | None = None
        self.closed = False
        self.lost = False
        self.task: asyncio.Task[Any] | None = None
        self.refusal: BodyTooLarge | ReceiveTimedOut | None = None
        self.fetching = False
        self.stall: StallWatch | None = None

    def _opened(self) -> Inlet[bytes | Exception]:
        items = self._items
        if items is None:
            # The reader and the pump may both be the first: what one put must not be lost.
            with _opening.lock:
                items = self._items
                if items is None:
                    items = self._items = Inlet(self._mailbox, BUFFER_BYTES)
        return items

    @property
    def received(self) -> int:
        """How many bytes of the body have come; from any thread."""
        return self._cycle.received

    # ------------------------------------------------------------ in the thread

    def asked(self) -> Inlet[bytes | Exception]:
        """Give what the pieces of the body come through, and have them pulled.

        Raises:
            ClientDisconnected: the request is over, and nothing is left of its body.
        """
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
        return items

    def client_disconnected(self) -> bool:
        """Tell whether the client is known to have left; what `environ["bridge.client_disconnected"]` is.

        A response that is complete was not cut short, whoever leaves later. The first call has the loop watch
        from then on, so it may be too early to know: for 5 s where the client waits for `100 Continue`, which
        a look would send.
        """
        if self.lost:
            return True
        if not self._watching and not self.closed:
            try:
                self._mailbox.post(self._asked_after)
            except ClientDisconnected:  # the loop is closed
                return True
        return False

    # ------------------------------------------------------------ on the loop

    async def prefetch(self) -> io.BytesIO | None:
        """Take the first event in the request's own task, before a thread is taken.

        Returns:
            The whole body if it came in one event; None where the rest is to be pulled.

        Raises:
            ClientDisconnected: the client left, or sent less than it declared.
            ReceiveTimedOut: the client sent nothing for `receive_timeout`.
            BodyTooLarge: the body is over its limit.
        """
        self.fetching = True
        try:
            event = await self._receive()
        except asyncio.CancelledError as exc:
            if self.stall is not None and self.stall.claims(exc):
                raise ReceiveTimedOut from None
            raise
        self.fetching = False
        data = data_from_event(event)
        if data is None:
            self._ended = True
            raise ClientDisconnected()
        if not event.get("more_body", False):
            self._ended = True
            data = self._cycle.data(data)
            self._cycle.end()
            return io.BytesIO(data)
        self._feed(data)
        return None

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
            if self._items is not None:
                self._items.wake()  # the pump may wait there for a reader that never comes

    def outlived(self) -> None:
        """Watch a request that takes its time, unless that would be rude; end it if its client stalls."""
        if self.closed:
            return
        if self.stall is None and self.task is not None and self.timeouts.shortest is not None:
            self.stall = StallWatch(self, self.task)
        if not self._expects_continue and not self.fetching:
            self.watch()

    def _asked_after(self) -> None:
        """The app wants to know whether its client is there: it may wait for nothing else."""
        self.outlived()
        if self._expects_continue and self._continue_timer is None and not self.closed:
            self._continue_timer = self._mailbox.loop.call_later(CONTINUE_SECONDS, self.watch)

    def leave_to_server(self) -> None:
        """Look for a stalled client no more: the server sends a file, without a sign of its progress."""
        self.task = None
        if self.stall is not None:
            self.stall.close()

    def stalled(self, error: BaseException) -> bool:
        """Tell whether a cancellation only says that the client has made no progress."""
        return self.stall is not None and self.stall.claims(error)

    def close(self) -> None:
        """End the pump, and have every further read raise instead of wait (W-30)."""
        self.closed = True
        self.refusal = None  # its traceback holds this feed
        if self._items is not None and not self._ended:  # one end: two of a kind each would take turns
            self._items.put(ClientDisconnected("the request is over"))
        pump, self._pump = self._pump, None  # one that has not begun would not take itself out
        if pump is not None:
            pump.cancel()
        if self._continue_timer is not None:
            self._continue_timer.cancel()
        if self.stall is not None:
            self.stall.close()

    async def _run(self) -> None:
        try:
            while self._watching or not self._ended:
                event = await self._receive()
                data = data_from_event(event)
                if data is None:
                    self._disconnected()
                    return
                if not self._ended:  # else it is what follows a body that is too large: dropped
                    self._take(data, more=event.get("more_body", False))
                await self._hold_back()
        except OSError:
            self._disconnected()
        except Exception as exc:  # told to the reader, which is where it can be handled
            self._end(exc)
        finally:
            self._pump = None

    async def _hold_back(self) -> None:
        """Wait until the reader has caught up; a watched client is looked after all the same.

        An app may never read its body, and only `receive()` tells of a client that has left. A look can bring
        one more event, so each waits twice as long as the one before: of an hour without a reader a dozen.
        """
        items = self._items
        if items is None or not (items.crowded or self.refusal is not None):
            return
        if not self._watching:
            await items.room()
            return
        try:
            async with asyncio.timeout(self._look_seconds):
                await (items.room() if self.refusal is None else self._mailbox.loop.create_future())
            self._look_seconds = LOOK_SECONDS
        except TimeoutError:
            self._look_seconds *= 2

    def _take(self, data: bytes, *, more: bool) -> None:
        try:
            self._feed(data)
        except BodyTooLarge as exc:
            self.refusal = exc.with_traceback(None)
            self._end(exc)
            return
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
        self.outlet.cut()
