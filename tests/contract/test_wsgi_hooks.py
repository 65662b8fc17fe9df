"""What users have called in the threads of a WSGI app, and what they can ask of the client there."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge import WSGIToASGI
from bridge.errors import ConfigurationError
from bridge.types import Environ, StartResponse
from tests.contract.wsgi_specimens import Blocks, SpecimenError, answering, hello
from tests.support.asgi import Exchange, get, happened, http_scope, post

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class Steps:
    """What happened, in order, and in how many threads.

    Attributes:
        done: set by each `after_request`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.threads: set[int] = set()
        self.done = threading.Event()

    def take(self, name: str) -> Callable[[], None]:
        def step() -> None:
            self.names.append(name)
            self.threads.add(threading.get_ident())
            if name == "after":
                self.done.set()

        return step

    def hooks(self) -> dict[str, Any]:
        return {
            "on_worker_start": self.take("start"),
            "after_request": self.take("after"),
            "on_worker_stop": self.take("stop"),
        }


async def test_the_hooks_run_around_the_requests_of_a_thread() -> None:
    steps = Steps()
    blocks = Blocks([b"x"], on_close=steps.take("close"))
    app = answering(blocks, first=lambda environ: steps.take("app")())
    adapter = WSGIToASGI(app, threads=1, **steps.hooks())

    for _ in range(2):
        assert (await get(adapter)).body == b"x"
    await asyncio.to_thread(adapter.close)

    assert steps.names == ["start", *["app", "close", "after"] * 2, "stop"]
    assert len(steps.threads) == 1


async def test_after_request_runs_in_the_context_of_the_request() -> None:
    seen: list[str] = []
    adapter = WSGIToASGI(
        answering([b"x"], first=lambda environ: VARIABLE.set("of the app")),
        after_request=lambda: seen.append(VARIABLE.get()),
    )

    await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert seen == ["of the app"]


def _fails(environ: Environ, start_response: StartResponse) -> Any:
    raise SpecimenError


def _exits(environ: Environ, start_response: StartResponse) -> Any:
    raise SystemExit


@pytest.mark.parametrize("app", [_fails, _exits])
async def test_after_request_runs_after_a_request_that_failed(app: Any) -> None:
    steps = Steps()
    adapter = WSGIToASGI(app, after_request=steps.take("after"))

    with pytest.raises(Exception):  # noqa: B017 - which one is the matter of other tests
        await get(adapter)

    assert await happened(steps.done)


@pytest.mark.spec("W-63", "AA-12")
async def test_after_request_runs_after_a_request_that_was_abandoned() -> None:
    steps = Steps()
    blocks = Blocks(iter(lambda: b"x", b""), on_close=steps.take("close"))
    adapter = WSGIToASGI(answering(blocks), after_request=steps.take("after"))
    exchange = Exchange()
    task = asyncio.ensure_future(exchange.run(adapter, http_scope()))
    await exchange.sent_count(2)

    exchange.disconnect()
    await task

    assert await happened(steps.done)
    assert steps.names == ["close", "after"]


async def test_a_response_that_is_whole_does_not_wait_for_the_hook() -> None:
    release = threading.Event()
    adapter = WSGIToASGI(hello, threads=1, after_request=lambda: release.wait(20))

    assert (await get(adapter)).body == b"hello"

    assert not release.is_set()
    release.set()
    await asyncio.to_thread(adapter.close)


