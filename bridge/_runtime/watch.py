"""Which requests of a loop outlive a short grace, and so need to learn of a lost client."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Watchkeeper"]

GRACE_SECONDS = 0.1
"""How long a request runs unwatched: one to two of these. A common request ends before and pays nothing."""


class Watchable(Protocol):
    """A request that can begin to listen for `http.disconnect`."""

    def outlived(self) -> None:
        """Take note that the request has outlived the grace; called on the loop."""


class Watchkeeper:
    """Looks after the requests of one loop with one timer for all, none while there are no requests."""

    __slots__ = ("_loop", "_new", "_old", "_outlived", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._new: set[Watchable] = set()
        self._old: set[Watchable] = set()
        self._outlived: set[Watchable] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._new | self._old | self._outlived)

    def add(self, request: Watchable) -> None:
        """Look after a request until `remove()`; of one that is added again, as if it were new."""
        self._new.add(request)
        if self._timer is None:
            self._timer = self._loop.call_later(GRACE_SECONDS, self._look)

    def remove(self, request: Watchable) -> None:
        """Forget a request that has ended."""
        self._new.discard(request)
        self._old.discard(request)
        self._outlived.discard(request)

    def _look(self) -> None:
        old, self._old, self._new = self._old, self._new, set()
        self._outlived |= old
        for request in old:
            request.outlived()
        self._timer = None
        if self._old:
            self._timer = self._loop.call_later(GRACE_SECONDS, self._look)
