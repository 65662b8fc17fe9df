from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from bridge._runtime.workers import WorkerPool
from bridge.errors import Overloaded

SECONDS = 10


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(3, name="bridge-test")
    yield pool
    assert pool.close(SECONDS)


def test_a_new_pool_has_no_thread() -> None:
    assert WorkerPool(3).alive == 0


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
    pool = WorkerPool(8)
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
    pool = WorkerPool(1)
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
    pool = WorkerPool(1)
    pool.close(SECONDS)

    with pytest.raises(Overloaded):
        pool.submit(print)


def test_close_says_whether_all_threads_have_ended() -> None:
    pool = WorkerPool(1)
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
    monkeypatch.setattr("bridge._runtime.workers.IDLE_SECONDS", 0.01)
    pool = WorkerPool(2)
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


# ---------------------------------------------------------------- hooks


def test_each_thread_is_started_before_its_first_job_and_stopped_after_its_last() -> None:
    steps: dict[int, list[str]] = {}

    def step(name: str) -> None:
        steps.setdefault(threading.get_ident(), []).append(name)

    pool = WorkerPool(3, on_start=lambda: step("start"), on_stop=lambda: step("stop"))
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

    pool = WorkerPool(1, on_stop=on_stop)
    pool.submit(print)

    assert not pool.close(0)
    assert stopping.wait(SECONDS)
    assert not pool.close(0)
    release.set()
    assert pool.close(SECONDS)


def test_a_job_that_comes_while_the_only_thread_stops_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge._runtime.workers.IDLE_SECONDS", 0.01)
    steps: list[str] = []
    stopping, release, done = threading.Event(), threading.Event(), threading.Event()

    def on_stop() -> None:
        steps.append("stop")
        stopping.set()
        assert release.wait(SECONDS)

    pool = WorkerPool(1, on_start=lambda: steps.append("start"), on_stop=on_stop)
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
    pool = WorkerPool(1, on_start=fail, on_stop=fail)
    pool.submit(done.set)

    assert done.wait(SECONDS)
    assert pool.close(SECONDS)
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [error, error]
