"""The threads that run WSGI apps."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from bridge._protocol.admission import Admission, Verdict
from bridge._runtime.fork import reset_in_child
from bridge._runtime.hooks import Hook, call_hook
from bridge.errors import Overloaded

__all__ = ["Job", "Worker", "WorkerPool", "current_worker"]

_log = logging.getLogger("bridge.workers")

Job: TypeAlias = Callable[[], None]
"""What a thread runs. It must not raise."""

IDLE_SECONDS = 30.0
"""How long a thread without work is kept."""

_LOOK_UP_SECONDS = 0.5

_FULL = "no thread is free, and as many requests wait as may"


class Worker:
    """One thread of a pool.

    Attributes:
        pool: whose it is.
        job: what it runs; None between two.
        turn: odd while it runs a job, and another number for each: tells one job from the next.
        nested: a pool for what this job asks of its own pool; it ends before the job counts as ended.
    """

    __slots__ = ("job", "nested", "pool", "turn")

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.job: Job | None = None
        self.turn = 0
        self.nested: WorkerPool | None = None


class _Workers:
    """The workers of all pools, by the ident of their thread; each entry is changed by that thread only."""

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        self.by_thread: dict[int, Worker] = {}


_workers = _Workers()


def current_worker() -> Worker | None:
    """Give the worker whose thread this is, if it is one."""
    by_thread = _workers.by_thread
    return by_thread.get(threading.get_ident()) if by_thread else None


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
        self._on_start = on_start
        self._on_stop = on_stop
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, which has none of the threads and perhaps a held lock."""
        self._lock = threading.Lock()  # guards all that follows
        self._emptied = threading.Condition(self._lock)  # told of each thread that leaves
        self.admission = Admission(self.threads, self.backlog)
        self._jobs: deque[Job] = deque()
        self._parked: list[threading.Lock] = []  # one gate for each thread that waits; released to call it
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
            return self._parked.pop().release
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
        thread = threading.Thread(
            target=self._work, args=(worker,), name=f"{self._name}-{self._started}", daemon=True
        )
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
                    _log.warning("no thread could be started: %s", exc)
                    return True
            raise Overloaded("no thread could be started") from exc
        return False

    def _work(self, worker: Worker) -> None:
        _workers.by_thread[threading.get_ident()] = worker
        called = True
        while True:
            call_hook(self._on_start)
            self._take_jobs(worker, called=called)
            call_hook(self._on_stop)
            with self._lock:
                if not self._jobs:
                    _workers.by_thread.pop(threading.get_ident(), None)
                    self._leave()
                    return
            called = False  # jobs came while the hook ran, and found no room for another thread

    def _take_jobs(self, worker: Worker, *, called: bool) -> None:
        """Take jobs until there are none for `IDLE_SECONDS`, or the pool is closed."""
        lock, jobs, admission = self._lock, self._jobs, self.admission
        gate = threading.Lock()
        gate.acquire()
        while True:
            job = call = None
            with lock:
                if called:
                    self._called = called = False
                if worker.job is not None:
                    worker.job = None
                    admission.end()
                    if self._drains:
                        self._emptied.notify_all()
                if jobs:
                    job = worker.job = jobs.popleft()
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
            worker.turn += 1
            try:
                job()
            except BaseException:
                _log.exception("a job failed outside its app")
            # In this order: who makes a nested pool looks at the turn after it is made (`nested_in`).
            worker.turn += 1
            if worker.nested is not None:
                self._end_nested(worker)

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
        del self._alive[thread]
        if self.closed:
            self._left.append(thread)
            self._emptied.notify_all()

    # ------------------------------------------------------------ jobs of jobs

    def nested_in(self, worker: Worker, turn: int) -> WorkerPool | None:
        """Give the pool for what the job of a worker asks of this same pool; None if that job has ended.

        The job may wait for what it asks, so that must not wait for the job's thread. It has a pool of its
        own, as large as this one. Until that is over the job counts as running: with one thread, an app is
        entered a second time only by itself.
        """
        with self._lock:  # of the root: for all nested pools of its workers
            nested = worker.nested
            if nested is None:
                nested = worker.nested = WorkerPool(
                    self.threads,
                    self.backlog,
                    name=f"{self._name}-nested",
                    on_start=self._on_start,
                    on_stop=self._on_stop,
                    root=self,
                )
            return nested if worker.turn == turn else None

    def _end_nested(self, worker: Worker) -> None:
        with self.root._lock:
            nested, worker.nested = worker.nested, None
        if nested is not None:
            nested.close(None)  # its jobs end as all do: they are done, or their client leaves

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
            for gate in self._parked:
                gate.release()
            self._parked.clear()
            # Not joined one by one: one that a worker has just called may not have started yet.
            ended = self._emptied.wait_for(lambda: not self._alive, timeout)
            left, self._left = self._left, []
        for thread in left:
            thread.join()  # it has said that it leaves, and does nothing more
        return ended
