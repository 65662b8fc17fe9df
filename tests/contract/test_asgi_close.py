"""Requests that come while an ASGI app is being closed: a life of the app that is not over serves each."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from bridge import ASGIToWSGI
from bridge._runtime.loop import LoopThread
from bridge._runtime.nesting import note_ancestor
from tests.contract.asgi_specimens import WAIT_SECONDS, body, reached, start
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.types import Environ, Receive, Scope, Send


class Living:
    """Answers with the number of the life that it was begun in, and records what happens.

    Attributes:
        steps: what happened, in order, each with the number of the life in which it happened.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lives = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.lives += 1
            self.steps.append(f"start {self.lives}")
            scope["state"]["life"] = self.lives
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.steps.append(f"stop {self.lives}")
            await send({"type": "lifespan.shutdown.complete"})
            return
        life = scope["state"]["life"]
        self.steps.append(f"{scope['path']} {life}")
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        await self.work(scope["path"])
        await send(start())
        await send(body(str(life).encode()))

    async def work(self, path: str) -> None:
        """Do what a request does before it is answered."""


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """A loop of its own, ended with the test and with all that runs on it."""
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ASGIToWSGI], tuple[Any, threading.Event]]]:
    """Begin a request that has found the app started and is not posted to it yet; give what posts it."""
    held, go, late = threading.Event(), threading.Event(), threading.local()

    def note_and_wait(context: Any) -> None:
        note_ancestor(context)
        if getattr(late, "waits", False):
            late.waits = False
            held.set()
            go.wait(WAIT_SECONDS)

    monkeypatch.setattr("bridge._runtime.asgi_exchange.note_ancestor", note_and_wait)

    with ThreadPoolExecutor(1) as pool:

        def hold(adapter: ASGIToWSGI) -> tuple[Any, threading.Event]:
            def request() -> bytes:
                late.waits = True
                return call(adapter, path="/late").body

            answer = pool.submit(request)
            assert held.wait(WAIT_SECONDS)
            return answer, go

        yield hold
        go.set()


@pytest.mark.spec("L-14", "L-16")
def test_a_request_that_had_not_begun_when_the_app_was_shut_down_starts_it_again(holding: Any) -> None:
    app = Living()
    adapter = ASGIToWSGI(app)
    adapter.start()
    answer, post = holding(adapter)

    adapter.close()
    post.set()

    assert answer.result(WAIT_SECONDS) == b"2"
    adapter.close()
    assert app.steps == ["start 1", "stop 1", "start 2", "/late 2", "stop 2"]


@pytest.mark.spec("L-08", "L-14")
def test_a_request_gets_the_state_of_the_life_that_serves_it(holding: Any) -> None:
    app = Living()
    adapter = ASGIToWSGI(app)
    adapter.start()
    answer, post = holding(adapter)

    adapter.close()
    call(adapter, path="/other")
    post.set()

    assert answer.result(WAIT_SECONDS) == b"2"
    adapter.close()
    assert app.steps == ["start 1", "stop 1", "start 2", "/other 2", "/late 2", "stop 2"]


def handshake(near: socket.socket) -> Environ:
    return make_environ("/ws") | {
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==",
        "gunicorn.socket": near,
    }


def in_daemon(act: Callable[[], Any]) -> SimpleQueue[Any]:
    """Run it in a thread that nobody waits for at the end, and give the queue of its one result."""
    result: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            result.put(act())
        except BaseException as exc:
            result.put(exc)

    threading.Thread(target=run, daemon=True).start()
    return result


