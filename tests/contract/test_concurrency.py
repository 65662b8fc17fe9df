"""`ASGIToWSGI(max_concurrency=)`: so many requests of an app at once, and each place given back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from bridge import ASGIToWSGI
from bridge._protocol.observation import Outcome
from bridge._runtime.concurrency import Concurrency
from bridge._runtime.loop import LoopThread
from bridge._runtime.mailbox import Mailbox
from bridge.errors import AppProtocolError, ClientDisconnected, Overloaded
from bridge.types import ASGIApp, Message, Receive, Scope, Send
from tests.contract.asgi_specimens import WAIT_SECONDS, body, bridged, hello, reached, sized, start
from tests.support.wsgi import Answer, call, make_environ


class Held:
    """An app whose requests to `/held` are held until `go` is set; it counts those that have begun."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/held":
            self.begun.release()
            await reached(self.go)
        await hello(scope, receive, send)


@contextmanager
def holding(app: Held, adapter: ASGIToWSGI, count: int) -> Iterator[list[Future[Answer]]]:
    """Have so many requests run, until the end."""
    with ThreadPoolExecutor(count or 1) as pool:
        calls = [pool.submit(call, adapter, make_environ("/held")) for _ in range(count)]
        try:
            for _ in calls:
                assert app.begun.acquire(timeout=WAIT_SECONDS)
            yield calls
        finally:
            app.go.set()


@pytest.mark.parametrize("running", [1, 2, 3], ids=["below", "at", "above"])
def test_one_more_than_may_run_is_told_so_at_once(running: int) -> None:
    app = Held()
    adapter = bridged(app, max_concurrency=3)

    with holding(app, adapter, running) as held:
        answer = call(adapter)

    assert answer.status == (503 if running == 3 else 200)
    assert answer.headers.get("Retry-After") == ("1" if running == 3 else None)
    assert {each.result().status for each in held} == {200}
    assert call(adapter).status == 200
    assert adapter.stats().outcomes[Outcome.REJECTED] == (running == 3)


def served_afterwards(adapter: ASGIToWSGI) -> bool:
    """Tell whether the one place there is has been given back."""
    return [call(adapter).status for _ in range(2)] == [200, 200]


def test_a_stream_has_its_place_until_its_last_block() -> None:
    go = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/stream":
            await hello(scope, receive, send)
            return
        await send(start())
        await send(body(b"first", more=True))
        await reached(go)
        await send(body(b"last"))

    adapter = bridged(app, max_concurrency=1)
    blocks = iter(adapter(make_environ("/stream"), Answer().start_response))
    assert next(blocks) == b"first"
    beside = call(adapter)
    go.set()

    assert beside.status == 503
    assert b"".join(blocks) == b"last"
    assert served_afterwards(adapter)


async def test_the_place_is_free_before_the_client_can_have_its_answer() -> None:
    places = Concurrency(1)
    entered: list[str] = []

    async def send(message: Message) -> None:
        with contextlib.suppress(Overloaded):
            places.enter(hello)
            entered.append(message["type"])

    await places.enter(sized)({"type": "http"}, nothing_more, send)

    assert entered == ["http.response.body"]  # the last of two, and not the start


async def nothing_more() -> Message:
    return {"type": "http.disconnect"}


def test_background_work_has_no_place() -> None:
    began, go = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        if scope["path"] == "/background":
            began.set()
            await reached(go)

    adapter = bridged(app, max_concurrency=1)
    call(adapter, make_environ("/background"))
    assert began.wait(WAIT_SECONDS)

    assert served_afterwards(adapter)
    go.set()
    adapter.close()


def test_a_request_whose_client_has_left_keeps_its_place_until_its_app_ends() -> None:
    told, go, ended = threading.Event(), threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/stream":
            await hello(scope, receive, send)
            return
        await send(start())
        await send(body(b"first", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()
        await reached(go)
        asyncio.get_running_loop().call_soon(ended.set)  # after the end of this task has been told

    adapter = bridged(app, max_concurrency=1, cancel_timeout=None)
    blocks: Any = adapter(make_environ("/stream"), Answer().start_response)
    next(iter(blocks))
    blocks.close()
    assert told.wait(WAIT_SECONDS)
    meanwhile = call(adapter).status
    go.set()
    assert ended.wait(WAIT_SECONDS)

    assert meanwhile == 503
    assert served_afterwards(adapter)


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("the app's own")


async def _fails_after_its_start(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    raise LookupError("the app's own")


async def _returns_without_a_response(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def _waits_for_ever(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "bad", [_fails, _fails_after_its_start, _returns_without_a_response, _waits_for_ever]
)
def test_a_request_that_ends_badly_gives_its_place_back(bad: ASGIApp) -> None:
    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/bad":
            await hello(scope, receive, send)
            return
        try:
            await bad(scope, receive, send)
        finally:
            asyncio.get_running_loop().call_soon(ended.set)

    adapter = bridged(app, max_concurrency=1, request_timeout=0.05, cancel_timeout=0)
    with contextlib.suppress(LookupError, AppProtocolError):  # for the server
        call(adapter, make_environ("/bad"))
    assert ended.wait(WAIT_SECONDS)

    assert served_afterwards(adapter)


def test_a_server_that_fails_in_start_response_gives_the_place_back() -> None:
    def start_response(*_: object) -> Any:
        raise RuntimeError("the server's own")

    adapter = bridged(hello, max_concurrency=1)
    with pytest.raises(RuntimeError, match="the server's own"):
        _consume(adapter(make_environ(), start_response))

    assert served_afterwards(adapter)


def test_a_request_that_is_refused_takes_no_place() -> None:
    adapter = bridged(hello, max_concurrency=1)

    assert call(adapter, make_environ("no slash")).status == 400
    assert served_afterwards(adapter)


def test_a_loop_that_is_gone_takes_no_place_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop_thread = LoopThread()
    adapter = bridged(hello, max_concurrency=1, loop_thread=loop_thread)
    assert call(adapter).status == 200

    def post(mailbox: Mailbox, act: object) -> None:
        raise ClientDisconnected("the event loop of this request is closed")

    with monkeypatch.context() as patch:
        patch.setattr(Mailbox, "post", post)
        with pytest.raises(ClientDisconnected):
            call(adapter)

    assert served_afterwards(adapter)
    adapter.close()
    loop_thread.close()


def test_observed_requests_are_counted_too() -> None:
    app = Held()
    ends: list[Any] = []
    adapter = bridged(app, max_concurrency=1, observers=[lambda began: ends.append])

    with holding(app, adapter, 1):
        assert call(adapter).status == 503

    assert [end.outcome for end in ends] == [Outcome.REJECTED, Outcome.COMPLETED]
    assert served_afterwards(adapter)


def _consume(blocks: Iterable[bytes]) -> None:
    for _ in blocks:
        pass
