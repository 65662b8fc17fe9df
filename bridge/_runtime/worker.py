"""One thread of a pool, and how code that runs in one finds out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from bridge._runtime.fork import reset_in_child
from bridge._runtime.hooks import call_hook

if TYPE_CHECKING:
    from bridge._runtime.worker_pool import WorkerPool

__all__ = ["Job", "Worker", "current_worker"]

_log = logging.getLogger("bridge.workers")

Job: TypeAlias = Callable[[], None]
"""What a thread runs. It must not raise."""

IDLE_SECONDS = 30.0
"""How long a thread without work is kept."""


class Worker:
    """One thread of a pool.

    Attributes:
        pool: whose it is.
        gate: where it waits; released to call it.
        job: what it runs; None between two.
        turn: odd while it runs a job, and another number for each: tells one job from the next.
        nested: a pool for what this job asks of its own pool; it ends before the job counts as ended.
    """

    __slots__ = ("gate", "job", "nested", "pool", "turn")

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.gate = threading.Lock()
        self.gate.acquire()
        self.job: Job | None = None
        self.turn = 0
        self.nested: WorkerPool | None = None

    def run(self) -> None:
        """Serve the pool until it has no use for this thread; what the thread runs."""
        pool = self.pool
        _workers.by_thread[threading.get_ident()] = self
        called = True
        while True:
            call_hook(pool.on_start)
            self._take_jobs(called)
            call_hook(pool.on_stop)
            if pool.leave():
                _workers.by_thread.pop(threading.get_ident(), None)
                return
            called = False  # jobs came while the hook ran, and found no room for another thread

    def _take_jobs(self, called: bool) -> None:
        """Take jobs until there are none for `IDLE_SECONDS`, or the pool is closed."""
        take = self.pool.take
        while take(self, called):
            job = self.job
            called = job is None
            if job is None:
                if not self._wait():
                    return
                continue
            self.turn += 1
            try:
                job()
            except BaseException:
                _log.exception("a job failed outside its app")
            # In this order: who makes a nested pool looks at the turn after it is made (`nested_in`).
            self.turn += 1
            if self.nested is not None:
                self._end_nested()

    def _wait(self) -> bool:
        """Wait to be called; False where nobody did for so long that this thread is to end."""
        if self.gate.acquire(timeout=IDLE_SECONDS):
            return True
        if self.pool.unpark(self):
            return False
        return self.gate.acquire()  # called in the last moment: the release is there, or about to be

    # ------------------------------------------------------------ jobs of jobs

    def nested_in(self, turn: int) -> WorkerPool | None:
        """Give the pool for what a job of this worker asks of the same pool; None if that job has ended.

        The job may wait for what it asks, so that must not wait for the job's thread. It has a pool of its
        own, as large as this one. Until that is over the job counts as running: with one thread, an app is
        entered a second time only by itself.

        Args:
            turn: what tells the job.
        """
        with _workers.nesting:
            if self.nested is None:
                self.nested = self.pool.root.new_nested()
            return self.nested if self.turn == turn else None

    def _end_nested(self) -> None:
        with _workers.nesting:
            nested, self.nested = self.nested, None
        if nested is not None:
            nested.close(None)  # its jobs end as all do: they are done, or their client leaves


class _Workers:
    """The workers of all pools, by the ident of their thread; each entry is changed by that thread only."""

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        self.by_thread: dict[int, Worker] = {}
        self.nesting = threading.Lock()  # guards `Worker.nested` of all


_workers = _Workers()


def current_worker() -> Worker | None:
    """Give the worker whose thread this is, if it is one."""
    by_thread = _workers.by_thread
    return by_thread.get(threading.get_ident()) if by_thread else None
