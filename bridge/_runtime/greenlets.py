"""gevent: a loop on a real thread of the system, and greenlets that wait for it in their hub.

Where gevent has patched the standard library, a `threading.Thread` is a greenlet of the hub: a loop in it
would stop every request of the worker whenever its app computes. So the loop gets a thread that gevent does
not know, with a hub of its own in it: the threads that the app starts there are greenlets of that hub.
Imported only where gevent has patched.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any, Generic, TypeVar

from gevent import get_hub, monkey
from gevent.hub import Hub, Waiter, set_hub
from gevent.selectors import GeventSelector

__all__ = ["HubQueue", "SystemThread", "new_event_loop"]

T = TypeVar("T")


class HubQueue(Generic[T]):
    """A `queue.SimpleQueue` with one reader, a greenlet of any hub; any thread of the system may put.

    gevent 26.9 wakes the reader of its own queue from one thread only; a queue of C stops the hub.
    """

    __slots__ = ("_items", "_wake")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._wake: Callable[[], None] | None = None

    def put(self, item: T) -> None:
        """Add an item, and wake the reader if it waits."""
        self._items.append(item)
        # Read after the append, as the reader looks at the items after it set this: one of the two always
        # sees the other.
        wake = self._wake
        if wake is not None:
            wake()

    def get(self, timeout: float | None = None) -> T:
        """Wait for an item in the hub.

        Args:
            timeout: how long to wait, in seconds; None for as long as it takes.

        Raises:
            Empty: none came.
        """
        if not self._items:
            self._wait(timeout)
        if not self._items:
            raise Empty
        return self._items.popleft()

    def _wait(self, timeout: float | None) -> None:
        loop = get_hub().loop
        waiter = Waiter()  # a wake-up too many only leaves a value in it
        self._wake = lambda: loop.run_callback_threadsafe(waiter.switch, None)
        timer = None if timeout is None else loop.timer(timeout)
        try:
            if timer is not None:
                timer.start(waiter.switch, None)
            if not self._items:
                waiter.get()
        finally:
            self._wake = None
            if timer is not None:
                timer.stop()
                timer.close()

    def empty(self) -> bool:
        """Whether `get()` would wait."""
        return not self._items


class SystemThread:
    """A thread of the system, as `threading.Thread` is without gevent; a daemon.

    Args:
        target: what it runs.
        name: of the thread, for those who list threads.
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._name = name
        self._ended: HubQueue[None] = HubQueue()

    def start(self) -> None:
        """Start it."""
        monkey.get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        set_hub(_Hub(default=False))
        threading.current_thread().name = self._name
        try:
            self._target()
        finally:
            get_hub().destroy(True)  # with its descriptors
            self._ended.put(None)

    def join(self, timeout: float) -> None:
        """Wait until it has ended, `timeout` seconds at most."""
        try:
            self._ended.get(timeout)
        except Empty:
            return
        self._ended.put(None)  # for whoever joins next


class _Hub(Hub):  # type: ignore[misc]  # gevent has no types
    """The hub of the loop's thread, whose other greenlets see no running loop.

    CPython keeps the running loop for each thread of the system, not for each greenlet: Django would take a
    synchronous view in a greenlet for a coroutine and refuse it the database.
    """

    def switch(self) -> Any:
        """Leave the greenlet that calls, until it is switched to again."""
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return super().switch()
        finally:
            asyncio._set_running_loop(loop)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make asyncio's own loop: uvloop would wait without the hub, and stop the greenlets of its thread."""
    return asyncio.SelectorEventLoop(GeventSelector())
