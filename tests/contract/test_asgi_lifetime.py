"""How an ASGI app's request ends: by its last block, by an error, by a lost client, and after a fork."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bridge import ASGIToWSGI, Site
from bridge._runtime.crossing import HIGH_WATER_BYTES
from bridge._runtime.loop import LoopThread
from bridge._runtime.mailbox import Mailbox
from bridge.errors import AppProtocolError, BridgeError
from tests.contract.asgi_specimens import (
    WAIT_SECONDS,
    body,
    bridged,
    cancel_when_told,
    hello,
    late_error,
    reached,
    returns_at_once,
    returns_midway,
    returns_started,
    start,
    started_error,
)
from tests.support.scripts import run_script
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.types import Environ, Receive, Scope, Send, StartResponse

GONE = {"type": "http.disconnect"}


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


def open_response(app: ASGIToWSGI) -> Any:
    """Call an app as a server does, but do not iterate."""
    return app(make_environ(), Answer().start_response)


class Endless:
    """Streams until it hears that the client has gone.

    Attributes:
        heard: what told it, in order.
        ended: set at its end, whatever that is.
    """

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.ended = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        listener = asyncio.ensure_future(self._listen(receive))
        try:
            await send(start())
            while True:
                await send(body(b"x" * 70_000, more=True))
        except OSError as exc:
            await listener
            self.heard.append(type(exc))
            raise
        finally:
            self.ended.set()

    async def _listen(self, receive: Receive) -> None:
        self.heard.append(await receive())


# ---------------------------------------------------------------- a lost client


@pytest.mark.spec("A-04", "A-31", "A-33")
def test_a_closed_response_disconnects_the_app_and_then_its_send_raises() -> None:
    app = Endless()
    blocks = open_response(bridged(app))
    next(blocks)

    blocks.close()

    assert app.ended.wait(WAIT_SECONDS)
    assert app.heard[0] == GONE
    assert isinstance(app.heard[1], type) and issubclass(app.heard[1], OSError)
    assert issubclass(app.heard[1], BridgeError)


@pytest.mark.spec("A-31", "A-33", "SEC-20")
def test_a_send_that_waits_for_the_server_is_freed_by_a_disconnect(loop_thread: LoopThread) -> None:
    app = Endless()
    blocks = open_response(bridged(app, loop_thread=loop_thread, cancel_timeout=None))
    for _ in range(5):
        loop_thread.call(asyncio.sleep(0))  # the app comes to where it waits for room

    blocks.close()

    assert app.ended.wait(WAIT_SECONDS)


@pytest.mark.spec("A-31", "A-33")
def test_an_app_that_listens_can_cancel_its_sender_before_its_send_raises() -> None:
    """As Django's handler does, which cleans up after a cancellation."""
    ends: list[str] = []
    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def stream() -> None:
            try:
                await send(start())
                while True:
                    await send(body(b"x" * 70_000, more=True))
            except BaseException as exc:
                ends.append(type(exc).__name__)
                raise

        await receive()
        await cancel_when_told(receive, stream())
        ended.set()

    for _ in range(5):
        ended.clear()
        blocks = open_response(bridged(app))
        next(blocks)
        blocks.close()
        assert ended.wait(WAIT_SECONDS)

    assert ends == ["CancelledError"] * 5


@pytest.mark.spec("A-33", "SEC-22")
def test_the_sender_of_an_app_that_listens_is_cancelled_where_it_waits_itself() -> None:
    """Cancelled within `send()`, Django left the generator of the view open until a collection."""
    at: list[str] = []
    ended = threading.Event()

    async def stream(send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        at.append("send")
        await send(body(b"x" * HIGH_WATER_BYTES, more=True))  # waits for room until the client leaves
        at.append("view")
        await asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await cancel_when_told(receive, stream(send))
        ended.set()

    blocks = open_response(bridged(app))
    next(blocks)
    blocks.close()

    assert ended.wait(WAIT_SECONDS)
    assert at == ["send", "view"]


@pytest.mark.spec("A-31")
def test_every_send_after_a_disconnect_raises() -> None:
    errors: list[type] = []
    left, ended = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"one", more=True))
        await reached(left)
        assert await receive() == GONE
        for event in (body(b"two", more=True), body(b"three"), start()):
            try:
                await send(event)
            except OSError as exc:
                errors.append(type(exc))
        ended.set()

    blocks = open_response(bridged(app))
    blocks.close()
    left.set()

    assert ended.wait(WAIT_SECONDS)
    assert len(errors) == 3


