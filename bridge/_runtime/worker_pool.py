"""The threads that run WSGI apps, and the queue before them."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from bridge._protocol.admission import Admission, Verdict
from bridge._runtime.fork import reset_in_child
from bridge._runtime.hooks import Hook
from bridge._runtime.worker import Job, Worker
from bridge.errors import Overloaded

__all__ = ["WorkerPool"]

_log = logging.getLogger("bridge.workers")

_LOOK_UP_SECONDS = 0.5

_FULL = "no thread is free, and as many requests wait as may"


class WorkerPool:
    """Up to `threads` threads over one bounded queue; started by the first job, ended by `close()`.

    One thread is called at a time: the one that comes takes a job and, if more are waiting, calls the next
    before it begins. While it runs without blocking it holds the GIL, and takes the other jobs itself before
    the next thread can; where a job blocks, the next thread is there at once. So 32 quick jobs wake two
    threads instead of 32, and 32 slow ones still run side by side.

    The thread called is the one that parked last: the others may leave after a while. Nothing happens in the
    constructor. A fork leaves the child with an empty pool.

    Args:
        threads: the most jobs that run at once, 1 or more.
        backlog: the most jobs that wait, in the order in which they came.
        name: the prefix of the thread names.
        on_start: called in each thread before its first job.
        on_stop: called in each thread after its last job. The thread counts until it returns.
        root: the pool that this one is nested in; None if in none.

    Attributes:
        admission: the counts; to be read, and changed under the lock of the pool only.
    """

    def __init__(
        self,
        threads: int,
        backlog: int,
        *,
        name: str = "bridge-wsgi",
        on_start: Hook | None = None,
        on_stop: Hook | None = None,
        root: WorkerPool | None = None,
    ) -> None:
        self.threads = threads
        self.backlog = backlog
        self.root: WorkerPool = self if root is None else root
        self._name = name
        self.on_start = on_start
        self.on_stop = on_stop
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, which has none of the threads and perhaps a held lock."""
        self._lock = threading.Lock()  # guards all that follows
        self._emptied = threading.Condition(self._lock)  # told of each thread that leaves
        self.admission = Admission(self.threads, self.backlog)
        self._jobs: deque[Job] = deque()
        self._parked: list[Worker] = []  # those that wait at their gate
        self._alive: dict[threading.Thread, Worker] = {}  # also those that are about to start
        self._left: list[threading.Thread] = []  # those that left since the pool was closed
        self._called = False  # whether a thread is on its way to the jobs
        self._drains = 0  # how many wait in `drain()`
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

    def check_room(self) -> None:
        """Refuse what could only be refused, before it has cost anything.

        Raises:
            Overloaded: as many wait as may.
        """
        if self.admission.full:
            with self._lock:
                self.admission.refused += 1
            raise Overloaded(_FULL)

    def submit(self, job: Job) -> bool:
        """Have `job()` run by a thread, in order of submission.

        Returns:
            Whether it has to wait, for as long as others take.

        Raises:
            Overloaded: as many wait as may, the pool is closed, or the system gives no thread.
        """
        with self._lock:
            if self.closed:
                raise Overloaded("the worker pool is closed")
            verdict = self.admission.arrive()
            if verdict is Verdict.REFUSE:
                raise Overloaded(_FULL)
            self._jobs.append(job)
            call = self._next_call()
        waits = verdict is Verdict.WAIT
        if call is None:
            return waits
        try:
            return bool(call()) or waits
        except Overloaded:
            self.withdraw(job)
            raise

    def withdraw(self, job: Job, *, expired: bool = False) -> bool:
        """Take a job out of the queue; tell whether it was still there, and so will never run."""
        with self._lock:
            try:
                self._jobs.remove(job)  # from the left, where those are that have waited longest
            except ValueError:
                return False
            if expired:
                self.admission.expire()
            else:
                self.admission.leave()
            return True

    def _next_call(self) -> Callable[[], object] | None:
        """Choose what makes a thread come for a job; None if one comes anyway. Under the lock."""
        if self._called:
            return None
        if self._parked:
            self._called = True
            return self._parked.pop().gate.release
        if len(self._alive) < self.threads:
            self._called = True
            return self._new_thread()
        return None  # all are busy: the first that ends its job takes the next

    def _new_thread(self) -> Callable[[], object]:
        """Make a thread that counts from now on; give what starts it, outside the lock."""
        self._started += 1
        # A daemon: a thread stuck in an app must not keep the process from ending. `close()` is what
        # ends them in order.
        worker = Worker(self)
        thread = threading.Thread(target=worker.run, name=f"{self._name}-{self._started}", daemon=True)
        self._alive[thread] = worker
        return functools.partial(self._start, thread)

    def _start(self, thread: threading.Thread) -> bool:
        """Start a thread; tell whether the system has refused, and those there are must do."""
        try:
            thread.start()
        except RuntimeError as exc:
            with self._lock:
                del self._alive[thread]
                self._emptied.notify_all()
                self._called = False
                if self._alive:
                    _log.warning("%s: no thread could be started: %s", self._name, exc)
                    return True
            raise Overloaded("no thread could be started") from exc
        return False

    # ------------------------------------------------------------ in the threads

    def take(self, worker: Worker, called: bool) -> bool:
        """Give a worker its next job, or have it wait for one; False where it is to leave.

        Args:
            worker: which; what it has run until now has ended.
            called: whether it comes because it was called.
        """
        call = None
        jobs = self._jobs
        with self._lock:
            if called:
                self._called = False
            if worker.job is not None:
                worker.job = None
                self.admission.end()
                if self._drains:
                    self._emptied.notify_all()
            if jobs:
                worker.job = jobs.popleft()
                call = self._next_call() if jobs else None
            elif self.closed:
                return False
            else:
                self._parked.append(worker)
        if call is not None:
            call()
        return True

    def unpark(self, worker: Worker) -> bool:
        """Have a worker wait no more; tell whether nobody has called it."""
        with self._lock:
            if worker in self._parked:
                self._parked.remove(worker)
                return True
        return False

    def leave(self) -> bool:
        """Count this thread no more, unless there is a job for it; tell which."""
        with self._lock:
            if self._jobs:
                return False
            thread = threading.current_thread()
            del self._alive[thread]
            if self.closed:
                self._left.append(thread)
                self._emptied.notify_all()
            return True

    def new_nested(self) -> WorkerPool:
        """Make a pool like this one, for what one of its jobs asks."""
        return WorkerPool(
            self.threads,
            self.backlog,
            name=f"{self._name}-nested",
            on_start=self.on_start,
            on_stop=self.on_stop,
            root=self,
        )

    # ------------------------------------------------------------ the end

    def drain(self, mine: Callable[[Job], bool], timeout: float | None) -> bool:
        """Wait until no job of some kind waits or runs, while others go on; tell whether that came.

        Args:
            mine: which jobs are meant.
            timeout: how long to wait, in seconds; None for as long as they take.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            self._drains += 1
            try:
                while self._has(mine):
                    left = _LOOK_UP_SECONDS if end is None else min(end - time.monotonic(), _LOOK_UP_SECONDS)
                    if left <= 0:
                        return False
                    self._emptied.wait(left)  # no longer: those in nested pools tell nobody here
                return True
            finally:
                self._drains -= 1

    def _has(self, mine: Callable[[Job], bool]) -> bool:
        if any(mine(job) for job in self._jobs):
            return True
        for worker in self._alive.values():
            job, nested = worker.job, worker.nested
            if job is not None and mine(job):
                return True
            if nested is not None:
                with nested._lock:
                    if nested._has(mine):
                        return True
        return False

    def close(self, timeout: float | None) -> bool:
        """Accept no more jobs, let the queued ones run, then end the threads.

        Args:
            timeout: how long to wait for the running jobs, in seconds; None for as long as they take.

        Returns:
            Whether all threads have ended. One that has not ends after its job.
        """
        with self._lock:
            self.closed = True
            for worker in self._parked:
                worker.gate.release()
            self._parked.clear()
            # Not joined one by one: one that a worker has just called may not have started yet.
            ended = self._emptied.wait_for(lambda: not self._alive, timeout)
            left, self._left = self._left, []
        for thread in left:
            thread.join()  # it has said that it leaves, and does nothing more
        return ended
