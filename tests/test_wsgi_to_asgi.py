"""The constructor of WSGIToASGI, its lifespan, and the life of its threads."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from bridge import Limits, ThreadPool, WSGIToASGI
from bridge.errors import ConfigurationError
from tests.conftest import bridge_threads
from tests.contract.asgi_specimens import hello as asgi_hello
from tests.contract.wsgi_specimens import Blocks, answering, hello
from tests.support.asgi import Exchange, get, happened, http_scope, stayed_away
from tests.support.ids import text_of


@pytest.mark.parametrize(
    ("app", "options", "names"),
    [
        (None, {}, "app=None"),
        ("module:app", {}, "app='module:app'"),
        (hello, {"threads": 0}, "threads=0"),
        (hello, {"threads": -1}, "threads=-1"),
        (hello, {"threads": 1.5}, "threads=1.5"),
        (hello, {"threads": "4"}, "threads='4'"),
        (hello, {"threads": True}, "threads=True"),
        (hello, {"threads": None}, "threads=None"),
        (hello, {"backlog": -1}, "backlog=-1"),
        (hello, {"backlog": None}, "backlog=None"),
        (hello, {"queue_timeout": -0.1}, "queue_timeout=-0.1"),
        (hello, {"queue_timeout": "1"}, "queue_timeout='1'"),
        (hello, {"send_timeout": 0}, "send_timeout=0"),
        (hello, {"send_timeout": -1}, "send_timeout=-1"),
        (hello, {"receive_timeout": 0}, "receive_timeout=0"),
        (hello, {"receive_timeout": "1"}, "receive_timeout='1'"),
        (hello, {"pool": 40}, "pool=40"),
        (hello, {"pool": ThreadPool(1), "threads": 2}, "pool="),
        (hello, {"pool": ThreadPool(1), "backlog": 2}, "pool="),
        (hello, {"pool": ThreadPool(1), "on_worker_start": print}, "pool="),
        (hello, {"pool": ThreadPool(1), "on_worker_stop": print}, "pool="),
        (hello, {"shutdown_timeout": -1}, "shutdown_timeout=-1"),
        (hello, {"shutdown_timeout": float("nan")}, "shutdown_timeout=nan"),
        (hello, {"shutdown_timeout": "5"}, "shutdown_timeout='5'"),
        (hello, {"limits": {"max_body_bytes": 1}}, "limits={'max_body_bytes': 1}"),
        (hello, {"limits": 10}, "limits=10"),
        (hello, {"errors": "stderr"}, "errors='stderr'"),
    ],
    ids=text_of,
)
def test_a_wrong_argument_is_refused_by_name(app: Any, options: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        WSGIToASGI(app, **options)

    assert str(info.value).startswith(names)
    assert "expected" in str(info.value)
    assert isinstance(info.value, ValueError)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threads": 1},
        {"backlog": 0, "queue_timeout": 0},
        {"queue_timeout": None},
        {"send_timeout": None, "receive_timeout": 0.1},
        {"pool": ThreadPool(1), "queue_timeout": 1, "after_request": print},
        {"shutdown_timeout": None},
        {"shutdown_timeout": 0},
        {"limits": Limits(max_body_bytes=1)},
        {"errors": io.StringIO(), "strict": True, "refuse_underscores": True, "multiprocess": True},
    ],
    ids=text_of,
)
def test_right_arguments_are_taken(options: dict[str, Any]) -> None:
    assert WSGIToASGI(hello, **options).app is hello


def test_options_have_names() -> None:
    with pytest.raises(TypeError):
        WSGIToASGI(hello, 4)  # type: ignore[call-arg]


# ---------------------------------------------------------------- threads


def threads_of(app: Any) -> list[threading.Thread]:
    return [thread for thread in bridge_threads() if app.__qualname__ in thread.name]


async def test_nothing_is_started_before_the_first_request() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return list(hello(environ, start_response))

    adapter = WSGIToASGI(app)
    before = threads_of(app)
    await get(adapter)
    during = threads_of(app)
    await asyncio.to_thread(adapter.close)

    assert (len(before), len(during), len(threads_of(app))) == (0, 1, 0)


async def test_threads_are_started_as_needed_and_no_more_than_allowed() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        barrier.wait()
        return list(hello(environ, start_response))

    adapter = WSGIToASGI(app, threads=3)
    await asyncio.gather(*(get(adapter) for _ in range(9)))

    assert len(threads_of(app)) == 3
    await asyncio.to_thread(adapter.close)


async def test_an_idle_thread_serves_the_next_request() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return list(hello(environ, start_response))

    adapter = WSGIToASGI(app)
    for _ in range(50):
        await get(adapter)

    # Not always one: a response may be out before its thread has come back to wait.
    assert len(threads_of(app)) < 10
    await asyncio.to_thread(adapter.close)


@pytest.mark.spec("L-13")
async def test_a_closed_adapter_starts_again_with_the_next_request() -> None:
    adapter = WSGIToASGI(hello)
    await get(adapter)
    await asyncio.to_thread(adapter.close)
    await asyncio.to_thread(adapter.close)

    assert (await get(adapter)).body == b"hello"


# ---------------------------------------------------------------- lifespan


class Lifespan:
    """The server's half of a lifespan."""

    def __init__(self, adapter: WSGIToASGI) -> None:
        self.exchange = Exchange(end=False)
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self.task = asyncio.create_task(self.exchange.run(adapter, scope, timeout=30))

    def tell(self, kind: str) -> None:
        self.exchange.events.put_nowait({"type": kind})

    async def answers(self, count: int) -> list[str]:
        await self.exchange.sent_count(count)
        return [message["type"] for message in self.exchange.sent]


