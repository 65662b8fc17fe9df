from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from bridge._runtime.worker import Worker, current_worker
from bridge._runtime.worker_pool import WorkerPool
from bridge.errors import Overloaded

SECONDS = 10


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(3, 1_000, name="bridge-test")
    yield pool
    assert pool.close(SECONDS)


def test_a_new_pool_has_no_thread() -> None:
    assert WorkerPool(3, 1_000).alive == 0


def test_a_thread_is_added_only_when_a_job_finds_none_idle(pool: WorkerPool) -> None:
    release = threading.Event()
    running = threading.Semaphore(0)

    def job() -> None:
        running.release()
        release.wait(SECONDS)

    for expected in (1, 2, 3):
        pool.submit(job)
        assert running.acquire(timeout=SECONDS)
        assert pool.alive == expected
    for _ in range(2):
        pool.submit(job)
    assert pool.alive == 3
    assert not running.acquire(blocking=False)  # never more than the pool has threads
    release.set()


def test_only_one_thread_is_called_at_a_time(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick jobs would wake a thread each, and pay for it, though the first takes them all."""
    calls: list[threading.Thread] = []
    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: calls.append(thread))
        for number in range(5):
            pool.submit(lambda number=number: done.append(number))  # type: ignore[misc]

    assert len(calls) == 1
    calls[0].start()
    assert pool.close(SECONDS)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_job_that_blocks_has_the_next_thread_called() -> None:
    pool = WorkerPool(8, 1_000)
    meeting = threading.Barrier(8, timeout=SECONDS)
    met: list[int] = []

    for _ in range(8):
        pool.submit(lambda: met.append(meeting.wait()))

    assert pool.close(SECONDS)
    assert sorted(met) == list(range(8))


def test_a_system_without_threads_is_an_overload(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Overloaded):
            pool.submit(print)
    pool.submit(done.set)

    assert done.wait(SECONDS)


def test_an_idle_thread_is_used_again(pool: WorkerPool) -> None:
    for _ in range(50):
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(SECONDS)

    assert pool.alive <= 2  # the second where a job came before the thread was back at the queue


def test_jobs_of_one_thread_run_in_order_and_never_overlap() -> None:
    pool = WorkerPool(1, 1_000)
    seen: list[int] = []
    for number in range(200):
        pool.submit(lambda number=number: seen.append(number))  # type: ignore[misc]

    assert pool.close(SECONDS)
    assert seen == list(range(200))


@pytest.mark.spec("SEC-34")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, ValueError])
def test_a_thread_survives_a_job_that_raises(
    pool: WorkerPool, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    done = threading.Event()
    for _ in range(5):
        pool.submit(fail)
    pool.submit(done.set)

    assert done.wait(SECONDS)
    assert "a job failed" in caplog.text


def test_a_closed_pool_accepts_nothing() -> None:
    pool = WorkerPool(1, 1_000)
    pool.close(SECONDS)

    with pytest.raises(Overloaded):
        pool.submit(print)


def test_close_says_whether_all_threads_have_ended() -> None:
    pool = WorkerPool(1, 1_000)
    release = threading.Event()
    started = threading.Event()

    def job() -> None:
        started.set()
        release.wait(SECONDS)

    pool.submit(job)
    assert started.wait(SECONDS)

    assert not pool.close(0)
    release.set()
    assert pool.close(SECONDS)


def test_a_thread_that_was_only_just_called_is_waited_for(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[threading.Thread] = []
    done = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: calls.append(thread))
        pool.submit(done.set)

    assert not pool.close(0)
    calls[0].start()
    assert pool.close(SECONDS)
    assert done.is_set()


def test_an_idle_thread_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge._runtime.worker.IDLE_SECONDS", 0.01)
    pool = WorkerPool(2, 1_000)
    done = threading.Event()
    thread: list[threading.Thread] = []

    def job() -> None:
        thread.append(threading.current_thread())
        done.set()

    pool.submit(job)
    assert done.wait(SECONDS)

    thread[0].join(SECONDS)

    assert not thread[0].is_alive()
    assert pool.alive == 0


@pytest.mark.spec("A-39")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_an_empty_pool(pool: WorkerPool) -> None:
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(SECONDS)
    read, write = os.pipe()

    pid = os.fork()
    if pid == 0:  # the child: no assert, no return into pytest
        code = b"fresh" if pool.alive == 0 else b"stale"
        ran = threading.Event()
        pool.submit(ran.set)
        os.write(write, code if ran.wait(SECONDS) else b"stuck")
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(read, 10) == b"fresh"
    os.close(read)
    os.close(write)


# ---------------------------------------------------------------- the queue


class Held:
    """Jobs that run until they are let go."""

    def __init__(self) -> None:
        self.running = threading.Semaphore(0)
        self.go = threading.Event()
        self.seen: list[int] = []

    def job(self, number: int) -> Callable[[], None]:
        def run() -> None:
            self.seen.append(number)
            self.running.release()
            assert self.go.wait(SECONDS)

        return run

    def began(self, jobs: int) -> None:
        for _ in range(jobs):
            assert self.running.acquire(timeout=SECONDS)


@pytest.mark.spec("SEC-21")
@pytest.mark.parametrize(("threads", "backlog"), [(1, 0), (1, 2), (3, 1)])
def test_one_more_than_may_run_and_wait_is_refused(threads: int, backlog: int) -> None:
    held = Held()
    pool = WorkerPool(threads, backlog)

    waits = [pool.submit(held.job(number)) for number in range(threads + backlog)]
    with pytest.raises(Overloaded):
        pool.submit(held.job(99))

    assert waits == [False] * threads + [True] * backlog
    held.began(threads)
    assert (pool.admission.running, pool.admission.waiting, pool.admission.refused) == (threads, backlog, 1)
    held.go.set()
    assert pool.close(SECONDS)
    assert len(held.seen) == threads + backlog
    assert (pool.admission.running, pool.admission.waiting) == (0, 0)


def test_the_first_to_come_is_the_first_to_run() -> None:
    held = Held()
    pool = WorkerPool(1, 100)
    pool.submit(held.job(0))
    held.began(1)
    for number in range(1, 100):
        pool.submit(held.job(number))
    held.go.set()

    assert pool.close(SECONDS)
    assert held.seen == list(range(100))


@pytest.mark.parametrize("expired", [True, False])
def test_a_job_that_is_withdrawn_never_runs_and_makes_room(expired: bool) -> None:
    held = Held()
    pool = WorkerPool(1, 1)
    running, waiting = held.job(0), held.job(1)
    pool.submit(running)
    pool.submit(waiting)
    held.began(1)

    assert pool.withdraw(waiting, expired=expired)
    assert not pool.withdraw(waiting)
    assert not pool.withdraw(running)
    assert pool.submit(held.job(2))
    held.go.set()

    assert pool.close(SECONDS)
    assert held.seen == [0, 2]
    assert (pool.admission.expired, pool.admission.left) == (int(expired), int(not expired))


def test_a_job_that_gets_no_thread_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = WorkerPool(1, 0)
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(Overloaded, match="no thread could be started"):
                pool.submit(print)

    assert (pool.admission.running, pool.admission.waiting) == (0, 0)


def test_a_job_without_a_thread_of_its_own_is_said_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is out of threads, and the pool is not: how long it takes is up to the others."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    held = Held()
    pool = WorkerPool(2, 1)
    assert not pool.submit(held.job(0))
    held.began(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert pool.submit(held.job(1))
    held.go.set()

    assert pool.close(SECONDS)
    assert held.seen == [0, 1]


# ---------------------------------------------------------------- drain


def test_drain_waits_for_some_jobs_and_not_for_others() -> None:
    others, mine = Held(), Held()
    pool = WorkerPool(2, 1)
    my_jobs = [mine.job(1), mine.job(2)]
    pool.submit(others.job(0))
    for job in my_jobs:
        pool.submit(job)

    assert not pool.drain(my_jobs.__contains__, 0)
    mine.began(1)
    assert not pool.drain(my_jobs.__contains__, 0)
    threading.Timer(0.05, mine.go.set).start()

    assert pool.drain(my_jobs.__contains__, SECONDS)
    assert mine.seen == [1, 2]
    assert not others.go.is_set()
    others.go.set()
    assert pool.close(SECONDS)


# ---------------------------------------------------------------- jobs of jobs


@pytest.mark.spec("SEC-21")
def test_a_job_is_not_over_before_the_jobs_nested_in_it() -> None:
    nested, nexts, pool = Held(), Held(), WorkerPool(1, 1)
    made: list[WorkerPool] = []

    def job() -> None:
        worker = current_worker()
        assert worker is not None
        for _ in range(2):
            found = worker.nested_in(worker.turn)
            assert found is not None
            made.append(found)
        made[0].submit(nested.job(1))

    pool.submit(job)
    nested.began(1)
    pool.submit(nexts.job(2))

    assert made[0] is made[1]
    assert not nexts.running.acquire(timeout=0.1)
    nested.go.set()
    nexts.began(1)
    nexts.go.set()
    assert pool.close(SECONDS)


def test_nothing_is_nested_in_a_job_that_has_ended() -> None:
    pool = WorkerPool(1, 1)
    found: list[tuple[Worker, int]] = []

    def job() -> None:
        worker = current_worker()
        assert worker is not None
        found.append((worker, worker.turn))

    pool.submit(job)
    assert pool.drain(lambda other: other is job, SECONDS)

    worker, turn = found[0]
    assert worker.nested_in(turn) is None
    assert pool.close(SECONDS)


def test_a_thread_of_the_user_is_no_worker() -> None:
    assert current_worker() is None


# ---------------------------------------------------------------- hooks


def test_each_thread_is_started_before_its_first_job_and_stopped_after_its_last() -> None:
    steps: dict[int, list[str]] = {}

    def step(name: str) -> None:
        steps.setdefault(threading.get_ident(), []).append(name)

    pool = WorkerPool(3, 1_000, on_start=lambda: step("start"), on_stop=lambda: step("stop"))
    meeting = threading.Barrier(3, timeout=SECONDS)

    def job() -> None:
        meeting.wait()
        step("job")

    for _ in range(3):
        pool.submit(job)
    assert pool.close(SECONDS)

    assert list(steps.values()) == [["start", "job", "stop"]] * 3


def test_close_waits_for_the_hook_of_each_thread() -> None:
    stopping, release = threading.Event(), threading.Event()

    def on_stop() -> None:
        stopping.set()
        assert release.wait(SECONDS)

    pool = WorkerPool(1, 1_000, on_stop=on_stop)
    pool.submit(print)

    assert not pool.close(0)
    assert stopping.wait(SECONDS)
    assert not pool.close(0)
    release.set()
    assert pool.close(SECONDS)


def test_a_job_that_comes_while_the_only_thread_stops_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge._runtime.worker.IDLE_SECONDS", 0.01)
    steps: list[str] = []
    stopping, release, done = threading.Event(), threading.Event(), threading.Event()

    def on_stop() -> None:
        steps.append("stop")
        stopping.set()
        assert release.wait(SECONDS)

    pool = WorkerPool(1, 1_000, on_start=lambda: steps.append("start"), on_stop=on_stop)
    pool.submit(print)
    assert stopping.wait(SECONDS)

    def job() -> None:
        steps.append("job")
        done.set()

    pool.submit(job)
    release.set()

    assert done.wait(SECONDS)
    assert steps[:4] == ["start", "stop", "start", "job"]
    assert pool.close(SECONDS)


@pytest.mark.spec("SEC-34")
@pytest.mark.parametrize("error", [SystemExit, ValueError])
def test_a_hook_that_raises_is_logged_and_the_thread_goes_on(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    done = threading.Event()
    pool = WorkerPool(1, 1_000, on_start=fail, on_stop=fail)
    pool.submit(done.set)

    assert done.wait(SECONDS)
    assert pool.close(SECONDS)
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [error, error]
