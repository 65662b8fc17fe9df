"""What an ASGI app does after its response: counted, logged, and drained before the app is shut down."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import TaskStatus
from fastapi import BackgroundTasks, FastAPI
from sse_starlette import EventSourceResponse

from bridge import ASGIToWSGI
from bridge._runtime.loop import LoopThread
from tests.contract.asgi_specimens import WAIT_SECONDS, body, bridged, hello, reached, start
from tests.support.interpreter import threads_at_exit
from tests.support.scripts import run_script
from tests.support.wsgi import call

if TYPE_CHECKING:
    from bridge.types import Receive, Scope, Send


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """A loop of its own, so that its tasks can be counted."""
    thread = LoopThread()
    yield thread
    thread.close()


def tasks_of(loop_thread: LoopThread) -> int:
    """Count the tasks of a loop, without the one that counts."""

    async def count() -> int:
        await asyncio.sleep(0)  # what has just ended is cleared away
        return len(asyncio.all_tasks()) - 1

    return loop_thread.call(count())


async def no_background(adapter: ASGIToWSGI) -> None:
    """Wait, on the loop, until nothing counts as background work."""
    async with asyncio.timeout(WAIT_SECONDS):
        while adapter.background_tasks:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


@pytest.mark.spec("A-36")
def test_work_after_the_last_block_does_not_hold_the_response() -> None:
    release, finished = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        await send(body(b"two"))
        await reached(release)
        finished.set()

    answer = call(bridged(app))

    assert answer.body == b"onetwo"
    assert not finished.is_set()
    release.set()
    assert finished.wait(WAIT_SECONDS)


@pytest.mark.spec("A-36")
def test_close_waits_for_background_work() -> None:
    finished = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await asyncio.sleep(0.2)
        finished.set()

    adapter = bridged(app)
    call(adapter)

    adapter.close()

    assert finished.is_set()


@pytest.mark.spec("A-36")
def test_background_work_without_end_is_cancelled_by_close(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await asyncio.Event().wait()

    adapter = bridged(app, task_timeout=0.01, loop_thread=loop_thread)
    call(adapter)

    adapter.close()

    assert tasks_of(loop_thread) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.spec("A-37")
def test_an_error_after_the_last_block_is_logged_once_and_harms_nobody(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        raise ValueError("in the background")

    adapter = bridged(app, loop_thread=loop_thread)

    assert call(adapter).body == b"hello"
    adapter.close()
    assert [(record.levelname, record.exc_info and record.exc_info[0]) for record in caplog.records] == [
        ("ERROR", ValueError)
    ]


@pytest.mark.spec("A-37", "SEC-34")
def test_an_exit_after_the_last_block_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        raise SystemExit(3)

    adapter = bridged(app, loop_thread=loop_thread)

    assert call(adapter).body == b"hello"
    assert call(adapter).body == b"hello"
    adapter.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


# ---------------------------------------------------------------- counted


@pytest.mark.spec("A-36")
def test_a_background_task_of_fastapi_counts_once_its_response_is_complete() -> None:
    app = FastAPI()
    begun, release, finished = threading.Event(), threading.Event(), threading.Event()
    adapter = ASGIToWSGI(app)
    counts: list[int] = []

    def work() -> None:
        begun.set()
        assert release.wait(WAIT_SECONDS)
        finished.set()

    @app.get("/")
    async def view(background: BackgroundTasks) -> str:
        counts.append(adapter.background_tasks)
        background.add_task(work)
        return "done"

    assert call(adapter).body == b'"done"'
    assert begun.wait(WAIT_SECONDS)
    counts.append(adapter.background_tasks)
    release.set()
    adapter.close()
    counts.append(adapter.background_tasks)

    assert counts == [0, 1, 0]
    assert finished.is_set()


class Spawning:
    """Starts a task for each request, which starts another, and leaves both to themselves.

    Attributes:
        steps: what happened, in order.
        release: to be set for them to end.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.release = threading.Event()
        self.begun = threading.Event()
        self.kept: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.steps.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.start(self.outer())
        await hello(scope, receive, send)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.kept.append(asyncio.create_task(coroutine))

    async def outer(self) -> None:
        self.start(self.inner())
        await reached(self.release)
        self.steps.append("outer")

    async def inner(self) -> None:
        self.begun.set()
        await reached(self.release)
        await asyncio.sleep(0.05)
        self.steps.append("inner")


@pytest.mark.spec("A-36", "L-06")
def test_tasks_that_a_request_has_started_are_counted_and_end_before_the_shutdown() -> None:
    app = Spawning()
    adapter = ASGIToWSGI(app)
    call(adapter)
    assert app.begun.wait(WAIT_SECONDS)

    counted = adapter.background_tasks
    threading.Timer(0.1, app.release.set).start()
    adapter.close()

    assert counted == 2
    assert app.steps == ["outer", "inner", "shutdown"]
    assert adapter.background_tasks == 0


def test_a_task_of_a_request_that_still_runs_is_no_background_work() -> None:
    entered, release = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reached(release))
            await send(start())
            await send(body(b"one", more=True))
            entered.set()
        await send(body(b"two"))

    adapter = bridged(app)
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(call(adapter).body))
    thread.start()
    assert entered.wait(WAIT_SECONDS)

    counted = adapter.background_tasks
    release.set()
    thread.join(WAIT_SECONDS)

    assert (counted, answers) == (0, [b"onetwo"])


