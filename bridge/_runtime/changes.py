"""Coroutines of one loop that wait until something is different."""

from __future__ import annotations

import asyncio

__all__ = ["Changes"]


class Changes:
    """Wakes all who wait; each looks for itself whether it is what it waits for. Used on one loop only.

    On one loop nothing happens between a look and the wait for the next change. So there is no lock, as an
    `asyncio.Condition` has, and a callback can announce a change.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def announce(self) -> None:
        """Have those who wait look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self) -> None:
        """Wait for the next change. Cancelling it loses nothing."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
