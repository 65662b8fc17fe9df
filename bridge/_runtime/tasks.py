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
        self._runs: set[ASGIRun] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, run: ASGIRun) -> None:
        """Start the task of a request."""
        self._runs.add(run)  # and so its task, which the loop itself holds weakly
        _busy.add(self)
        # Told by the run, not by a done callback of the task: that would cost a turn of the loop.
        run.on_end = self._ended
        run.task = asyncio.get_running_loop().create_task(run.serve(), context=run.context)

    def _ended(self, run: ASGIRun) -> None:
        self._runs.discard(run)
        if not self._runs:
            _busy.discard(self)

    async def drain(self, timeout: float | None) -> None:
        """Wait for all to end, for `timeout` seconds at most; then cancel what is left."""
        tasks = [run.task for run in self._runs if run.task is not None]
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=timeout)
        for task in pending:
            task.cancel()
        if pending:
            _log.warning("%d tasks still ran after %s s and were cancelled", len(pending), timeout)
            await asyncio.wait(pending, timeout=_CANCEL_SECONDS)
