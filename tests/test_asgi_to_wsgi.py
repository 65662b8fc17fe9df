from __future__ import annotations

import asyncio
import math
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from bridge import ASGIToWSGI, Limits
from bridge._runtime.loop import LoopThread
from bridge.errors import BridgeError, ConfigurationError
from tests.contract.asgi_specimens import body, hello, start
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.types import Receive, Scope, Send


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    while True:
        await send(body(b"x" * 70_000, more=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lifespan": "yes"}, "lifespan='yes': expected one of auto, on, off"),
        ({"lifespan": None}, "lifespan=None"),
        ({"lifespan": True}, "lifespan=True"),
        ({"startup_timeout": -1}, "startup_timeout=-1: expected seconds, 0 or more, or None"),
        ({"startup_timeout": math.nan}, "startup_timeout=nan"),
        ({"startup_timeout": "5"}, "startup_timeout='5'"),
        ({"shutdown_timeout": -0.1}, "shutdown_timeout=-0.1"),
        ({"cancel_timeout": -1}, "cancel_timeout=-1"),
        ({"limits": 5}, "limits=5: expected a Limits"),
        ({"loop_thread": "main"}, "loop_thread='main': expected a LoopThread"),
    ],
    ids=repr,
)
def test_a_wrong_argument_is_named_with_its_value_and_what_would_do(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ASGIToWSGI(hello, **options)

    assert message in str(caught.value)


@pytest.mark.parametrize("app", [None, "mysite.asgi:app", 7])
def test_an_app_that_is_no_callable_is_refused(app: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"app={app!r}: expected an ASGI app"):
        ASGIToWSGI(app)


@pytest.mark.parametrize(
    "options", [{"startup_timeout": None}, {"shutdown_timeout": 0}, {"cancel_timeout": 0.5}]
)
def test_no_limit_zero_and_fractions_are_durations(options: Any) -> None:
    assert call(ASGIToWSGI(hello, **options)).body == b"hello"


def test_the_wrapped_app_is_at_hand() -> None:
    assert ASGIToWSGI(hello).app is hello


@pytest.mark.spec("A-39")
def test_the_constructor_starts_no_thread(loop_thread: LoopThread) -> None:
    before = set(threading.enumerate())

    ASGIToWSGI(hello, loop_thread=loop_thread)

    assert set(threading.enumerate()) <= before  # one that an earlier test has left may end meanwhile
    assert not loop_thread.running


def test_close_without_a_request_starts_nothing(loop_thread: LoopThread) -> None:
    ASGIToWSGI(hello, loop_thread=loop_thread).close()

    assert not loop_thread.running


def test_a_hundred_cycles_leave_no_thread_and_no_task() -> None:
    threads = set(threading.enumerate())

    for _ in range(100):
        loop_thread = LoopThread()
        adapter = ASGIToWSGI(hello, loop_thread=loop_thread)
        assert call(adapter).body == b"hello"
        adapter.close()
        loop_thread.close()

    assert {thread for thread in threading.enumerate() if thread.name == "bridge-loop"} <= threads


def test_a_hundred_adapters_on_one_loop_need_one_thread(loop_thread: LoopThread) -> None:
    loop_thread.start()
    before = set(threading.enumerate())

    for _ in range(100):
        adapter = ASGIToWSGI(hello, loop_thread=loop_thread)
        assert call(adapter).body == b"hello"
        adapter.close()

    async def others() -> int:
        return len(asyncio.all_tasks()) - 1

    assert set(threading.enumerate()) <= before  # likewise
    assert loop_thread.call(others()) == 0


def test_close_leaves_the_loop_to_the_other_adapters(loop_thread: LoopThread) -> None:
    one = ASGIToWSGI(hello, loop_thread=loop_thread)
    other = ASGIToWSGI(hello, loop_thread=loop_thread)
    call(one)
    loop = loop_thread.start().loop

    one.close()

    assert call(other).body == b"hello"
    assert loop_thread.start().loop is loop


def test_an_adapter_serves_after_close() -> None:
    adapter = ASGIToWSGI(hello)

    for _ in range(2):
        assert call(adapter).body == b"hello"
        adapter.close()


@pytest.mark.spec("SEC-23")
def test_a_response_whose_loop_is_closed_ends() -> None:
    loop_thread = LoopThread()
    blocks: Any = ASGIToWSGI(endless, lifespan="off", loop_thread=loop_thread)(
        make_environ(), Answer().start_response
    )

    loop_thread.close()

    with pytest.raises(BridgeError):
        list(blocks)
    blocks.close()


@pytest.mark.spec("SEC-23")
def test_close_of_a_response_whose_loop_is_closed_does_nothing() -> None:
    loop_thread = LoopThread()
    blocks: Any = ASGIToWSGI(endless, lifespan="off", loop_thread=loop_thread)(
        make_environ(), Answer().start_response
    )
    loop_thread.close()

    blocks.close()

    assert list(blocks) in ([], [b"x" * 70_000])


@pytest.mark.parametrize("act", ["call", "start", "close"])
def test_what_would_wait_for_its_own_loop_raises_instead(act: str, loop_thread: LoopThread) -> None:
    adapter = ASGIToWSGI(hello, loop_thread=loop_thread)
    acts = {"call": lambda: call(adapter), "start": adapter.start, "close": adapter.close}

    async def on_the_loop() -> None:
        acts[act]()

    with pytest.raises(BridgeError, match="call it in a thread"):
        loop_thread.call(on_the_loop())


def test_two_adapters_may_be_nested_in_threads() -> None:
    inner = ASGIToWSGI(hello, lifespan="off")

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await asyncio.to_thread(call, inner)
        await send(start())
        await send(body(answer.body))

    assert call(ASGIToWSGI(outer, lifespan="off")).body == b"hello"


def test_limits_are_per_adapter() -> None:
    strict = ASGIToWSGI(hello, limits=Limits(max_path_bytes=2))
    lenient = ASGIToWSGI(hello)

    assert call(strict, path="/long").status == 414
    assert call(lenient, path="/long").status == 200


def test_a_wsgi_app_is_refused_at_construction() -> None:
    with pytest.raises(ConfigurationError, match=r"as_wsgi\(app\) takes any kind"):
        ASGIToWSGI(Flask("refused"))  # type: ignore[arg-type]
