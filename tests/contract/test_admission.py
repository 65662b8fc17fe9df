"""How many requests of a WSGI app run, wait and are refused, and what becomes of those that wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from bridge import ASGIToWSGI, ThreadPool, WSGIToASGI
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp
from tests.contract.wsgi_specimens import TEXT, answering, hello
from tests.support.asgi import Exchange, body_events, get, happened, http_scope

SECONDS = 10


class Held:
    """A WSGI app whose calls stay until they are let go; `/free` answers at once."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.go = threading.Event()
        self.began: list[str] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.began.append(path)
        if path != "/free":
            self.inside.release()
            assert self.go.wait(SECONDS)
        start_response("200 OK", [TEXT])
        return [path.encode()]

    async def entered(self, calls: int) -> None:
        for _ in range(calls):
            assert await asyncio.to_thread(self.inside.acquire, timeout=SECONDS)


async def started(adapter: ASGIApp, *paths: str) -> list[asyncio.Task[Exchange]]:
    """Start requests in this order, as far as they get without waiting for others."""
    tasks = []
    for path in paths:
        tasks.append(asyncio.create_task(get(adapter, path)))
        await asyncio.sleep(0)
    return tasks


def shown(exchange: Exchange) -> tuple[int, bytes]:
    return exchange.status, exchange.body


REFUSED = (503, b"Service Unavailable")

# ---------------------------------------------------------------- threads, backlog


@pytest.mark.spec("SEC-21")
@pytest.mark.parametrize(("threads", "backlog"), [(1, 0), (2, 0), (1, 1), (2, 3)])
async def test_one_more_than_threads_and_backlog_is_told_503_at_once(threads: int, backlog: int) -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=threads, backlog=backlog)
    tasks = await started(adapter, *(f"/{number}" for number in range(threads + backlog)))
    await app.entered(threads)

    refused = await get(adapter, "/more")

    assert shown(refused) == REFUSED
    assert (b"retry-after", b"1") in refused.headers
    assert not any(task.done() for task in tasks)
    app.go.set()
    assert {shown(await task) for task in tasks} == {
        (200, f"/{n}".encode()) for n in range(threads + backlog)
    }
    assert "/more" not in app.began


@pytest.mark.spec("SEC-21")
async def test_a_refused_upload_is_told_so_before_its_body_has_come() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1, backlog=0)
    tasks = await started(adapter, "/held")
    await app.entered(1)
    scope = http_scope(method="POST", headers=[(b"content-length", b"5")])

    refused = await Exchange(end=False).run(adapter, scope)

    assert shown(refused) == REFUSED
    app.go.set()
    await asyncio.gather(*tasks)


async def test_those_that_wait_are_served_in_the_order_in_which_they_came() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1)
    paths = [f"/{number}" for number in range(30)]
    tasks = await started(adapter, *paths)
    await app.entered(1)
    app.go.set()

    await asyncio.gather(*tasks)

    assert app.began == paths


@pytest.mark.spec("W-12")
async def test_one_thread_never_overlaps_calls_under_load() -> None:
    lock = threading.Lock()

    def alone(environ: Environ) -> None:
        assert lock.acquire(blocking=False)
        time.sleep(0.001)  # the time that another call would need to come in between
        lock.release()

    adapter = WSGIToASGI(answering([b"x"], first=alone), threads=1)

    exchanges = await asyncio.gather(*(get(adapter) for _ in range(50)))

    assert {exchange.status for exchange in exchanges} == {200}


# ---------------------------------------------------------------- queue_timeout


@pytest.mark.spec("SEC-21")
async def test_a_request_that_waits_too_long_is_told_503_and_never_runs() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1, queue_timeout=0.05)
    tasks = await started(adapter, "/held")
    await app.entered(1)
    begun = time.monotonic()

    expired = await get(adapter, "/expired")

    assert time.monotonic() - begun >= 0.05
    assert shown(expired) == REFUSED
    assert (b"retry-after", b"1") in expired.headers
    assert not tasks[0].done()  # which had a thread from the start, and may take as long as it likes
    app.go.set()
    assert shown(await tasks[0]) == (200, b"/held")
    assert shown(await get(adapter, "/free")) == (200, b"/free")
    assert app.began == ["/held", "/free"]


