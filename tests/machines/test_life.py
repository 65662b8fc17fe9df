"""A machine of real threads: whoever comes, calls and closes, an app serves no request after its shutdown."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge import ASGIToWSGI
from bridge._runtime.loop import LoopThread
from bridge._runtime.nesting import note_ancestor
from tests._protocol.strategies import THREADS_MACHINE
from tests.support.wsgi import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.types import Receive, Scope, Send

SECONDS = 10

_now = threading.local()


@pytest.fixture(autouse=True, scope="module")
def _stops_before_the_post() -> Iterator[None]:
    """Have a request stop where it has found the app started and is not posted to it yet."""

    def note_and_stop(context: Any) -> None:
        note_ancestor(context)
        visit, _now.visit = getattr(_now, "visit", None), None
        if visit is not None:
            visit.held.set()
            visit.go.wait(SECONDS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge._runtime.asgi_exchange.note_ancestor", note_and_stop)
        yield


class _Visit:
    """One request: stops before it is posted, and in the app, until it is told to go on."""

    def __init__(self, *, nested: bool) -> None:
        self.nested = nested
        self.held, self.go = threading.Event(), threading.Event()
        self.entered, self.end = threading.Event(), threading.Event()
        self.answer: Future[bytes] = Future()


class LifeMachine(RuleBasedStateMachine):
    """Requests at every place of their way, some of which call their own app in a thread, and closes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop_thread = LoopThread()
        self.adapter = ASGIToWSGI(
            self.app, loop_thread=self.loop_thread, task_timeout=None, shutdown_timeout=None
        )
        self.threads = ThreadPoolExecutor(64)
        self.visits: dict[str, _Visit] = {}
        self.held: list[_Visit] = []
        self.running: list[_Visit] = []
        self.closes: list[Future[None]] = []
        self.life = 0  # these three are the app's
        self.alive = False
        self.wrong: list[str] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        life = scope["state"]["life"]
        self.look("begins", life)
        visit = self.visits.get(scope["path"])
        if visit is not None:
            visit.entered.set()
            await asyncio.to_thread(visit.end.wait, SECONDS)
            if visit.nested:
                inner = await asyncio.to_thread(call, self.adapter, path="/inner")
                if inner.body != str(life).encode():
                    self.wrong.append(f"a nested request had life {inner.body!r} in life {life}")
        self.look("ends", life)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(life).encode()})

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if self.alive:
            self.wrong.append("a life begins beside another")
        self.life += 1
        self.alive = True
        scope["state"]["life"] = self.life
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.alive = False
        await send({"type": "lifespan.shutdown.complete"})

    def look(self, what: str, life: int) -> None:
        if not self.alive or life != self.life:
            self.wrong.append(f"a request of life {life} {what} in life {self.life}, alive: {self.alive}")

    @rule(nested=st.booleans())
    def come(self, nested: bool) -> None:
        visit = _Visit(nested=nested)
        path = f"/{len(self.visits)}"
        self.visits[path] = visit

        def request() -> bytes:
            _now.visit = visit
            return call(self.adapter, path=path).body

        visit.answer = self.threads.submit(request)
        assert visit.held.wait(SECONDS)
        self.held.append(visit)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        visit = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        visit.go.set()
        assert visit.entered.wait(SECONDS), "a request does not begin"
        self.running.append(visit)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        visit = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        visit.end.set()
        assert int(visit.answer.result(SECONDS)) <= self.life
        self.join()

    @rule()
    def close(self) -> None:
        self.closes.append(self.threads.submit(self.adapter.close))
        self.join()

    def join(self) -> None:
        """Wait for those that close: while no request runs none of them waits for one."""
        while self.closes and not self.running:
            self.closes.pop().result(SECONDS)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.wrong

    def teardown(self) -> None:
        try:
            for visit in (*self.held, *self.running):
                visit.go.set()
                visit.end.set()
            for visit in (*self.held, *self.running):
                visit.answer.result(SECONDS)
            for closing in self.closes:
                closing.result(SECONDS)
            self.adapter.close()
            assert not self.wrong
            assert not self.alive
        finally:
            self.loop_thread.close()
            self.threads.shutdown(wait=False)


LifeMachine.TestCase.settings = THREADS_MACHINE
TestLifeMachine = LifeMachine.TestCase
