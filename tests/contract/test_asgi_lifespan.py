"""The lifespan of an ASGI app behind the bridge."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bridge import ASGIToWSGI
from bridge._runtime.loop import LoopThread
from bridge.errors import AppProtocolError, LifespanFailed
from tests.contract.asgi_specimens import WAIT_SECONDS, hello, reached
from tests.support.wsgi import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge._runtime.life import Life
    from bridge.types import Message, Receive, Scope, Send

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


class App:
    """Records what happens to it, and answers its requests.

    Attributes:
        steps: what happened, in order.
        scopes: of every call.
        on_startup: sent when the startup event has come.
        on_shutdown: sent when the shutdown event has come; empty for no answer at all.
        stopped: set when all that has been sent.
    """

    def __init__(self, startup: Message = STARTED, shutdown: Message = STOPPED) -> None:
        self.steps: list[str] = []
        self.scopes: list[Scope] = []
        self.on_startup = startup
        self.on_shutdown = shutdown
        self.stopped = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] != "lifespan":
            self.steps.append("request")
            await hello(scope, receive, send)
            return
        self.steps.append((await receive())["type"])
        await self.start(scope)
        await send(self.on_startup)
        self.steps.append((await receive())["type"])
        if not self.on_shutdown:
            await asyncio.Event().wait()
        await send(self.on_shutdown)
        self.stopped.set()

    async def start(self, scope: Scope) -> None:
        """Do what the app does before it has started."""


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """A loop of its own, ended with the test and with all that runs on it."""
    thread = LoopThread()
    yield thread
    thread.close()


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.spec("L-01")
def test_the_scope_is_that_of_the_specification() -> None:
    app = App()
    adapter = ASGIToWSGI(app)

    adapter.start()

    assert app.scopes == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    ]
    adapter.close()


@pytest.mark.spec("L-02", "L-16", "A-38")
def test_eight_threads_that_come_at_once_share_one_startup() -> None:
    app = App()
    adapter = ASGIToWSGI(app)
    meeting = threading.Barrier(8)

    def request(_: int) -> bytes:
        meeting.wait(WAIT_SECONDS)
        return call(adapter).body

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(request, range(8))) == [b"hello"] * 8

    assert app.steps == ["lifespan.startup", *["request"] * 8]
    adapter.close()


@pytest.mark.spec("L-03")
def test_no_request_runs_before_the_startup_is_complete() -> None:
    begun, release = threading.Event(), threading.Event()

    class Slow(App):
        async def start(self, scope: Scope) -> None:
            begun.set()
            await reached(release)
            self.steps.append("started")

    app = Slow()
    adapter = ASGIToWSGI(app)

    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(call, adapter)
        assert begun.wait(WAIT_SECONDS)
        assert not request.done()
        release.set()
        assert request.result().body == b"hello"

    assert app.steps == ["lifespan.startup", "started", "request"]
    adapter.close()


async def raises_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("http only")
    await hello(scope, receive, send)


async def raises_on_startup(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        raise ValueError("http only")
    await hello(scope, receive, send)


async def returns_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await hello(scope, receive, send)


async def exits_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise SystemExit(3)
    await hello(scope, receive, send)


UNSUPPORTING = [raises_on_lifespan, raises_on_startup, returns_on_lifespan, exits_on_lifespan, hello]


@pytest.mark.spec("L-04", "L-11", "D-08")
@pytest.mark.parametrize("app", UNSUPPORTING, ids=lambda app: app.__name__)
def test_an_app_without_lifespan_is_served_and_only_an_info_is_logged(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    adapter = ASGIToWSGI(app)

    assert call(adapter).body == b"hello"
    adapter.close()
    assert {record.levelno for record in caplog.records if record.name == "bridge.lifespan"} == {logging.INFO}


@pytest.mark.spec("L-04", "D-08")
@pytest.mark.parametrize("app", UNSUPPORTING, ids=lambda app: app.__name__)
def test_an_app_without_lifespan_is_refused_where_one_is_demanded(app: Any) -> None:
    with pytest.raises(LifespanFailed, match="does not support lifespan"):
        call(ASGIToWSGI(app, lifespan="on"))


@pytest.mark.spec("L-05")
@pytest.mark.parametrize("said", [{"message": "no database"}, {}], ids=["a message", "none"])
def test_a_failed_startup_is_logged_and_every_request_refused(
    said: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app = App(startup={"type": "lifespan.startup.failed", **said})
    adapter = ASGIToWSGI(app)

    for _ in range(2):
        with pytest.raises(LifespanFailed, match=said.get("message", "failed to start")):
            call(adapter)

    assert app.steps == ["lifespan.startup"]
    assert [said.get("message", "") in message for message in messages(caplog, logging.ERROR)] == [True]


@pytest.mark.spec("L-05", "L-16")
def test_a_failed_startup_is_reported_to_each_of_twenty_threads() -> None:
    app = App(startup={"type": "lifespan.startup.failed", "message": "no database"})
    adapter = ASGIToWSGI(app)
    meeting = threading.Barrier(20)

    def request(_: int) -> str:
        meeting.wait(WAIT_SECONDS)
        with pytest.raises(LifespanFailed) as caught:
            call(adapter)
        return str(caught.value)

    with ThreadPoolExecutor(20) as pool:
        outcomes = set(pool.map(request, range(20)))

    assert len(outcomes) == 1
    assert app.steps == ["lifespan.startup"]


@pytest.mark.spec("L-05", "L-11")
def test_a_startup_that_takes_too_long_fails(loop_thread: LoopThread) -> None:
    class Hanging(App):
        async def start(self, scope: Scope) -> None:
            await asyncio.Event().wait()

    adapter = ASGIToWSGI(Hanging(), startup_timeout=0.01, loop_thread=loop_thread)

    with pytest.raises(LifespanFailed, match=r"did not start within 0\.01 s"):
        call(adapter)


@pytest.mark.spec("L-06")
def test_shutdown_comes_after_the_requests_in_flight() -> None:
    begun, release = threading.Event(), threading.Event()

    class Busy(App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                begun.set()
                await reached(release)
            await super().__call__(scope, receive, send)

    app = Busy()
    adapter = ASGIToWSGI(app)
    with ThreadPoolExecutor(2) as pool:
        request = pool.submit(call, adapter)
        assert begun.wait(WAIT_SECONDS)
        closing = pool.submit(adapter.close)
        assert not app.stopped.is_set()
        release.set()
        closing.result()

    assert request.result().body == b"hello"
    assert app.steps == ["lifespan.startup", "request", "lifespan.shutdown"]
    assert app.stopped.is_set()


@pytest.mark.spec("L-06", "L-11")
def test_a_shutdown_without_an_answer_is_given_up_and_logged(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    app = App(shutdown={})
    adapter = ASGIToWSGI(app, shutdown_timeout=0.01, loop_thread=loop_thread)
    adapter.start()

    adapter.close()

    assert app.steps == ["lifespan.startup", "lifespan.shutdown"]
    assert ["did not stop" in message for message in messages(caplog, logging.ERROR)] == [True]


@pytest.mark.spec("L-07")
def test_a_failed_shutdown_is_logged_and_no_obstacle(caplog: pytest.LogCaptureFixture) -> None:
    adapter = ASGIToWSGI(App(shutdown={"type": "lifespan.shutdown.failed", "message": "not flushed"}))
    adapter.start()

    adapter.close()

    assert ["not flushed" in message for message in messages(caplog, logging.ERROR)] == [True]


@pytest.mark.spec("L-07")
def test_an_error_at_shutdown_is_logged_and_no_obstacle(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await receive()
        raise ValueError("not flushed")

    adapter = ASGIToWSGI(app)
    adapter.start()

    adapter.close()

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


class Stateful(App):
    async def start(self, scope: Scope) -> None:
        scope["state"]["database"] = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.scopes.append({**scope, "state": dict(scope["state"])})
            scope["state"]["number"] = 1
            await hello(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


@pytest.mark.spec("L-08", "L-09", "SEC-31")
def test_every_request_has_its_own_copy_of_the_state_that_the_app_filled() -> None:
    app = Stateful()
    adapter = ASGIToWSGI(app)

    call(adapter)
    call(adapter)

    lifespan, first, second = app.scopes
    assert first["state"] == second["state"] == {"database": app}
    assert lifespan["state"] == {"database": app}
    adapter.close()


@pytest.mark.spec("L-09")
@pytest.mark.parametrize("mode", ["off", "auto"])
def test_without_a_lifespan_there_is_no_state(mode: Any) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("unsupported")
        scopes.append(scope)
        await hello(scope, receive, send)

    call(ASGIToWSGI(app, lifespan=mode))

    assert "state" not in scopes[0]


@pytest.mark.spec("L-01")
def test_off_never_calls_the_app_for_a_lifespan() -> None:
    app = App()
    adapter = ASGIToWSGI(app, lifespan="off")

    call(adapter)
    adapter.close()

    assert app.steps == ["request"]


@pytest.mark.spec("L-10")
@pytest.mark.parametrize(
    "event",
    [
        STARTED,
        {"type": "lifespan.startup.failed"},
        STOPPED,
        {"type": "lifespan.bogus"},
        {"type": "http.response.start", "status": 200},
        {},
    ],
    ids=lambda event: event.get("type", "no type"),
)
def test_an_event_out_of_order_raises_in_the_app(event: Message) -> None:
    errors: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)
            return
        await receive()
        await send(STARTED)
        try:
            await send(event)
        except Exception as exc:
            errors.append(exc)
        await receive()
        await send(STOPPED)

    adapter = ASGIToWSGI(app)

    assert call(adapter).body == b"hello"
    adapter.close()
    assert [type(error) for error in errors] == [AppProtocolError]


@pytest.mark.spec("L-10")
def test_shutdown_complete_first_raises_in_the_app() -> None:
    errors: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await send(STOPPED)
        except Exception as exc:
            errors.append(exc)
        await send(STARTED)
        await receive()
        await send(STOPPED)

    adapter = ASGIToWSGI(app, lifespan="on")
    adapter.start()
    adapter.close()

    assert [type(error) for error in errors] == [AppProtocolError]


@pytest.mark.spec("L-11")
def test_an_app_that_returns_before_shutdown_holds_nothing_up() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send(STARTED)
        else:
            await hello(scope, receive, send)

    adapter = ASGIToWSGI(app, shutdown_timeout=None)

    assert call(adapter).body == b"hello"
    adapter.close()


@pytest.mark.spec("L-12")
def test_a_lifespan_that_dies_is_logged_and_requests_go_on(caplog: pytest.LogCaptureFixture) -> None:
    died = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)
            return
        await receive()
        await send(STARTED)
        try:
            raise ValueError("lost the database")
        finally:
            died.set()

    adapter = ASGIToWSGI(app, shutdown_timeout=None)

    assert call(adapter).body == b"hello"
    assert died.wait(WAIT_SECONDS)
    assert call(adapter).body == b"hello"
    adapter.close()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


@pytest.mark.spec("L-14")
def test_start_and_close_drive_the_lifespan_without_a_request() -> None:
    app = App()
    adapter = ASGIToWSGI(app)

    adapter.start()
    adapter.start()
    adapter.close()
    adapter.close()

    assert app.steps == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.spec("L-14")
def test_a_request_after_close_starts_the_app_again() -> None:
    app = App()
    adapter = ASGIToWSGI(app)

    for _ in range(2):
        call(adapter)
        adapter.close()

    assert app.steps == ["lifespan.startup", "request", "lifespan.shutdown"] * 2


@pytest.mark.spec("L-14", "L-06", "L-16")
def test_a_request_during_close_begins_no_second_life_beside_the_first() -> None:
    begun, draining, release = threading.Event(), threading.Event(), threading.Event()

    class Busy(App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/busy":
                begun.set()
                await reached(release)
            await super().__call__(scope, receive, send)

    app = Busy()
    adapter = ASGIToWSGI(app)
    drain = adapter._tasks.drain

    async def drain_when_told(timeout: float | None) -> None:
        draining.set()
        await drain(timeout)

    with ThreadPoolExecutor(2) as pool:
        request = pool.submit(call, adapter, path="/busy")
        assert begun.wait(WAIT_SECONDS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adapter._tasks, "drain", drain_when_told)
            closing = pool.submit(adapter.close)
            assert draining.wait(WAIT_SECONDS)
        late = call(adapter)
        release.set()
        closing.result()

    assert (request.result().body, late.body) == (b"hello", b"hello")
    assert app.steps == ["lifespan.startup", "request", "request", "lifespan.shutdown"]
    call(adapter)
    adapter.close()
    assert app.steps[4:] == ["lifespan.startup", "request", "lifespan.shutdown"]


@pytest.mark.spec("L-14", "L-16")
def test_a_request_during_the_shutdown_of_its_app_waits_and_starts_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopping, starting, release = threading.Event(), threading.Event(), threading.Event()

    class Slow(App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_slowly() -> Message:
                event = await receive()
                if event["type"] == "lifespan.shutdown" and not release.is_set():
                    stopping.set()
                    await reached(release)
                return event

            await super().__call__(scope, receive_slowly, send)

    app = Slow()
    adapter = ASGIToWSGI(app)
    adapter.start()
    start = adapter._life.start

    def start_and_tell() -> Life:
        starting.set()
        return start()

    with ThreadPoolExecutor(2) as pool:
        closing = pool.submit(adapter.close)
        assert stopping.wait(WAIT_SECONDS)
        monkeypatch.setattr(adapter._life, "start", start_and_tell)
        late = pool.submit(call, adapter)
        assert starting.wait(WAIT_SECONDS)
        release.set()
        closing.result()
        assert late.result().body == b"hello"

    adapter.close()
    assert app.steps[:2] == ["lifespan.startup", "lifespan.shutdown"]
    assert app.steps[2:] == ["lifespan.startup", "request", "lifespan.shutdown"]


@pytest.mark.spec("L-05")
def test_close_lets_a_failed_app_try_again() -> None:
    app = App(startup={"type": "lifespan.startup.failed"})
    adapter = ASGIToWSGI(app, task_timeout=None)  # nothing is left of the first try that would be waited for
    with pytest.raises(LifespanFailed):
        adapter.start()
    adapter.close()

    app.on_startup = STARTED

    assert call(adapter).body == b"hello"
    adapter.close()


@pytest.mark.spec("L-14", "L-06")
def test_an_app_whose_adapter_is_dropped_shuts_down_on_its_loop() -> None:
    loops: list[object] = []

    class Watching(App):
        async def start(self, scope: Scope) -> None:
            loops.append(asyncio.get_running_loop())

    app = Watching()
    call(ASGIToWSGI(app))
    gc.collect()

    assert app.stopped.wait(WAIT_SECONDS)
    assert app.steps == ["lifespan.startup", "request", "lifespan.shutdown"]


@pytest.mark.spec("L-06")
def test_the_shutdown_of_a_dropped_adapter_is_not_dropped_with_it() -> None:
    waiters: list[weakref.ref[asyncio.Future[None]]] = []
    stopping, stopped = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await receive()
        future = asyncio.get_running_loop().create_future()
        waiters.append(weakref.ref(future))
        stopping.set()
        await future  # nothing but this task refers to it
        await send(STOPPED)
        stopped.set()

    ASGIToWSGI(app, shutdown_timeout=None).start()
    gc.collect()
    assert stopping.wait(WAIT_SECONDS)
    gc.collect()
    future = waiters[0]()

    assert future is not None
    future.get_loop().call_soon_threadsafe(future.set_result, None)
    assert stopped.wait(WAIT_SECONDS)


@pytest.mark.spec("A-36")
def test_background_work_goes_on_though_its_adapter_is_dropped() -> None:
    waiters: list[weakref.ref[asyncio.Future[None]]] = []
    waiting, finished = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        future = asyncio.get_running_loop().create_future()
        waiters.append(weakref.ref(future))
        waiting.set()
        await future  # nothing but this task refers to it, and a loop holds its tasks weakly
        finished.set()

    call(ASGIToWSGI(app, lifespan="off"))
    assert waiting.wait(WAIT_SECONDS)
    gc.collect()
    future = waiters[0]()

    assert future is not None
    future.get_loop().call_soon_threadsafe(future.set_result, None)
    assert finished.wait(WAIT_SECONDS)