async def test_a_request_that_has_got_a_thread_in_time_may_take_longer() -> None:
    app = Held()
    threads = ThreadPool(1)
    adapter = WSGIToASGI(app, pool=threads, queue_timeout=0.3)
    first = WSGIToASGI(app, pool=threads)
    tasks = await started(first, "/first") + await started(adapter, "/second")
    await app.entered(1)
    app.go.set()
    await tasks[0]
    await app.entered(1)
    app.go.clear()
    tasks += await started(adapter, "/third")
    await app.entered(1)

    await asyncio.sleep(0.35)  # longer than the timeout: `/third` had a thread before
    app.go.set()

    assert [shown(await task)[0] for task in tasks] == [200, 200, 200]


async def test_without_a_queue_timeout_a_request_waits_for_its_thread() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1, queue_timeout=None)
    tasks = await started(adapter, "/held", "/waits")
    await app.entered(1)

    app.go.set()

    assert [shown(await task)[0] for task in tasks] == [200, 200]


# ---------------------------------------------------------------- clients that left


@pytest.mark.spec("AA-12", "SEC-21")
async def test_clients_that_left_while_they_waited_are_never_run_and_make_room() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1, backlog=2)
    tasks = await started(adapter, "/held")
    await app.entered(1)
    gone = [Exchange(*body_events(b""), {"type": "http.disconnect"}) for _ in range(2)]

    await asyncio.gather(*(exchange.run(adapter, http_scope("/gone")) for exchange in gone))

    assert [exchange.sent for exchange in gone] == [[], []]
    tasks += await started(adapter, "/1", "/2")
    assert shown(await get(adapter, "/3")) == REFUSED
    app.go.set()
    assert [shown(await task)[0] for task in tasks] == [200, 200, 200]
    assert app.began == ["/held", "/1", "/2"]


@pytest.mark.spec("AA-13", "SEC-21")
async def test_a_request_that_is_cancelled_while_it_waits_is_never_run_and_makes_room() -> None:
    app = Held()
    adapter = WSGIToASGI(app, threads=1, backlog=1)
    held, waits = await started(adapter, "/held", "/cancelled")
    await app.entered(1)

    waits.cancel()
    await asyncio.wait([waits])

    (instead,) = await started(adapter, "/instead")
    app.go.set()
    assert [shown(await task)[0] for task in (held, instead)] == [200, 200]
    assert app.began == ["/held", "/instead"]


# ---------------------------------------------------------------- pools


async def test_each_app_has_threads_of_its_own() -> None:
    app = Held()
    slow, quick = WSGIToASGI(app, threads=1, backlog=0), WSGIToASGI(hello, threads=1)
    tasks = await started(slow, "/held")
    await app.entered(1)

    assert (await get(quick)).body == b"hello"
    assert shown(await get(slow)) == REFUSED
    app.go.set()
    await asyncio.gather(*tasks)


@pytest.mark.spec("W-12", "SEC-21")
async def test_apps_that_share_a_pool_share_its_threads_and_its_queue() -> None:
    app, pool = Held(), ThreadPool(1, backlog=1)
    one, other = WSGIToASGI(app, pool=pool), WSGIToASGI(hello, pool=pool)
    (held,) = await started(one, "/held")
    await app.entered(1)
    (waits,) = await started(other, "/waits")

    assert shown(await get(one)) == REFUSED
    assert shown(await get(other)) == REFUSED
    app.go.set()
    assert [(await task).status for task in (held, waits)] == [200, 200]
    await asyncio.to_thread(pool.close)


