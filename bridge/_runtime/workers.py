"""The threads that run WSGI apps."""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from bridge._runtime.fork import reset_in_child
from bridge._runtime.naming import name_of
from bridge.errors import Overloaded

__all__ = ["Hook", "WorkerPool", "call_hook"]

_log = logging.getLogger("bridge.workers")

Hook: TypeAlias = Callable[[], object]
"""What a user has called in the worker threads."""

IDLE_SECONDS = 30.0
"""How long a thread without work is kept."""


class WorkerPool:
    """Up to `threads` threads over one queue; started by the first job, ended by `close()`.

    One thread is called at a time: the one that comes takes a job and, if more are waiting, calls the next
    before it begins. While it runs without blocking it holds the GIL, and takes the other jobs itself before
    the next thread can; where a job blocks, the next thread is there at once. So 32 quick jobs wake two
    threads instead of 32, and 32 slow ones still run side by side.

    The thread called is the one that parked last: the others may leave after a while. Nothing happens in the
    constructor. A fork leaves the child with an empty pool.

    Args:
        threads: the most jobs that run at once, 1 or more.
        name: the prefix of the thread names.
        on_start: called in each thread before its first job.
        on_stop: called in each thread after its last job. The thread counts until it returns.
    """

    def __init__(
        self,
        threads: int,
        *,
        name: str = "bridge-wsgi",
        on_start: Hook | None = None,
        on_stop: Hook | None = None,
    ) -> None:
        self.threads = threads
        self._name = name
        self._on_start = on_start
        self._on_stop = on_stop
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, which has none of the threads and perhaps a held lock."""
        self._lock = threading.Lock()  # guards all that follows
        self._emptied = threading.Condition(self._lock)  # told of each thread that leaves
        self._jobs: deque[Callable[[], None]] = deque()
        self._parked: list[threading.Lock] = []  # one gate for each thread that waits; released to call it
        self._alive: set[threading.Thread] = set()  # also those that are about to start
        self._left: list[threading.Thread] = []  # those that left since the pool was closed
        self._called = False  # whether a thread is on its way to the jobs
        self._started = 0
        self.closed = False

    @property
    def alive(self) -> int:
        """The number of threads there are."""
        return len(self._alive)

    @property
    def idle(self) -> int:
        """The number of threads that wait for a job."""
        return len(self._parked)

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return len(self._jobs)

    def submit(self, job: Callable[[], None]) -> None:
        """Have `job()` run by a thread, in order of submission. The job must not raise.

        Raises:
            Overloaded: the pool is closed, or the system gives no thread.
        """
        with self._lock:
            if self.closed:
                raise Overloaded("the worker pool is closed")
            self._jobs.append(job)
            call = self._next_call()
        if call is not None:
            call()

    def _next_call(self) -> Callable[[], object] | None:
        """Choose what makes a thread come for a job; None if one comes anyway. Under the lock."""
        if self._called:
            return None
        if self._parked:
            self._called = True
            return self._parked.pop().release
        if len(self._alive) < self.threads:
            self._called = True
            return self._new_thread()
        return None  # all are busy: the first that ends its job takes the next

    def _new_thread(self) -> Callable[[], None]:
        """Make a thread that counts from now on; give what starts it, outside the lock."""
        self._started += 1
        # A daemon: a thread stuck in an app must not keep the process from ending. `close()` is what
        # ends them in order.
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        self._alive.add(thread)
        return functools.partial(self._start, thread)

    def _start(self, thread: threading.Thread) -> None:
        try:
            thread.start()
        except RuntimeError as exc:  # the system is out of threads: those there are must do
            with self._lock:
                self._alive.discard(thread)
                self._emptied.notify_all()
                self._called = False
                if self._alive:
                    _log.warning("no thread could be started: %s", exc)
                    return
                self._jobs.clear()
            raise Overloaded("no thread could be started") from exc

    def _work(self) -> None:
        called = True
        while True:
            call_hook(self._on_start)
            self._take_jobs(called=called)
            call_hook(self._on_stop)
            with self._lock:
                if not self._jobs:
                    self._leave()
                    return
            called = False  # jobs came while the hook ran, and found no room for another thread

    def _take_jobs(self, *, called: bool) -> None:
        """Take jobs until there are none for `IDLE_SECONDS`, or the pool is closed."""
        lock, jobs = self._lock, self._jobs
        gate = threading.Lock()
        gate.acquire()
        while True:
            job = call = None
            with lock:
                if called:
                    self._called = called = False
                if jobs:
                    job = jobs.popleft()
                    call = self._next_call() if jobs else None
                elif self.closed:
                    return
                else:
                    self._parked.append(gate)
            if job is None:
                called = self._wait(gate)
                if not called:
                    return
                continue
            if call is not None:
                call()
            try:
                job()
            except BaseException:
                _log.exception("a job failed outside its app")

    def _wait(self, gate: threading.Lock) -> bool:
        """Wait to be called; False where nobody did for so long that this thread is to end."""
        if gate.acquire(timeout=IDLE_SECONDS):
            return True
        with self._lock:
            if gate in self._parked:
                self._parked.remove(gate)
                return False
        return gate.acquire()  # called in the last moment: the release is there, or about to be

    def _leave(self) -> None:
        thread = threading.current_thread()
        self._alive.discard(thread)
        if self.closed:
            self._left.append(thread)
            self._emptied.notify_all()

    def close(self, timeout: float | None) -> bool:
        """Accept no more jobs, let the queued ones run, then end the threads.

        Args:
            timeout: how long to wait for the running jobs, in seconds; None for as long as they take.

        Returns:
            Whether all threads have ended. One that has not ends after its job.
        """
        with self._lock:
            self.closed = True
            for gate in self._parked:
                gate.release()
            self._parked.clear()
            # Not joined one by one: one that a worker has just called may not have started yet.
            ended = self._emptied.wait_for(lambda: not self._alive, timeout)
            left, self._left = self._left, []
        for thread in left:
            thread.join()  # it has said that it leaves, and does nothing more
        return ended


def call_hook(hook: Hook | None) -> None:
    """Call what a user gave; what it raises is logged, and the thread goes on (SEC-34)."""
    if hook is None:
        return
    try:
        hook()
    except BaseException:
        _log.exception("%s failed", name_of(hook))