@pytest.mark.spec("A-32")
def test_an_app_that_lets_the_disconnect_through_is_not_logged(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    app = Endless()
    adapter = bridged(app, loop_thread=loop_thread)

    open_response(adapter).close()
    assert app.ended.wait(WAIT_SECONDS)
    adapter.close()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.spec("A-32")
def test_another_error_after_a_disconnect_is_logged(
    caplog: pytest.LogCaptureFixture, loop_thread: LoopThread
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"one", more=True))
        await receive()
        raise ValueError("while cleaning up")

    adapter = bridged(app, loop_thread=loop_thread)
    open_response(adapter).close()
    adapter.close()

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


@pytest.mark.spec("A-33", "SEC-22")
@pytest.mark.parametrize("kind", [None, ValueError], ids=["lets it out", "raises its own"])
def test_the_generators_of_an_app_that_keeps_its_own_error_are_closed(kind: type[Exception] | None) -> None:
    closed, kept = threading.Event(), []

    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 70_000
        finally:
            closed.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        generator = blocks()
        await send(start())
        try:
            for block in generator:
                await send(body(block, more=True))
        except OSError as exc:
            error = kind() if kind else exc
            kept.append(error)  # and so the frame with the generator
            raise error from None

    response = open_response(bridged(app))
    next(response)

    response.close()

    assert closed.wait(WAIT_SECONDS)
    assert isinstance(kept[0], kind or OSError)


@pytest.mark.spec("A-33")
def test_an_app_that_takes_no_notice_is_cancelled_after_a_grace() -> None:
    cancelled = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    open_response(bridged(app, cancel_timeout=0.01)).close()

    assert cancelled.wait(WAIT_SECONDS)


@pytest.mark.spec("A-33", "SEC-22")
def test_aborted_streams_leave_no_task(loop_thread: LoopThread) -> None:
    apps = [Endless() for _ in range(21)]

    for app in apps:
        blocks = open_response(bridged(app, loop_thread=loop_thread))
        next(blocks)
        blocks.close()

    assert all(app.ended.wait(WAIT_SECONDS) for app in apps)
    assert tasks_of(loop_thread) == 0


@pytest.mark.spec("A-33", "SEC-22")
def test_an_aborted_request_is_not_kept_for_its_grace(loop_thread: LoopThread, no_gc: None) -> None:
    tasks = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(weakref.ref(task))
        await receive()
        await send(start())
        await send(body(b"one", more=True))
        await receive()

    for _ in range(20):
        blocks = open_response(bridged(app, loop_thread=loop_thread, cancel_timeout=3600))
        next(blocks)
        blocks.close()
        del blocks

    def alive() -> int:
        loop_thread.call(asyncio.sleep(0))
        return sum(task() is not None for task in tasks)

    ends = time.monotonic() + WAIT_SECONDS
    while alive() > 1:  # the last one may still be in a local variable of the loop
        assert time.monotonic() < ends


@pytest.mark.spec("WA-06", "A-33")
def test_close_may_come_twice_and_without_iteration(loop_thread: LoopThread) -> None:
    app = Endless()
    blocks = open_response(bridged(app, loop_thread=loop_thread))

    blocks.close()
    blocks.close()

    assert app.ended.wait(WAIT_SECONDS)
    assert tasks_of(loop_thread) == 0


@pytest.mark.spec("WA-06")
def test_a_closed_response_is_at_its_end() -> None:
    blocks = open_response(bridged(Endless()))
    next(blocks)

    blocks.close()

    assert list(blocks) == []


@pytest.mark.spec("WA-08", "A-33")
def test_a_start_response_that_raises_is_let_through_and_ends_the_app(loop_thread: LoopThread) -> None:
    app = Endless()

    def refuse(*args: Any) -> Any:
        raise LookupError("no such status here")

    with pytest.raises(LookupError):
        bridged(app, loop_thread=loop_thread)(make_environ(), refuse)

    assert app.ended.wait(WAIT_SECONDS)
    assert tasks_of(loop_thread) == 0


class Alarm(BaseException):
    """What a server raises in its own thread: a timeout, an order to exit."""


class Alarming:
    """A `wsgi.input` in whose read the server is interrupted."""

    def read(self, size: int, /) -> bytes:
        raise Alarm


@pytest.mark.spec("A-33", "SEC-22")
@pytest.mark.parametrize("blocks_before", [0, 1])
def test_a_server_that_is_interrupted_while_it_waits_ends_the_app(blocks_before: int) -> None:
    told = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(blocks_before):
            await send(body(b"one", more=True))
        if await receive() == GONE:
            told.set()

    environ = make_environ(wsgi__input=Alarming(), CONTENT_LENGTH="1")

    with pytest.raises(Alarm):
        list(bridged(app, cancel_timeout=None)(environ, Answer().start_response))

    assert told.wait(WAIT_SECONDS)