@pytest.mark.spec("L-14", "A-38")
def test_a_request_that_comes_behind_the_last_look_at_them_may_call_its_own_app(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran while `close()` held what the request in it waited for: for ever without `task_timeout`."""
    entered, stopping = threading.Event(), threading.Event()

    class Nesting(Living):
        async def work(self, path: str) -> None:
            if path == "/outer":
                entered.set()
                await reached(stopping)  # the look is over, and the app is being stopped or was
                await asyncio.to_thread(call, adapter, path="/inner")

    app = Nesting()
    adapter = ASGIToWSGI(app, task_timeout=None, loop_thread=loop_thread)
    adapter.start()
    answers: list[SimpleQueue[Any]] = []
    run = loop_thread.call

    def call_and_let_in(work: Any) -> Any:
        result = run(work)
        monkeypatch.setattr(loop_thread, "call", stop)
        answers.append(in_daemon(lambda: call(adapter, path="/outer").body))
        assert entered.wait(WAIT_SECONDS)
        return result

    def stop(work: Any) -> Any:
        stopping.set()
        return run(work)

    monkeypatch.setattr(loop_thread, "call", call_and_let_in)
    closed = in_daemon(adapter.close)

    assert closed.get(timeout=WAIT_SECONDS) is None
    assert answers[0].get(timeout=WAIT_SECONDS) == b"2"
    assert app.steps == ["start 1", "stop 1", "start 2", "/outer 2", "/inner 2"]


@pytest.mark.spec("L-14", "L-06")
def test_a_request_that_comes_while_others_are_cancelled_is_served_by_the_next_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, cancelling, release = threading.Event(), threading.Event(), threading.Event()

    class Stuck(Living):
        async def work(self, path: str) -> None:
            if path == "/stuck":
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelling.set()
                    await reached(release)
                    self.steps.append("cancelled")

    app = Stuck()
    adapter = ASGIToWSGI(app, task_timeout=0.01)
    adapter.start()
    with ThreadPoolExecutor(3) as pool:
        stuck = pool.submit(call, adapter, path="/stuck")
        assert begun.wait(WAIT_SECONDS)
        closing = pool.submit(adapter.close)
        assert cancelling.wait(WAIT_SECONDS)
        life, starting = adapter._life, threading.Event()
        begin = life.start

        def start_and_tell() -> Any:
            starting.set()
            return begin()

        monkeypatch.setattr(life, "start", start_and_tell)
        late = pool.submit(call, adapter, path="/late")
        assert starting.wait(WAIT_SECONDS)
        release.set()
        closing.result(WAIT_SECONDS)
        assert late.result(WAIT_SECONDS).body == b"2"
        assert stuck.exception(WAIT_SECONDS) is not None

    adapter.close()
    assert app.steps == ["start 1", "/stuck 1", "cancelled", "stop 1", "start 2", "/late 2", "stop 2"]


@pytest.mark.spec("L-14", "L-16")
def test_a_websocket_that_had_not_begun_when_the_app_was_shut_down_starts_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Living()
    adapter = ASGIToWSGI(app)
    adapter.start()
    held, go = threading.Event(), threading.Event()
    enter = adapter._enter

    def enter_and_wait() -> Any:
        entered = enter()
        held.set()
        go.wait(WAIT_SECONDS)
        return entered

    monkeypatch.setattr(adapter, "_enter", enter_and_wait)
    near, far = socket.socketpair()
    answer = Answer()
    with near, far, ThreadPoolExecutor(1) as pool:
        opening = pool.submit(adapter, handshake(near), answer.start_response)
        assert held.wait(WAIT_SECONDS)
        adapter.close()
        go.set()
        opening.result(WAIT_SECONDS)

    assert (answer.status, len(adapter._websockets)) == (403, 0)
    adapter.close()
    assert app.steps == ["start 1", "stop 1", "start 2", "/ws 2", "stop 2"]


@pytest.mark.spec("L-14", "SEC-20")
def test_a_websocket_that_comes_while_requests_are_waited_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was open for as long as its client liked, and `close()` waited for it, or cancelled it."""
    begun, draining, release = threading.Event(), threading.Event(), threading.Event()

    class Open(Living):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
                return
            await super().__call__(scope, receive, send)

        async def work(self, path: str) -> None:
            begun.set()
            await reached(release)

    adapter = ASGIToWSGI(Open(), task_timeout=None)
    drain = adapter._tasks.drain

    async def drain_and_tell(timeout: float | None) -> None:
        draining.set()
        await drain(timeout)

    monkeypatch.setattr(adapter._tasks, "drain", drain_and_tell)
    during, after = Answer(), Answer()
    near, far = socket.socketpair()
    with near, far, ThreadPoolExecutor(2) as pool:
        request = pool.submit(call, adapter)
        assert begun.wait(WAIT_SECONDS)
        closing = pool.submit(adapter.close)
        assert draining.wait(WAIT_SECONDS)
        adapter(handshake(near), during.start_response)
        release.set()
        closing.result(WAIT_SECONDS)
        assert request.result(WAIT_SECONDS).body == b"1"
        adapter(handshake(near), after.start_response)

    assert (during.status, after.status) == (503, 403)
    adapter.close()