@pytest.mark.spec("SEC-34")
async def test_a_hook_that_raises_is_logged_and_harms_no_request(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise SystemExit

    adapter = WSGIToASGI(hello, on_worker_start=fail, after_request=fail, on_worker_stop=fail)

    for _ in range(2):
        assert (await get(adapter)).body == b"hello"
    await asyncio.to_thread(adapter.close)

    assert len([record for record in caplog.records if "fail failed" in record.getMessage()]) >= 4


async def test_the_hooks_run_in_the_threads_of_websockets_too() -> None:
    steps = Steps()
    app = answering([b"no"], first=lambda environ: steps.take("app")(), status="403 Forbidden")
    adapter = WSGIToASGI(app, websocket=True, **steps.hooks())
    scope = {**http_scope(scheme="ws"), "type": "websocket", "subprotocols": []}

    exchange = await Exchange({"type": "websocket.connect"}).run(adapter, scope)
    await asyncio.to_thread(adapter.close)

    assert exchange.sent == [{"type": "websocket.close", "code": 1000}]
    assert steps.names == ["start", "app", "after", "stop"]


async def _coroutine() -> None: ...


@pytest.mark.parametrize("name", ["on_worker_start", "on_worker_stop", "after_request"])
@pytest.mark.parametrize("value", ["remove", _coroutine], ids=["no function", "async"])
def test_a_wrong_hook_is_named(name: str, value: Any) -> None:
    options: Any = {name: value}

    with pytest.raises(ConfigurationError, match=name):
        WSGIToASGI(hello, **options)


# ---------------------------------------------------------------- bridge.client_disconnected


class Working:
    """An app that works for long before it answers, and asks whether anybody still waits.

    Attributes:
        asked: set when it has asked once.
        gave_up: set when it was told that nobody does.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.gave_up = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        client_disconnected = environ["bridge.client_disconnected"]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if client_disconnected():
                self.gave_up.set()
                break
            self.asked.set()
            time.sleep(0.001)
        start_response("200 OK", [])
        return [b"x"]


def _leave(exchange: Exchange, task: asyncio.Future[Any]) -> None:
    exchange.disconnect()


def _cancel(exchange: Exchange, task: asyncio.Future[Any]) -> None:
    task.cancel()


@pytest.mark.spec("W-15", "AA-12")
@pytest.mark.parametrize("lose", [_leave, _cancel])
@pytest.mark.parametrize("grace", [0.1, 20], ids=["watched", "asked before it is watched"])
async def test_an_app_can_ask_whether_its_client_has_left(
    lose: Any, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge._runtime.watch.GRACE_SECONDS", grace)
    app = Working()
    exchange = Exchange()
    task = asyncio.ensure_future(exchange.run(WSGIToASGI(app), http_scope()))
    assert await happened(app.asked)

    lose(exchange, task)

    assert await happened(app.gave_up)
    await asyncio.wait([task])
    assert exchange.sent == []


async def test_a_client_that_waits_has_not_left_nor_has_one_that_has_its_answer() -> None:
    answers: list[bool] = []

    class Body:
        def __init__(self, environ: Environ) -> None:
            self.ask = environ["bridge.client_disconnected"]

        def __iter__(self) -> Iterator[bytes]:
            answers.append(self.ask())
            yield b"one"
            answers.append(self.ask())
            yield b"two"

        def close(self) -> None:
            answers.append(self.ask())

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return Body(environ)

    adapter = WSGIToASGI(app)

    assert (await get(adapter)).body == b"onetwo"
    await asyncio.to_thread(adapter.close)
    assert answers == [False] * 3


@pytest.mark.spec("W-51")
async def test_asking_does_not_send_100_continue() -> None:
    exchange = Exchange(end=False)

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for _ in range(3):
            assert not environ["bridge.client_disconnected"]()
        start_response("200 OK", [])
        return [b"no body wanted"]

    scope = http_scope(method="POST", headers=[(b"expect", b"100-continue"), (b"content-length", b"9")])
    await exchange.run(WSGIToASGI(app), scope)

    assert exchange.received == 0


@pytest.mark.spec("SEC-20", "D-07")
async def test_a_client_that_waited_for_100_continue_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One header field would keep the thread of an app that waits for the loss of its client."""
    monkeypatch.setattr("bridge._runtime.body.CONTINUE_SECONDS", 0.01)
    left = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for _ in range(1_000):
            if environ["bridge.client_disconnected"]():
                left.set()
                break
            time.sleep(0.01)
        start_response("200 OK", [])
        return [b""]

    exchange = Exchange(end=False)
    exchange.disconnect()
    scope = http_scope(method="POST", headers=[(b"expect", b"100-continue"), (b"content-length", b"9")])
    await exchange.run(WSGIToASGI(app), scope, timeout=20)

    assert await happened(left)


async def test_asking_takes_nothing_from_the_body() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        answers = [environ["bridge.client_disconnected"]()]
        body = environ["wsgi.input"].read()
        answers.append(environ["bridge.client_disconnected"]())
        start_response("200 OK", [])
        return [body, b" %d" % sum(answers)]

    assert (await post(WSGIToASGI(app), b"one", b"two", headers=[])).body == b"onetwo 0"
