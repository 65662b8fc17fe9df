"""A request that waits for a thread: until it has one, for too long, or until nobody wants it any more."""

from __future__ import annotations

import asyncio
from typing import Any

from bridge._runtime.nesting import ANCESTORS, submit_within
from bridge._runtime.outlet import Outlet
from bridge._runtime.worker import Job, Worker
from bridge._runtime.worker_pool import WorkerPool
from bridge.errors import Overloaded

__all__ = ["Place", "queue"]


class Place:
    """A place in the queue. It is changed on the loop only; a thread takes the job without a word.

    Args:
        workers: whose queue it is.
        job: what waits.
        outlet: where the answer is waited for.
        timeout: how long it may wait, in seconds; None for as long as it takes.
    """

    __slots__ = ("_job", "_outlet", "_timer", "_workers")

    def __init__(self, workers: WorkerPool, job: Job, outlet: Outlet[Any], timeout: float | None) -> None:
        self._workers = workers
        self._job = job
        self._outlet = outlet
        self._timer: asyncio.TimerHandle | None = None
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout, self._expire)

    def _expire(self) -> None:
        if self._workers.withdraw(self._job, expired=True):
            self._outlet.fail(Overloaded("no thread was free in time"))

    def begun(self) -> None:
        """Take note that the job has a thread."""
        if self._timer is not None:
            self._timer.cancel()

    def leave(self) -> None:
        """Have the job never run, if it still waits: nobody wants it any more."""
        self.begun()
        self._workers.withdraw(self._job)


def queue(
    workers: WorkerPool, job: Job, outlet: Outlet[Any], own: Worker | None, timeout: float | None
) -> Place | None:
    """Submit the job of a request; called in its task.

    Args:
        workers: the threads of the adapter.
        job: what is to run.
        outlet: where the answer is waited for; a wait that takes too long makes it fail.
        own: the worker whose thread runs this loop, if it is one.
        timeout: how long it may wait, in seconds; None for as long as it takes.

    Returns:
        Its place in the queue, to be told `begun()` or `leave()`; None if it has a thread.

    Raises:
        Overloaded: there is no place.
    """
    if own is None and not ANCESTORS.get():
        waits = workers.submit(job)
    else:
        workers, waits = submit_within(workers, job, own)
    return Place(workers, job, outlet, timeout) if waits else None
