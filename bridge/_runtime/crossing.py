"""The border between threads and an event loop.

A bridge costs what its crossings cost: waking a loop from a thread is a write to its self-pipe, waking a
thread is a futex and a fight for the GIL. Here many posts share one wake-up, and nobody is woken who is
already awake.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from bridge.errors import ClientDisconnected

__all__ = ["BLOCK_OVERHEAD_BYTES", "HIGH_WATER_BYTES", "Inlet", "Mailbox", "Outlet"]

HIGH_WATER_BYTES = 256 * 1024
"""What a stream may run ahead of its reader, in either direction and in bytes; one block may exceed it.

Four blocks of 64 KiB. With room for one, the two sides wait for each other at every block: a download ran at
half the speed. With 1 MiB it ran a third faster still, but that is no "block by block" any more (W-45).
"""

BLOCK_OVERHEAD_BYTES = 512
"""What a block in flight counts beside its bytes: of the smallest no more than some 500 are ahead."""

_LOOK_UP_SECONDS = 0.5  # how often a waiting thread makes sure that there is something to wait for

_TURN_ITEMS = 16  # what one task takes at most before the others of its loop have a turn

T = TypeVar("T")


class Mailbox:
    """Acts posted from any thread to one event loop, many to a wake-up.

    Only the post that finds nobody called yet pays `call_soon_threadsafe`; the others ride along. This
    is why the cost of a crossing falls as concurrency rises.

    Args:
        loop: the event loop.
        queue_type: what its threads wait at.

    Attributes:
        delivered: how many acts were called so far.
        wakeups: how often the loop was woken for them.
    """

    __slots__ = ("_called", "_posts", "delivered", "loop", "queue_type", "wakeups")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, queue_type: type[SimpleQueue[Any]] = SimpleQueue
    ) -> None:
        self.loop = loop
        self.queue_type = queue_type
        self._posts: deque[Callable[[], object]] = deque()
        self._called = False
        self.delivered = 0  # these two are written on the loop only
        self.wakeups = 0

    def post(self, act: Callable[[], object]) -> None:
        """Have `act()` called on the loop, after what was posted before it.

        Raises:
            ClientDisconnected: the loop is closed; nobody is left to answer to.
        """
        self._posts.append(act)
        if self._called:
            # The delivery clears the flag before it empties the deque, so this act is seen by it.
            return
        self._called = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            raise ClientDisconnected("the event loop of this request is closed") from None

    def _deliver(self) -> None:
        self._called = False
        posts = self._posts
        count = len(posts)
        self.wakeups += 1
        self.delivered += count
        for _ in range(count):
            act = posts.popleft()
            try:
                act()
            except Exception as exc:  # one exchange must not stop the others
                self.loop.call_exception_handler({"message": "a posted act failed", "exception": exc})


class Outlet(Generic[T]):
    """Items from one worker thread to one task of a loop, bounded in bytes.

    The thread puts, the task takes. `_posted` is written by the thread only and `_sent` by the task
    only, so their difference needs no lock.
    """

    __slots__ = (
        "_blocked",
        "_error",
        "_gate",
        "_high",
        "_items",
        "_mailbox",
        "_posted",
        "_sent",
        "_taken",
        "_waiter",
        "closed",
    )

    def __init__(self, mailbox: Mailbox, high_water_bytes: int = HIGH_WATER_BYTES) -> None:
        self._mailbox = mailbox
        self._high = high_water_bytes
        self._items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._posted = 0
        self._sent = 0
        self._taken = 0
        self._blocked = False
        self._gate: SimpleQueue[None] | None = None
        self._error: BaseException | None = None
        self.closed = False

    # ------------------------------------------------------------ in the thread

    def put(self, item: T, size: int) -> None:
        """Hand an item over; wait while more than the high-water mark is unsent.

        Ends when the task has caught up, when the outlet is closed, or when the loop is gone.

        Args:
            item: what the task takes.
            size: its share of the bound, in bytes.

        Raises:
            ClientDisconnected: the task takes no more.
        """
        if self.closed:
            raise ClientDisconnected()
        self._items.append(item)
        # Read after the append, as the task looks at the items after it set its waiter: one of the two
        # always sees the other.
        if self._waiter is not None:
            self._mailbox.post(self._wake)
        self._posted += size
        if self._posted - self._sent > self._high:
            self._wait_for_room()

    def fail(self, error: BaseException) -> None:
        """Have `take()` raise `error` after the items that are there."""
        self._error = error
        if self._waiter is not None:
            self._mailbox.post(self._wake)

    def _wait_for_room(self) -> None:
        gate = self._gate
        if gate is None:
            gate = self._gate = self._mailbox.queue_type()
        low = self._high // 2
        while self._posted - self._sent > low and not self.closed:
            self._blocked = True
            if self._posted - self._sent <= low or self.closed:
                break
            try:
                gate.get(timeout=_LOOK_UP_SECONDS)
            except Empty:
                if self._mailbox.loop.is_closed():
                    self.closed = True
        self._blocked = False
        if self.closed:
            raise ClientDisconnected()

    # ------------------------------------------------------------ on the loop

    async def take(self) -> T:
        """Wait for the next item. One task at a time; ends with an item, a failure, a cut or a cancellation.

        Raises:
            ClientDisconnected: the client has gone.
            BaseException: what `fail()` was given.
        """
        self._taken += 1
        if self._taken % _TURN_ITEMS == 0:
            # A thread that keeps up and a `send()` that never waits would keep the loop from all others.
            await asyncio.sleep(0)
        while not self._items:
            if self._error is not None:
                try:
                    raise self._error
                finally:
                    self._error = None  # this frame is in its traceback: break the cycle
            waiter = self._waiter = self._mailbox.loop.create_future()
            try:
                if not self._items and self._error is None:
                    await waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    @property
    def sending(self) -> bool:
        """Whether the task has an item in hand, and does not wait for one."""
        return self._waiter is None

    @property
    def progress(self) -> int:
        """A number that grows with each item that is asked for, and each that has left."""
        return self._taken + self._sent

    def sent(self, size: int) -> None:
        """Note that so many bytes have left: the thread may go on."""
        self._sent += size
        if self._blocked and self._posted - self._sent <= self._high // 2:
            self._open()

    def close(self) -> None:
        """Refuse further items and free a waiting thread."""
        self.closed = True
        self._items.clear()
        if self._blocked:
            self._open()

    def cut(self) -> None:
        """Close because the client has gone; `take()` raises ClientDisconnected."""
        self.close()
        self._error = ClientDisconnected()
        self._wake()

    def _open(self) -> None:
        self._blocked = False
        if self._gate is not None:
            self._gate.put(None)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Inlet(Generic[T]):
    """Items from one loop to one waiting thread, bounded in bytes: the other way of an `Outlet`.

    `_posted` is written on the loop only and `_taken` by the thread only.
    """

    __slots__ = ("_high", "_items", "_mailbox", "_posted", "_room", "_taken")

    def __init__(self, mailbox: Mailbox, high_water_bytes: int = HIGH_WATER_BYTES) -> None:
        self._mailbox = mailbox
        self._high = high_water_bytes
        # Unbounded in itself: `room()` is what bounds it. Its `get` is a lock of C, woken without polling.
        self._items: SimpleQueue[tuple[T, int]] = mailbox.queue_type()
        self._posted = 0
        self._taken = 0
        self._room: asyncio.Future[None] | None = None

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
        """Wait until the thread has caught up. Ends then, with `wake()`, or by cancellation."""
        waiter = self._room = self._mailbox.loop.create_future()
        try:
            # Looked at after the waiter is set, as the thread looks at the waiter after it took: one of
            # the two always sees the other.
            if self._posted - self._taken > self._high // 2:
                await waiter
        finally:
            self._room = None

    def wake(self) -> None:
        """Have `room()` return."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

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
        step = _LOOK_UP_SECONDS
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
            if self._room is not None and self._posted - self._taken <= self._high // 2:
                self._mailbox.post(self.wake)
        return item

    def unget(self, item: T) -> None:
        """Put an item back that is to be found by every later `get()`."""
        self._items.put((item, 0))

    @property
    def empty(self) -> bool:
        """Whether `get()` would wait."""
        return self._items.empty()