# ---------------------------------------------------------------- errors


@pytest.mark.spec("A-34", "A-26")
def test_an_error_before_the_first_block_reaches_the_server_as_it_is() -> None:
    answer = Answer()

    with pytest.raises(ValueError, match="secret") as caught:
        bridged(started_error)(make_environ(), answer.start_response)

    assert answer.starts == []
    assert caught.traceback[-1].name == "started_error"


@pytest.mark.spec("A-34", "SEC-11")
def test_an_error_after_the_first_block_cuts_the_response() -> None:
    blocks = open_response(bridged(late_error))
    assert next(blocks) == b"part"

    with pytest.raises(ValueError, match="secret"):
        next(blocks)


@pytest.mark.spec("A-35")
@pytest.mark.parametrize("app", [returns_at_once, returns_started], ids=lambda app: app.__name__)
def test_an_app_that_returns_without_a_response_is_an_error(app: Any) -> None:
    answer = Answer()

    with pytest.raises(AppProtocolError, match="returned without a response"):
        bridged(app)(make_environ(), answer.start_response)

    assert answer.starts == []


@pytest.mark.spec("A-35", "SEC-11")
def test_an_app_that_returns_in_the_middle_cuts_the_response() -> None:
    blocks = open_response(bridged(returns_midway))
    assert next(blocks) == b"part"

    with pytest.raises(AppProtocolError, match="in the middle of its response"):
        next(blocks)


FATAL = [
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    asyncio.CancelledError,
    RecursionError,
    MemoryError,
    StopAsyncIteration,
]