@pytest.mark.spec("A-36")
def test_a_started_task_without_end_is_cancelled_after_the_time_for_tasks(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    app = Spawning()
    adapter = ASGIToWSGI(app, task_timeout=0.01, loop_thread=loop_thread)
    call(adapter)

    adapter.close()

    assert tasks_of(loop_thread) == 0
    assert app.steps == ["shutdown"]
    assert [": 2 tasks still ran" in record.getMessage() for record in caplog.records] == [True]
    app.release.set()


@pytest.mark.spec("A-37")
def test_the_error_of_a_started_task_is_logged(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    async def fail() -> None:
        raise ValueError("in a task of its own")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.ensure_future(fail())  # noqa: RUF006 - kept by the adapter
        await hello(scope, receive, send)

    adapter = bridged(app, loop_thread=loop_thread)

    assert call(adapter).body == b"hello"
    adapter.close()
    assert tasks_of(loop_thread) == 0
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


@pytest.mark.spec("A-36")
def test_the_time_for_tasks_is_not_that_for_the_shutdown(loop_thread: LoopThread) -> None:
    app = Spawning()
    adapter = ASGIToWSGI(app, shutdown_timeout=0.0, task_timeout=None, loop_thread=loop_thread)
    call(adapter)
    threading.Timer(0.1, app.release.set).start()

    adapter.close()

    assert app.steps[:2] == ["outer", "inner"]


# ---------------------------------------------------------------- tasks of the lifespan


@pytest.mark.spec("L-06")
def test_a_task_of_the_lifespan_runs_until_the_shutdown_and_is_cancelled_then(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[str] = []
    kept: list[asyncio.Task[None]] = []

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("worker ends")

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        kept.append(asyncio.create_task(worker()))
        yield
        steps.append("shutdown")

    app = FastAPI(lifespan=lifespan)
    app.get("/")(lambda: "done")
    adapter = ASGIToWSGI(app, task_timeout=None, loop_thread=loop_thread)
    assert call(adapter).status == 200

    loop_thread.call(no_background(adapter))  # the task of the request itself may still be about to return
    adapter.close()

    assert steps == ["shutdown", "worker ends"]
    assert tasks_of(loop_thread) == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.spec("L-06")
def test_what_a_request_starts_in_a_task_group_of_the_lifespan_is_left_to_its_shutdown(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    """So does the `mcp` SDK with each session; that of a client that is gone ends in no other way."""
    steps: list[str] = []

    async def child() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("child ends")

    async def session(task_status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as below:
            below.start_soon(child)
            await asyncio.sleep(0)  # the child has begun
            task_status.started()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            app.state.group = group
            yield
            steps.append("shutdown")
            group.cancel_scope.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def begin() -> None:
        await app.state.group.start(session)

    adapter = ASGIToWSGI(app, task_timeout=None, loop_thread=loop_thread)
    assert call(adapter).status == 200

    adapter.close()

    assert steps == ["shutdown", "child ends"]
    assert tasks_of(loop_thread) == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.spec("A-36")
def test_the_watcher_of_sse_starlette_is_the_loops_and_no_work_of_a_request(loop_thread: LoopThread) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def events() -> AsyncIterator[str]:
            yield "one"

        await EventSourceResponse(events())(scope, receive, send)

    adapter = bridged(app, task_timeout=None, loop_thread=loop_thread)

    assert call(adapter).body == b"data: one\r\n\r\n"
    loop_thread.call(no_background(adapter))
    adapter.close()


# ---------------------------------------------------------------- task factories


def test_a_task_factory_of_the_loop_goes_on_making_the_tasks() -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **options)

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(factory)
        return loop

    loop_thread = LoopThread(make_loop)
    app = Spawning()
    app.release.set()
    adapter = bridged(app, loop_thread=loop_thread)
    call(adapter)
    adapter.close()
    loop_thread.close()

    assert {"outer", "inner"} <= set(made)
    assert sorted(app.steps) == ["inner", "outer"]


# ---------------------------------------------------------------- the end of the process

AT_EXIT = """
    import asyncio, threading
    from bridge import ASGIToWSGI
    from tests.support.wsgi import call

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            asyncio.ensure_future(worker())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await asyncio.to_thread(print, "shutdown in a thread", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})
        await asyncio.sleep(0.1)
        await asyncio.to_thread(print, "background", flush=True)

    async def worker():
        try:
            await asyncio.Event().wait()
        finally:
            print("worker ends", flush=True)

    adapter = ASGIToWSGI(app)
    call(adapter)
"""


@threads_at_exit
@pytest.mark.spec("A-36", "L-14")
def test_what_ends_with_the_process_may_still_use_threads() -> None:
    """CPython has joined its threads and starts no new one by the time that `atexit` runs."""
    assert run_script(AT_EXIT) == ["background", "shutdown in a thread", "worker ends"]


@pytest.mark.spec("A-36", "L-14")
def test_a_child_of_multiprocessing_ends_its_apps_too() -> None:
    """Such a child ends by `os._exit`: `atexit` does not run."""
    lines = run_script(
        AT_EXIT
        + """
    adapter.close()
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=call, args=[adapter])
    child.start()
    child.join(20)
    print("exit", child.exitcode)
    """
    )

    assert lines == sorted(["background", "shutdown in a thread", "worker ends"] * 2 + ["exit 0"])


@threads_at_exit
@pytest.mark.spec("L-06")
def test_a_request_that_is_late_for_the_end_of_the_process_is_refused() -> None:
    lines = run_script(
        AT_EXIT
        + """
    def late():
        threading.main_thread().join()
        while adapter._life._closed_for_good is False or not adapter._tasks.life.over:
            pass
        print(call(adapter).status, flush=True)

    threading.Thread(target=late).start()
    """
    )

    assert lines == ["503", "background", "shutdown in a thread", "worker ends"]
