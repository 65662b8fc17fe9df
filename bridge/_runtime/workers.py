"""The threads that run WSGI apps."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from bridge._runtime.fork import reset_in_child
from bridge.errors import Overloaded

__all__ = ["WorkerPool"]

_log = logging.getLogger("bridge.workers")

IDLE_SECONDS = 30.0
"""How long a thread without work is kept."""


class WorkerPool:
    """Up to `threads` threads over one queue; started by the first job, ended by `close()`.

    A thread is added only when a job finds no idle one. Nothing happens in the constructor. A fork leaves
    the child with an empty pool.

    Args:
        threads: the most jobs that run at once, 1 or more.
        name: the prefix of the thread names.
    """

    def __init__(self, threads: int, *, name: str = "bridge-wsgi") -> None:
        self.threads = threads
        self._name = name
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, which has none of the threads and perhaps a held lock."""
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._alive: set[threading.Thread] = set()
        self._idle = 0  # threads that wait, or are about to, for a job
        self._waiting = 0  # jobs that no thread has taken yet
        self._started = 0
        self.closed = False

    @property
    def alive(self) -> int:
        """The number of threads there are."""
        return len(self._alive)

    def submit(self, job: Callable[[], None]) -> None:
        """Have `job()` run by a thread, in order of submission. The job must not raise.

        Raises:
            Overloaded: the pool is closed.
        """
        with self._lock:
            if self.closed:
                raise Overloaded("the worker pool is closed")
            self._waiting += 1
            lacking = self._waiting > self._idle and len(self._alive) < self.threads
            thread = self._new_thread() if lacking else None
        self._jobs.put(job)
        if thread is not None:
            thread.start()

    def _new_thread(self) -> threading.Thread:
        self._started += 1
        # A daemon: a thread stuck in an app must not keep the process from ending. `close()` is what
        # ends them in order.
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        self._alive.add(thread)
        self._idle += 1  # on its way to the queue: the next job may count on it
        return thread

    def _work(self) -> None:
        jobs, lock = self._jobs, self._lock
        while True:
            try:
                job = jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with lock:
                    if self._waiting:  # a job was counted on this thread
                        continue
                    self._idle -= 1
                    self._alive.discard(threading.current_thread())
                return
            with lock:
                self._idle -= 1
                if job is None:
                    self._alive.discard(threading.current_thread())
                    return
                self._waiting -= 1
            try:
                job()
            except BaseException:
                _log.exception("a job failed outside its app")
            del job  # and with it the last request, while waiting for the next
            with lock:
                self._idle += 1

    def close(self, timeout: float | None) -> bool:
        """Accept no more jobs, let the queued ones run, then end the threads.

        Args:
            timeout: how long to wait for the running jobs, in seconds; None for as long as they take.

        Returns:
            Whether all threads have ended. One that has not ends after its job.
        """
        with self._lock:
            self.closed = True
            threads = list(self._alive)
        for _ in threads:
            self._jobs.put(None)
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in threads:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            thread.join(left)
        return not any(thread.is_alive() for thread in threads)
