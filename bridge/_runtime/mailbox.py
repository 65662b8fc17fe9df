"""Acts from any thread to one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from bridge.errors import ClientDisconnected

__all__ = ["Mailbox"]


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
            self._called = False  # the next post is told the same
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
