"""The threads that WSGI apps share, or have to themselves."""

from __future__ import annotations

import logging

from bridge._protocol.limits import check_count, check_seconds
from bridge._runtime.hooks import Hook, check_hooks
from bridge._runtime.worker_pool import WorkerPool
from bridge.errors import ConfigurationError

__all__ = ["BACKLOG", "THREADS", "ThreadPool"]

_log = logging.getLogger("bridge.workers")

THREADS = 40
"""How many requests run at once unless the user says otherwise; anyio and Starlette have as many."""

BACKLOG = 1_000
"""How many wait for a thread. With the 64 KiB of its body that a server has read ahead, each holds some 80 KB
while it waits, so that all of them stay below 100 MB."""


class ThreadPool:
    """Threads for the apps of several `WSGIToASGI`, given to each as `pool=`.

    Its owner is who makes it, and ends it with `close()`; the adapters do not. It is started by its first
    request, and a forked child begins without threads.

    Args:
        threads: how many requests run at once, whichever app they are for. With 1, calls of these apps
            never overlap.
        backlog: how many may wait for a thread; they are served in the order in which they came, and one more
            is answered 503.
        name: what its threads are called, before a number.
        on_worker_start: called without arguments in each thread before its first request. What it raises is
            logged.
        on_worker_stop: called in each thread after its last request.
        shutdown_timeout: how long `close()` waits for running requests, in seconds; None for as long as they
            take.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(
        self,
        threads: int = THREADS,
        *,
        backlog: int = BACKLOG,
        name: str = "bridge-pool",
        on_worker_start: Hook | None = None,
        on_worker_stop: Hook | None = None,
        shutdown_timeout: float | None = 30.0,
    ) -> None:
        check_count("threads", 1, threads=threads)
        check_count("requests", 0, backlog=backlog)
        check_seconds(shutdown_timeout=shutdown_timeout)
        check_hooks(on_worker_start=on_worker_start, on_worker_stop=on_worker_stop)
        if not isinstance(name, str):
            raise ConfigurationError(f"name={name!r}: expected a str")
        self.threads = threads
        self.backlog = backlog
        self._name = name
        self._on_start = on_worker_start
        self._on_stop = on_worker_stop
        self._shutdown_timeout = shutdown_timeout
        self.workers = self._new_workers()

    def _new_workers(self) -> WorkerPool:
        return WorkerPool(  # starts nothing
            self.threads, self.backlog, name=self._name, on_start=self._on_start, on_stop=self._on_stop
        )

    def close(self) -> None:
        """Let requests end, for `shutdown_timeout` at most, and end the threads.

        Blocks: not to be called on an event loop. A request that comes later starts new threads.
        """
        if not self.end(self._shutdown_timeout):
            _log.warning(
                "%s: requests still run after a shutdown timeout of %s s", self._name, self._shutdown_timeout
            )

    def end(self, timeout: float | None) -> bool:
        """Do as `close()` does, within `timeout` seconds; tell whether all requests have ended."""
        workers, self.workers = self.workers, self._new_workers()
        return workers.close(timeout)
