"""The tasks of one adapter: its requests, and the work that goes on after their responses."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bridge._runtime.asgi_run import ASGIRun

__all__ = ["TaskSet"]

_log = logging.getLogger("bridge.asgi")

_CANCEL_SECONDS: Final = 1.0  # what a cancelled task has to end in before it is left behind

# Those with tasks: an adapter may be dropped while its requests, or their background work, still run.
_busy: set[TaskSet] = set()


class TaskSet:
    """Starts the tasks of runs, counts them, and waits for them. Used on the loop only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, run: ASGIRun) -> None:
        """Start the task of a request."""
        task = asyncio.get_running_loop().create_task(run.serve(), context=run.context)
        run.task = task
        self._tasks.add(task)  # the loop itself holds tasks weakly
        _busy.add(self)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            _busy.discard(self)

    async def drain(self, timeout: float | None) -> None:
        """Wait for all to end, for `timeout` seconds at most; then cancel what is left."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=timeout)
        for task in pending:
            task.cancel()
        if pending:
            _log.warning("%d tasks still ran after %s s and were cancelled", len(pending), timeout)
            await asyncio.wait(pending, timeout=_CANCEL_SECONDS)