@pytest.mark.spec("A-41", "SEC-34")
@pytest.mark.parametrize("kind", FATAL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("blocks_before", [0, 1])
def test_whatever_an_app_raises_is_an_exception_to_the_server_and_the_next_request_is_served(
    kind: type[BaseException], blocks_before: int, loop_thread: LoopThread
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/next":
            await hello(scope, receive, send)
            return
        await send(start())
        for _ in range(blocks_before):
            await send(body(b"one", more=True))
        raise kind

    adapter = bridged(app, loop_thread=loop_thread)
    loop = loop_thread.start().loop

    with pytest.raises(Exception) as caught:
        call(adapter)

    assert isinstance(caught.value, kind) or isinstance(caught.value.__cause__, kind)
    assert call(adapter, path="/next").body == b"hello"
    assert loop_thread.start().loop is loop


@pytest.mark.spec("A-41", "SEC-34")
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_task_of_an_app_that_exits_does_not_end_the_loop(
    kind: type[BaseException], loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    async def child() -> None:
        raise kind

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/task":
            task = asyncio.ensure_future(child())
            await asyncio.wait([task])
            task.exception()
        await hello(scope, receive, send)

    adapter = bridged(app, loop_thread=loop_thread)

    assert call(adapter, path="/task").body == b"hello"
    assert call(adapter).body == b"hello"
    assert kind.__name__ in caplog.text


@pytest.mark.spec("A-33", "A-41", "SEC-34")
def test_an_error_that_comes_while_the_server_writes_to_a_lost_client_is_logged_once(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("of the app")
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        await go_on.wait()
        raise error

    adapter = bridged(app, loop_thread=loop_thread)
    blocks = open_response(adapter)
    next(blocks)  # the server writes it
    loop_thread.start().loop.call_soon_threadsafe(go_on.set)
    end = time.monotonic() + WAIT_SECONDS
    while tasks_of(loop_thread):  # each look is a turn of the loop
        assert time.monotonic() < end

    blocks.close()  # its write failed

    adapter.close()
    tasks_of(loop_thread)  # what was posted has been called
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


# ---------------------------------------------------------------- many requests, one loop


@pytest.mark.spec("A-38", "L-02", "WA-01")
def test_requests_of_many_threads_run_at_once_on_the_loop_of_the_lifespan(loop_thread: LoopThread) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    meeting = asyncio.Barrier(8)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        async with asyncio.timeout(WAIT_SECONDS):
            await meeting.wait()  # passes only when all eight are here
        await hello(scope, receive, send)

    adapter = ASGIToWSGI(app, loop_thread=loop_thread)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(adapter), range(8)))
    adapter.close()

    assert [answer.body for answer in answers] == [b"hello"] * 8
    assert len(loops) == 9 and len(set(map(id, loops))) == 1


def test_the_loop_is_uvloops_where_that_is_installed(loop_thread: LoopThread) -> None:
    assert isinstance(loop_thread.start().loop, uvloop.Loop)


@pytest.mark.spec("A-38")
def test_adapters_share_one_loop() -> None:
    loops = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await hello(scope, receive, send)

    call(bridged(app))
    call(bridged(app))

    assert loops[0] is loops[1]


@pytest.mark.spec("WA-14")
def test_a_stuck_request_does_not_stop_the_others() -> None:
    stuck, release = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stuck":
            stuck.set()
            await reached(release)
        await hello(scope, receive, send)

    adapter = bridged(app)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, adapter, path="/stuck")
        assert stuck.wait(WAIT_SECONDS)
        others = [call(adapter).body for _ in range(3)]
        assert not waiting.done()
        release.set()

    assert others == [b"hello"] * 3
    assert waiting.result().body == b"hello"


token: contextvars.ContextVar[str] = contextvars.ContextVar("token", default="none")


async def tokens(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the token found, and the token set, after others have had their turn."""
    before = token.get()
    token.set(scope["path"])
    await send(start())
    await send(body(f"{before} ".encode(), more=True))
    await asyncio.sleep(0)
    await send(body(token.get().encode(), more=True))
    await asyncio.sleep(0)
    await send(body())


@pytest.mark.spec("A-40", "SEC-31")
def test_two_thousand_requests_keep_their_context_variables_apart() -> None:
    adapter = bridged(tokens)

    def request(number: int) -> bytes:
        if number % 10 == 0:
            open_response(adapter).close()  # an abandoned one in between
        return call(adapter, path=f"/{number}").body

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(request, range(2_000)))

    assert answers == [f"none /{number}".encode() for number in range(2_000)]


@pytest.mark.spec("A-40", "SEC-31")
def test_a_request_does_not_see_what_the_one_before_it_on_its_thread_has_set() -> None:
    adapter = bridged(tokens)

    answers = contextvars.copy_context().run(
        lambda: [call(adapter, path="/first").body, call(adapter, path="/second").body]
    )

    assert answers == [b"none /first", b"none /second"]


def test_a_context_variable_of_the_server_is_seen_by_the_app() -> None:
    def serve() -> bytes:
        token.set("outer")
        return call(bridged(tokens), path="/x").body

    assert contextvars.copy_context().run(serve) == b"outer /x"


def test_a_context_variable_of_the_app_is_seen_by_the_middleware_outside() -> None:
    def serve() -> str:
        call(bridged(tokens), path="/x")
        return token.get()

    assert contextvars.copy_context().run(serve) == "/x"


@pytest.mark.spec("A-40", "SEC-31")
def test_an_app_beside_the_adapter_in_a_site_sees_nothing_of_the_request_before() -> None:
    """In Werkzeug's DispatcherMiddleware it does: docs/explanation/limits.md says so."""

    def beside(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [token.get().encode()]

    def answers(both: Any) -> list[bytes]:
        return contextvars.copy_context().run(
            lambda: [call(both, path="/api/x").body, call(both, path="/").body]
        )

    site = Site()
    site.mount("/api", tokens)
    site.mount("/", beside)

    assert answers(site.wsgi) == [b"none /api/x", b"none"]
    assert answers(DispatcherMiddleware(beside, {"/api": bridged(tokens)})) == [b"none /api/x", b"/api/x"]


@pytest.mark.spec("A-40", "SEC-31")
def test_the_error_of_a_request_reaches_that_request_only() -> None:
    meeting = asyncio.Barrier(8)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await meeting.wait()
        raise ValueError(scope["path"])

    adapter = bridged(app)

    def request(number: int) -> str:
        with pytest.raises(ValueError) as caught:
            call(adapter, path=f"/{number}")
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(request, range(8))) == [f"/{number}" for number in range(8)]


# ---------------------------------------------------------------- processes


@pytest.mark.spec("A-38", "A-41")
def test_a_request_that_begins_in_the_turn_in_which_all_are_cancelled_tells_its_thread(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled before its first step runs nothing of its coroutine."""
    held, go = threading.Event(), threading.Event()
    post = Mailbox.post

    def post_and_go(mailbox: Mailbox, act: Any) -> None:
        post(mailbox, act)
        go.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    adapter = bridged(app, loop_thread=loop_thread)
    loop = loop_thread.start().loop

    async def drain_when_told() -> None:
        told = asyncio.Event()

        def hold() -> None:
            held.set()
            go.wait(WAIT_SECONDS)  # until the request is posted: it begins before the drain goes on
            told.set()

        loop.call_soon(hold)
        await told.wait()
        await adapter._tasks.drain(0)
        await adapter._tasks.cancel_rest(0)

    draining = asyncio.run_coroutine_threadsafe(drain_when_told(), loop)
    assert held.wait(WAIT_SECONDS)
    monkeypatch.setattr(Mailbox, "post", post_and_go)
    failures: SimpleQueue[Exception] = SimpleQueue()

    def request() -> None:
        try:
            call(adapter)
        except Exception as exc:
            failures.put(exc)

    threading.Thread(target=request, daemon=True).start()  # a daemon: where this fails it waits for ever
    assert isinstance(failures.get(timeout=WAIT_SECONDS), AppProtocolError)
    draining.result(WAIT_SECONDS)


APP_SCRIPT = """
    import asyncio, os, sys, threading
    from bridge import ASGIToWSGI
    from tests.support.wsgi import call

    def print(*words, flush=True):
        # In one write, without a buffer: a forked child would write what a thread of its parent has begun.
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            print("startup", NAME, flush=True)
            scope["state"]["name"] = NAME
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutdown", NAME, flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["state"]["name"].encode()})

    NAME = "parent"
    adapter = ASGIToWSGI(app)
"""


@pytest.mark.spec("A-39")
def test_nothing_is_started_by_import_and_construction() -> None:
    lines = run_script(APP_SCRIPT + "    print(threading.active_count())\n")

    assert lines == ["1"]


@pytest.mark.spec("A-39", "L-15")
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used before the fork"])
def test_a_forked_child_has_its_own_loop_and_lifespan(used: bool) -> None:
    lines = run_script(
        APP_SCRIPT
        + f"    used = {used}\n"
        + """
    if used:
        print("answer", call(adapter).body.decode(), flush=True)
    child = os.fork()
    if child == 0:
        NAME = "child"
        print("answer", call(adapter).body.decode(), flush=True)
        adapter.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("exit", os.waitstatus_to_exitcode(status), flush=True)
    print("answer", call(adapter).body.decode(), flush=True)
    adapter.close()
    """
    )

    assert lines == sorted(
        [
            *(["answer parent"] if used else []),
            *("startup child", "answer child", "shutdown child", "exit 0"),
            *("startup parent", "answer parent", "shutdown parent"),
        ]
    )


@pytest.mark.spec("A-39", "SEC-34")
def test_a_fork_while_a_request_runs_leaves_the_child_able_to_serve() -> None:
    lines = run_script(
        APP_SCRIPT
        + """
    begun = threading.Event()

    async def stuck(scope, receive, send):
        begun.set()
        await asyncio.sleep(30)

    threading.Thread(target=call, args=[ASGIToWSGI(stuck, lifespan="off")], daemon=True).start()
    begun.wait()
    child = os.fork()
    if child == 0:
        NAME = "child"
        print("answer", call(adapter).body.decode(), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("exit", os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)
    """
    )

    assert lines == ["answer child", "exit 0", "startup child"]


@pytest.mark.spec("A-39", "L-15")
def test_children_forked_by_a_thread_while_others_serve_have_lives_of_their_own() -> None:
    """As a preloader does, which forks a worker whenever one is needed."""
    lines = run_script(
        APP_SCRIPT
        + """
    from concurrent.futures import ThreadPoolExecutor

    def worker(number):
        global NAME
        child = os.fork()
        if child == 0:
            NAME = f"child{number}"
            with ThreadPoolExecutor(4) as pool:
                answers = {answer.body.decode() for answer in pool.map(lambda _: call(adapter), range(20))}
            print("answers", *answers, flush=True)
            adapter.close()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    stop = threading.Event()

    def serve():
        while not stop.is_set():
            call(adapter)

    server = threading.Thread(target=serve)
    server.start()
    with ThreadPoolExecutor(1) as spawner:
        print("exits", *spawner.map(worker, range(3)), flush=True)
    stop.set()
    server.join()
    adapter.close()
    """
    )

    children = [f"{what} child{number}" for what in ("answers", "startup", "shutdown") for number in range(3)]
    assert lines == sorted([*children, "exits 0 0 0", "startup parent", "shutdown parent"])


@pytest.mark.spec("L-14", "L-06")
def test_a_process_that_ends_without_close_shuts_its_apps_down() -> None:
    lines = run_script(APP_SCRIPT + "    call(adapter)\n")

    assert lines == ["shutdown parent", "startup parent"]
