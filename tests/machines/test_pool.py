"""A machine of real threads: the pool runs each job once or never, in order, and loses none."""

from __future__ import annotations

import threading
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge._runtime.worker_pool import WorkerPool
from bridge.errors import Overloaded
from tests._protocol.strategies import THREADS_MACHINE

SECONDS = 10


class _Job:
    """Runs until it is told to end."""

    def __init__(self) -> None:
        self.entered, self.release, self.over = threading.Event(), threading.Event(), threading.Event()
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1
        self.entered.set()
        self.release.wait(SECONDS)
        self.over.set()
        if self.runs == 1:
            raise RuntimeError("a job that fails ends as any other")


class PoolMachine(RuleBasedStateMachine):
    """Three places, four that wait; who came first is served first."""

    THREADS, BACKLOG = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.pool = WorkerPool(self.THREADS, self.BACKLOG, name="bridge-machine")
        self.running: list[_Job] = []
        self.waiting: deque[_Job] = deque()
        self.never: list[_Job] = []
        self.done: list[_Job] = []

    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        for _ in range(count):
            job = _Job()
            full = len(self.running) + len(self.waiting) == self.THREADS + self.BACKLOG
            try:
                self.pool.submit(job)
            except Overloaded:
                assert full
                self.never.append(job)
            else:
                assert not full
                self.waiting.append(job)
        self._move_up()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        job = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        job.release.set()
        assert job.over.wait(SECONDS)
        self.done.append(job)
        self._move_up()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), expired=st.booleans())
    def withdraw_one_that_waits(self, data: st.DataObject, expired: bool) -> None:
        index = data.draw(st.integers(0, len(self.waiting) - 1))
        job = self.waiting[index]
        assert self.pool.withdraw(job, expired=expired)
        del self.waiting[index]
        self.never.append(job)

    @precondition(lambda self: self.running or self.done)
    @rule()
    def withdraw_too_late(self) -> None:
        assert not self.pool.withdraw((self.running or self.done)[0])

    def _move_up(self) -> None:
        while self.waiting and len(self.running) < self.THREADS:
            job = self.waiting.popleft()
            assert job.entered.wait(SECONDS), "a job waits though a thread is free"
            self.running.append(job)

    @invariant()
    def agrees(self) -> None:
        assert all(job.runs == 1 for job in (*self.running, *self.done))
        assert not any(job.runs for job in (*self.waiting, *self.never))
        assert self.pool.alive <= self.THREADS

    def teardown(self) -> None:
        for job in (*self.running, *self.waiting):
            job.release.set()
        assert self.pool.close(SECONDS), "a thread has not ended"
        assert all(job.runs == 1 for job in (*self.running, *self.waiting, *self.done))
        assert self.pool.alive == 0


PoolMachine.TestCase.settings = THREADS_MACHINE
TestPoolMachine = PoolMachine.TestCase
