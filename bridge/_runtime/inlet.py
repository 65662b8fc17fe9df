"""Items from a loop to a thread: what an ASGI app sends, and what is received for a WSGI app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from bridge._runtime.crossing import HIGH_WATER_BYTES, LOOK_UP_SECONDS
from bridge._runtime.mailbox import Mailbox
from bridge.errors import ClientDisconnected

__all__ = ["Inlet"]

T = TypeVar("T")


class Inlet(Generic[T]):
    """Items from one loop to one waiting thread, bounded in bytes: the other way of an `Outlet`.

    `_posted` is written on the loop only and `_taken` by the thread only.
    """

    __slots__ = ("_high", "_items", "_mailbox", "_posted", "_taken", "_waiters")

    def __init__(self, mailbox: Mailbox, high_water_bytes: int = HIGH_WATER_BYTES) -> None:
        self._mailbox = mailbox
        self._high = high_water_bytes
        # Unbounded in itself: `room()` is what bounds it. Its `get` is a lock of C, woken without polling.
        self._items: SimpleQueue[tuple[T, int]] = mailbox.queue_type()
        self._posted = 0
        self._taken = 0
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    # ------------------------------------------------------------ on the loop

    def put(self, item: T, size: int = 0) -> None:
        """Hand an item over; `room()` tells when the next may follow.

        Args:
            item: what the thread gets.
            size: its share of the bound, in bytes.
        """
        self._posted += size
        self._items.put((item, size))

    @property
    def crowded(self) -> bool:
        """Whether more than the high-water mark waits for the thread."""
        return self._posted - self._taken > self._high

    async def room(self) -> None:
        """Wait until the thread has caught up. Ends then, with `wake()`, or by cancellation.

        Several tasks may wait: an app may send from each.
        """
        waiter = self._mailbox.loop.create_future()
        self._waiters += (waiter,)
        try:
            # Looked at after the waiter is there, as the thread looks for waiters after it took: one of
            # the two always sees the other.
            if self._posted - self._taken > self._high // 2:
                await waiter
        finally:
            self._waiters = tuple(other for other in self._waiters if other is not waiter)

    def wake(self) -> None:
        """Have `room()` return, whoever waits there."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # ------------------------------------------------------------ in the thread

    def get(self, look_up: Callable[[], None] | None = None, timeout: float | None = None) -> T:
        """Wait for the next item.

        Args:
            look_up: called every half second of waiting; raises if there is nothing to wait for any more.
            timeout: how long to wait, in seconds, more than 0; None for as long as it takes.

        Raises:
            ClientDisconnected: the loop is closed; nothing will come any more.
            TimeoutError: nothing came in time.
        """
        step = LOOK_UP_SECONDS
        left = timeout
        while True:
            if left is not None and left < step:
                step = left
            try:
                item, size = self._items.get(timeout=step)
                break
            except Empty:
                if self._mailbox.loop.is_closed():
                    raise ClientDisconnected("the event loop of this request is closed") from None
                if look_up is not None:
                    look_up()
                if left is not None:
                    left -= step
                    if left <= 0:
                        raise TimeoutError from None
        if size:
            self._taken += size
            if self._waiters and self._posted - self._taken <= self._high // 2:
                self._mailbox.post(self.wake)
        return item

    def unget(self, item: T) -> None:
        """Put an item back that is to be found by every later `get()`."""
        self._items.put((item, 0))

    @property
    def empty(self) -> bool:
        """Whether `get()` would wait."""
        return self._items.empty()