async def test_a_shared_pool_outlives_the_adapters_and_ends_with_its_owner() -> None:
    pool = ThreadPool(2, name="bridge-shared")
    one, other = WSGIToASGI(hello, pool=pool), WSGIToASGI(hello, pool=pool)
    await get(one)

    await asyncio.to_thread(one.close)
    assert pool.workers.alive == 1
    assert (await get(other)).body == b"hello"
    workers = pool.workers
    await asyncio.to_thread(pool.close)
    assert workers.alive == 0

    assert (await get(one)).body == b"hello"
    await asyncio.to_thread(pool.close)


@pytest.mark.spec("L-13")
async def test_the_end_of_an_adapter_waits_for_its_own_requests_in_a_shared_pool() -> None:
    mine, others, pool = Held(), Held(), ThreadPool(2)
    adapter, other = WSGIToASGI(mine, pool=pool), WSGIToASGI(others, pool=pool)
    tasks = await started(adapter, "/mine") + await started(other, "/other")
    await mine.entered(1)
    await others.entered(1)

    closing = asyncio.create_task(asyncio.to_thread(adapter.close))
    await asyncio.wait([closing], timeout=0.1)
    assert not closing.done()
    mine.go.set()
    await closing

    assert not tasks[1].done()
    others.go.set()
    await asyncio.gather(*tasks)
    await asyncio.to_thread(pool.close)


async def test_the_hooks_of_a_shared_pool_are_called_in_its_threads() -> None:
    seen: list[str] = []
    pool = ThreadPool(
        1,
        name="bridge-hooked",
        on_worker_start=lambda: seen.append(f"start {threading.current_thread().name}"),
        on_worker_stop=lambda: seen.append("stop"),
    )

    await get(WSGIToASGI(hello, pool=pool))
    await asyncio.to_thread(pool.close)

    assert seen == ["start bridge-hooked-1", "stop"]


# ---------------------------------------------------------------- nested bridges


def fetching(adapter: WSGIApp) -> WSGIApp:
    """Make a WSGI app that answers what a WSGI app below it does, and its own name around it."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inner = adapter({**environ}, lambda *head: lambda data: None)
        try:
            body = b"".join(inner)
        finally:
            getattr(inner, "close", lambda: None)()
        start_response("200 OK", [TEXT])
        return [b"<" + body + b">"]

    return app


def passing(adapter: ASGIApp) -> ASGIApp:
    """Make an ASGI app that is nothing but a layer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await adapter(scope, receive, send)

    return app


def nested(pool: ThreadPool, innermost: WSGIApp, depth: int) -> WSGIToASGI:
    """WSGI in ASGI in WSGI ..., so many bridges to ASGI deep, all on one pool."""
    adapter = WSGIToASGI(innermost, pool=pool)
    for _ in range(depth - 1):
        adapter = WSGIToASGI(fetching(ASGIToWSGI(passing(adapter), lifespan="off")), pool=pool)
    return adapter


@pytest.mark.spec("SEC-21")
@pytest.mark.parametrize("depth", [2, 3, 5])
async def test_bridges_in_bridges_on_one_thread_do_not_wait_for_themselves(depth: int) -> None:
    pool = ThreadPool(1, backlog=0)

    exchange = await get(nested(pool, hello, depth))

    assert shown(exchange) == (200, b"<" * (depth - 1) + b"hello" + b">" * (depth - 1))
    await asyncio.to_thread(pool.close)


