"""Items from a thread to a task: the response of a WSGI app on its way to the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from bridge._runtime.crossing import HIGH_WATER_BYTES, LOOK_UP_SECONDS
from bridge._runtime.mailbox import Mailbox
from bridge.errors import ClientDisconnected

__all__ = ["Outlet"]

_TURN_ITEMS = 16  # what one task takes at most before the others of its loop have a turn

T = TypeVar("T")


class Outlet(Generic[T]):
    """Items from one worker thread to one task of a loop, bounded in bytes.

    The thread puts, the task takes. `_posted` is written by the thread only and `_sent` by the task
    only, so their difference needs no lock.
    """

    __slots__ = (
        "_blocked",
        "_failure",
        "_gate",
        "_high",
        "_items",
        "_posted",
        "_sent",
        "_taken",
        "_waiter",
        "closed",
        "mailbox",
    )

    def __init__(self, mailbox: Mailbox, high_water_bytes: int = HIGH_WATER_BYTES) -> None:
        self.mailbox = mailbox
        self._high = high_water_bytes
        self._items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._posted = 0
        self._sent = 0
        self._taken = 0
        self._blocked = False
        self._gate: SimpleQueue[None] | None = None
        self._failure: list[BaseException] | None = None
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
            self.mailbox.post(self._wake)
        self._posted += size
        if self._posted - self._sent > self._high:
            self._wait_for_room()

    def fail(self, error: BaseException) -> bool:
        """Have `take()` raise `error` after the items that are there.

        Returns:
            Whether the task has it, or will find it; else nobody but the caller knows of it.
        """
        failure = self._failure = [error]
        if self._waiter is not None:
            try:
                self.mailbox.post(self._wake)
            except ClientDisconnected:  # the loop was closed while the task waited
                self.closed = True
        # Read after the error is there, as the task looks for one after it closed: one of the two always
        # finds it, and as `pop()` is atomic never both.
        return not (self.closed and _out_of(failure, 0) is error)

    def _wait_for_room(self) -> None:
        gate = self._gate
        if gate is None:
            gate = self._gate = self.mailbox.queue_type()
        low = self._high // 2
        while self._posted - self._sent > low and not self.closed:
            self._blocked = True
            if self._posted - self._sent <= low or self.closed:
                break
            try:
                gate.get(timeout=LOOK_UP_SECONDS)
            except Empty:
                if self.mailbox.loop.is_closed():
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
            if self._failure is not None:
                raise self._end()  # no name of this frame, which is in its traceback, refers to it
            waiter = self._waiter = self.mailbox.loop.create_future()
            try:
                if not self._items and self._failure is None:
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
        if self._failure is None:
            self._failure = []
        self._failure.append(ClientDisconnected())
        self._wake()

    def untaken(self) -> BaseException | None:
        """Take what `fail()` was given and `take()` has not raised; after a close."""
        return None if self._failure is None else _out_of(self._failure, 0)

    def _end(self) -> BaseException:
        failure, error = self._failure, None
        if failure is not None:
            error = _out_of(failure, -1)  # a cut comes last
            if not failure:
                self._failure = None
        return ClientDisconnected() if error is None else error

    def _open(self) -> None:
        self._blocked = False
        if self._gate is not None:
            self._gate.put(None)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _out_of(failure: list[BaseException], index: int) -> BaseException | None:
    try:
        return failure.pop(index)
    except IndexError:  # the other side has it
        return None