@pytest.mark.spec("L-13")
async def test_startup_and_shutdown_are_answered() -> None:
    lifespan = Lifespan(WSGIToASGI(hello))

    lifespan.tell("lifespan.startup")
    assert await lifespan.answers(1) == ["lifespan.startup.complete"]
    lifespan.tell("lifespan.shutdown")
    assert await lifespan.answers(2) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    await lifespan.task


@pytest.mark.spec("L-13")
async def test_shutdown_lets_a_running_request_end_and_gives_the_threads_back() -> None:
    inside, may_go_on, answered = threading.Event(), threading.Event(), threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        inside.set()
        assert may_go_on.wait(10)
        return list(hello(environ, start_response))

    adapter = WSGIToASGI(app)
    lifespan = Lifespan(adapter)
    lifespan.tell("lifespan.startup")
    request = asyncio.create_task(get(adapter))
    assert await happened(inside)

    lifespan.tell("lifespan.shutdown")
    lifespan.task.add_done_callback(lambda _: answered.set())
    waits = await stayed_away(answered)
    may_go_on.set()

    assert waits
    assert (await request).body == b"hello"
    assert await lifespan.answers(2) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert threads_of(app) == []


@pytest.mark.spec("L-13")
async def test_shutdown_waits_no_longer_than_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    inside, may_go_on = threading.Event(), threading.Event()

    def blocks() -> Iterator[bytes]:
        inside.set()
        assert may_go_on.wait(20)
        yield b"late"

    adapter = WSGIToASGI(answering(Blocks(blocks())), shutdown_timeout=0.05)
    request = asyncio.create_task(get(adapter))
    assert await happened(inside)
    lifespan = Lifespan(adapter)
    lifespan.tell("lifespan.shutdown")

    assert await lifespan.answers(1) == ["lifespan.shutdown.complete"]
    assert "shutdown timeout of 0.05 s" in caplog.text
    may_go_on.set()
    assert (await request).body == b"late"


@pytest.mark.spec("L-13")
async def test_requests_that_wait_for_a_thread_are_served_before_the_end() -> None:
    inside, may_go_on = threading.Event(), threading.Event()

    def block(environ: Any) -> None:
        inside.set()
        assert may_go_on.wait(10)

    adapter = WSGIToASGI(answering([b"x"], first=block), threads=1)
    requests = [asyncio.create_task(get(adapter)) for _ in range(3)]
    assert await happened(inside)
    closing = asyncio.create_task(asyncio.to_thread(adapter.close))
    may_go_on.set()
    await closing

    assert [(await request).body for request in requests] == [b"x"] * 3


async def test_an_event_of_another_protocol_ends_the_lifespan() -> None:
    lifespan = Lifespan(WSGIToASGI(hello))

    lifespan.tell("http.request")

    with pytest.raises(ValueError, match=r"'http\.request' to a lifespan scope"):
        await lifespan.task


async def test_requests_are_served_without_a_lifespan() -> None:
    exchange = await Exchange().run(WSGIToASGI(hello), http_scope())

    assert exchange.body == b"hello"


@pytest.mark.parametrize(
    "app", [FastAPI(), Starlette(), asgi_hello], ids=["FastAPI", "Starlette", "function"]
)
def test_an_asgi_app_is_refused_at_construction(app: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"as_asgi\(app\) takes any kind"):
        WSGIToASGI(app)


@pytest.mark.spec("SEC-21")
async def test_a_request_that_meets_a_closed_pool_is_told_503() -> None:
    """Another thread closed the adapter between two steps of this request."""
    adapter = WSGIToASGI(hello)
    adapter._settings.pool.workers.close(0)

    exchange = await get(adapter)

    assert (exchange.status, exchange.body) == (503, b"Service Unavailable")
    assert (b"retry-after", b"1") in exchange.headers