@pytest.mark.spec("SEC-21")
async def test_an_app_that_asks_itself_through_bridges_is_answered() -> None:
    async def again(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter({**scope, "path": "/inner", "raw_path": b"/inner"}, receive, send)

    ask = fetching(ASGIToWSGI(again, lifespan="off"))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return (hello if environ["PATH_INFO"] == "/inner" else ask)(environ, start_response)

    adapter = WSGIToASGI(app, threads=1, backlog=0)

    assert shown(await get(adapter)) == (200, b"<hello>")


@pytest.mark.spec("SEC-21")
async def test_an_app_that_asks_itself_on_a_loop_of_its_own_is_answered() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/inner":
            return hello(environ, start_response)
        inner = asyncio.run(get(adapter, "/inner"))
        start_response("200 OK", [TEXT])
        return [b"<", inner.body, b">"]

    adapter = WSGIToASGI(app, threads=1, backlog=0)

    assert shown(await get(adapter)) == (200, b"<hello>")


@pytest.mark.spec("SEC-21", "W-12")
async def test_many_nested_requests_on_one_thread_are_all_answered_and_only_nest() -> None:
    """The inner calls overlap with nothing but the calls that wait for them."""
    inside = threading.Lock()

    def alone(environ: Environ) -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0.0005)  # the time that another call would need to come in between
        inside.release()

    pool = ThreadPool(1)
    adapter = nested(pool, answering([b"x"], first=alone), 3)

    exchanges = await asyncio.gather(*(get(adapter) for _ in range(20)))

    assert {shown(exchange) for exchange in exchanges} == {(200, b"<<x>>")}
    assert await asyncio.to_thread(pool.workers.drain, lambda job: True, SECONDS)
    assert (pool.workers.admission.running, pool.workers.admission.waiting) == (0, 0)
    await asyncio.to_thread(pool.close)


@pytest.mark.spec("SEC-21", "W-12")
async def test_requests_nested_side_by_side_take_turns_on_one_thread() -> None:
    lock = threading.Lock()

    def alone(environ: Environ) -> None:
        assert lock.acquire(blocking=False)
        time.sleep(0.002)  # the time that another call would need to come in between
        lock.release()

    pool = ThreadPool(1)
    inner = WSGIToASGI(answering([b"x"], first=alone), pool=pool)

    async def fan_out(scope: Scope, receive: Receive, send: Send) -> None:
        exchanges = await asyncio.gather(*(get(inner) for _ in range(5)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"".join(e.body for e in exchanges)})

    adapter = WSGIToASGI(fetching(ASGIToWSGI(fan_out, lifespan="off")), pool=pool)

    assert shown(await get(adapter)) == (200, b"<xxxxx>")
    await asyncio.to_thread(pool.close)


@pytest.mark.spec("SEC-21")
async def test_what_goes_on_after_its_request_waits_like_any_other() -> None:
    """A background task is nested in nothing any more: it must not get a thread beside the only one."""
    held, pool = Held(), ThreadPool(1)
    inner = WSGIToASGI(hello, pool=pool)
    outer_over, answers = threading.Event(), []

    async def leaves_work(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"soon"})
        assert await happened(outer_over)
        answers.append((await get(inner)).body)

    bridge = ASGIToWSGI(leaves_work, lifespan="off")
    outer, other = WSGIToASGI(fetching(bridge), pool=pool), WSGIToASGI(held, pool=pool)
    assert (await get(outer)).body == b"<soon>"
    (task,) = await started(other, "/held")
    await held.entered(1)
    outer_over.set()

    await asyncio.sleep(0.1)
    assert answers == []
    held.go.set()
    await task
    await asyncio.to_thread(bridge.close)
    assert answers == [b"hello"]
    await asyncio.to_thread(pool.close)


@pytest.mark.spec("SEC-21")
async def test_an_app_that_asks_itself_for_ever_is_told_503_in_the_end() -> None:
    calls: list[int] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        calls.append(1)
        return ask(environ, start_response)

    pool = ThreadPool(1)
    adapter: Any = WSGIToASGI(app, pool=pool)
    bridge = ASGIToWSGI(passing(adapter), lifespan="off")
    ask = fetching(bridge)

    exchange = await get(adapter)

    assert b"Service Unavailable" in exchange.body
    assert len(calls) == 51
    await asyncio.to_thread(pool.close)


async def test_nesting_leaves_no_trace_in_the_context_of_the_server() -> None:
    from bridge._runtime.nesting import ANCESTORS

    pool = ThreadPool(1)
    await get(nested(pool, hello, 3))

    assert ANCESTORS.get() == ()
    await asyncio.to_thread(pool.close)
