"""Threads, contexts, disconnects and what is left behind, through the adapter."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import bridge._runtime.body
from bridge import WSGIToASGI
from bridge._runtime.inlet import Inlet
from bridge.errors import AppProtocolError, ClientDisconnected
from bridge.types import Environ, Message, StartResponse
from tests.contract.wsgi_specimens import TEXT, Blocks, SpecimenError, answering, echo_stream, hello
from tests.support.asgi import Exchange, body_events, get, happened, http_scope, stayed_away

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")

CHUNKED = [(b"transfer-encoding", b"chunked")]


def endless() -> Iterator[bytes]:
    return iter(lambda: b"x", b"")


def either(**apps: Any) -> Any:
    """Make an app of several: the last segment of the path names the one."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        return apps[environ["PATH_INFO"].rpartition("/")[2]](environ, start_response)

    return app


# ---------------------------------------------------------------- one thread, one context


@pytest.mark.spec("W-61")
async def test_the_loop_runs_while_the_app_blocks() -> None:
    inside, may_go_on = threading.Event(), threading.Event()

    def block(environ: Environ) -> None:
        inside.set()
        assert may_go_on.wait(10)

    task = asyncio.create_task(get(WSGIToASGI(answering([b"x"], first=block))))
    assert await happened(inside)
    may_go_on.set()

    assert (await task).body == b"x"


@pytest.mark.spec("W-61", "W-62")
async def test_everything_of_a_request_runs_in_one_thread_off_the_loop() -> None:
    threads: list[threading.Thread] = []

    def note() -> None:
        threads.append(threading.current_thread())

    def blocks() -> Iterator[bytes]:
        for _ in range(3):
            note()
            yield b"x"

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        note()
        start_response("200 OK", [TEXT])(b"x")
        note()
        return Blocks(blocks(), note)

    adapter = WSGIToASGI(app)
    await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert len(threads) == 6
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.spec("W-62")
async def test_a_variable_of_the_middleware_is_seen_in_app_iteration_and_close() -> None:
    seen: list[str] = []

    def note(*args: object) -> None:
        seen.append(VARIABLE.get())

    def blocks() -> Iterator[bytes]:
        note()
        yield b"x"

    adapter = WSGIToASGI(answering(Blocks(blocks(), note), first=note))
    VARIABLE.set("of the middleware")
    await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert seen == ["of the middleware"] * 3


@pytest.mark.spec("W-62")
async def test_a_variable_of_the_app_is_seen_in_iteration_and_close() -> None:
    seen: list[str] = []

    def blocks() -> Iterator[bytes]:
        seen.append(VARIABLE.get())
        yield b"x"

    adapter = WSGIToASGI(
        answering(
            Blocks(blocks(), lambda: seen.append(VARIABLE.get())),
            first=lambda environ: VARIABLE.set("of the app"),
        )
    )
    await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert seen == ["of the app"] * 2


@pytest.mark.spec("W-62", "SEC-31")
async def test_a_variable_of_one_request_is_unknown_to_the_next() -> None:
    seen: list[str] = []

    def use(environ: Environ) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("of another request")

    adapter = WSGIToASGI(answering([b"x"], first=use), threads=1)
    for _ in range(3):
        await asyncio.create_task(get(adapter))

    assert seen == ["unset"] * 3


@pytest.mark.spec("W-62", "SEC-31")
async def test_two_thousand_interleaved_requests_keep_their_context_variables_apart() -> None:
    """Of the middleware to the app, its blocks and close(), and of the app to the middleware afterwards."""
    closed = []

    def blocks(token: str) -> Iterator[bytes]:
        yield VARIABLE.get().encode()
        VARIABLE.set(f"blocks {token}")

    def app(environ: Environ, start_response: StartResponse) -> Any:
        token = environ["PATH_INFO"]
        before = VARIABLE.get()
        start_response("200 OK", [("X-Before", before)])
        VARIABLE.set(f"app {token}")
        return Blocks(blocks(token), lambda: closed.append(VARIABLE.get()))

    adapter = WSGIToASGI(app, threads=8)

    async def request(number: int) -> None:
        VARIABLE.set(f"middleware /{number}")
        exchange = await get(adapter, f"/{number}")
        assert (b"x-before", b"middleware /%d" % number) in exchange.headers
        assert exchange.body == b"app /%d" % number
        assert VARIABLE.get() == f"blocks /{number}"

    async with asyncio.TaskGroup() as group:
        for number in range(2_000):
            group.create_task(request(number))
    await asyncio.to_thread(adapter.close)

    assert VARIABLE.get() == "unset"
    assert sorted(closed) == sorted(f"blocks /{number}" for number in range(2_000))


@pytest.mark.spec("W-61", "SEC-19")
async def test_a_stream_whose_send_never_waits_leaves_the_loop_to_others() -> None:
    blocks = Blocks(endless())
    others_ran = False

    def other() -> None:
        nonlocal others_ran
        others_ran = True

    async def on_send(message: Message) -> None:
        if not exchange.sent:
            asyncio.get_running_loop().call_soon(other)
        if others_ran:
            raise ConnectionResetError("enough")
        assert len(exchange.sent) < 2_000, "the loop served nothing else"
        while blocks.pulled < len(exchange.sent) + 2:
            time.sleep(0.0001)  # noqa: ASYNC251 - holds the loop: the next block is always there already

    exchange = Exchange()
    exchange.on_send = on_send
    with pytest.raises(ConnectionResetError):
        await exchange.run(WSGIToASGI(answering(blocks)), http_scope())


# ---------------------------------------------------------------- lost clients


def _send_fails(exchange: Exchange) -> None:
    exchange.send_error = OSError("gone")


async def _lose_by_disconnect(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    exchange.disconnect()
    await task


async def _lose_by_cancel(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _lose_by_send_error(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    exchange.send_error = ConnectionResetError("gone")
    with pytest.raises(ConnectionResetError):
        await task


Lose = Callable[[Exchange, "asyncio.Task[Any]"], Any]
WAYS = pytest.mark.parametrize(
    "lose",
    [_lose_by_disconnect, _lose_by_cancel, _lose_by_send_error],
    ids=["disconnect", "cancel", "send-error"],
)


@pytest.mark.spec("W-63", "AA-12", "AA-13", "AA-11", "SEC-20")
@WAYS
async def test_the_only_thread_is_free_after_a_client_is_lost(
    lose: Lose, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = Blocks(endless())
    adapter = WSGIToASGI(either(stream=answering(blocks), hello=hello), threads=1)
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(adapter, http_scope("/stream")))
    await exchange.sent_count(3)

    await lose(exchange, task)

    assert (await get(adapter, "/hello")).body == b"hello"
    assert blocks.closed == 1
    assert caplog.records == []


@pytest.mark.spec("W-63", "AA-12", "SEC-20")
async def test_a_thread_that_waits_for_a_stalled_send_is_free_after_a_disconnect() -> None:
    blocks = Blocks(endless())
    begun = threading.Event()
    app = answering(blocks, first=lambda environ: begun.set())
    adapter = WSGIToASGI(either(stream=app, hello=hello), threads=1)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(adapter, http_scope("/stream")))
    assert await happened(begun)

    exchange.disconnect()
    served = await get(adapter, "/hello")

    assert (served.body, blocks.closed) == (b"hello", 1)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.spec("W-63", "AA-13", "SEC-20")
async def test_a_thread_that_waits_for_a_stalled_send_is_free_after_a_cancellation() -> None:
    blocks = Blocks(endless())
    begun = threading.Event()
    app = answering(blocks, first=lambda environ: begun.set())
    adapter = WSGIToASGI(either(stream=app, hello=hello), threads=1)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(adapter, http_scope("/stream")))
    assert await happened(begun)
    assert await stayed_away(blocks.closed_once)

    task.cancel()

    assert (await get(adapter, "/hello")).body == b"hello"
    assert (task.cancelled(), blocks.closed) == (True, 1)


async def _lose_by_disconnect_in_send(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    assert exchange.send_gate is not None
    exchange.disconnect()
    for _ in range(10):
        await asyncio.sleep(0)  # what watches the client hears of it, and has its turn
    exchange.send_gate.set()
    await task


async def _lose_by_send_error_in_send(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    assert exchange.send_gate is not None
    exchange.send_error = ConnectionResetError("gone")
    exchange.send_gate.set()
    with pytest.raises(ConnectionResetError):
        await task


async def _lose_by_stall(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    await task


@pytest.mark.spec("W-63", "AA-12", "AA-13", "SEC-34")
@pytest.mark.parametrize(
    ("lose", "send_timeout"),
    [
        (_lose_by_disconnect_in_send, None),
        (_lose_by_cancel, None),
        (_lose_by_send_error_in_send, None),
        (_lose_by_stall, 0.2),
    ],
    ids=["disconnect", "cancel", "send error", "stall"],
)
@pytest.mark.parametrize(
    ("error", "logged"),
    [(ValueError("of the app"), 1), (SystemExit(3), 1), (ConnectionResetError("gone"), 0)],
    ids=["error", "exit", "gone"],
)
async def test_an_error_whose_turn_never_comes_is_logged_once(
    error: BaseException,
    logged: int,
    lose: Callable[[Exchange, asyncio.Task[Any]], Any],
    send_timeout: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server still sends the block before it, and then there is nobody to raise it to."""
    failed = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"x"
        raise error

    async def hold_the_block(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.send_gate = asyncio.Event()
            begun.set()

    adapter = WSGIToASGI(app, threads=1, after_request=failed.set, send_timeout=send_timeout)
    begun, exchange = asyncio.Event(), Exchange()
    exchange.on_send = hold_the_block
    task = asyncio.create_task(exchange.run(adapter, http_scope()))
    async with asyncio.timeout(10):
        await begun.wait()
    assert await happened(failed)

    await lose(exchange, task)

    await asyncio.to_thread(adapter.close)
    causes = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [error in (cause, cause and cause.__cause__) for cause in causes] == [True] * logged


@pytest.mark.spec("AA-12", "D-07")
async def test_a_started_response_is_watched_even_where_the_client_expects_a_continue() -> None:
    blocks = Blocks(endless())
    exchange = Exchange(end=False)
    scope = http_scope(method="POST", headers=[(b"expect", b"100-continue"), (b"content-length", b"9")])
    task = asyncio.create_task(exchange.run(WSGIToASGI(answering(blocks)), scope))
    await exchange.sent_count(3)

    exchange.disconnect()

    await task
    assert await happened(blocks.closed_once)


@pytest.mark.spec("AA-12")
async def test_a_request_that_waits_for_a_thread_is_not_begun_for_a_lost_client() -> None:
    inside, may_go_on = threading.Event(), threading.Event()
    begun: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        begun.append(environ["PATH_INFO"])
        inside.set()
        assert may_go_on.wait(10)
        return hello(environ, start_response)

    adapter = WSGIToASGI(app, threads=1)
    first = asyncio.create_task(get(adapter, "/first"))
    assert await happened(inside)
    second = asyncio.create_task(get(adapter, "/second"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    may_go_on.set()
    await first
    await get(adapter, "/third")

    assert begun == ["/first", "/third"]


@pytest.mark.spec("AA-20", "AA-13")
async def test_a_cancellation_ends_the_task_at_once_and_close_runs_when_the_call_returns() -> None:
    inside, may_go_on = threading.Event(), threading.Event()
    blocks = Blocks([b"x"])

    def block(environ: Environ) -> None:
        inside.set()
        assert may_go_on.wait(10)

    exchange = Exchange()
    task = asyncio.create_task(exchange.run(WSGIToASGI(answering(blocks, first=block)), http_scope()))
    assert await happened(inside)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closed_before_the_call_returned = blocks.closed
    may_go_on.set()

    assert await happened(blocks.closed_once)
    assert (closed_before_the_call_returned, blocks.closed, exchange.sent) == (0, 1, [])


@pytest.mark.spec("AA-20", "AA-12")
async def test_a_disconnect_during_a_blocking_call_ends_the_task_at_once() -> None:
    inside, may_go_on = threading.Event(), threading.Event()
    blocks = Blocks([b"x"])

    def block(environ: Environ) -> None:
        inside.set()
        assert may_go_on.wait(10)

    exchange = Exchange(*body_events(b""), {"type": "http.disconnect"})
    await exchange.run(WSGIToASGI(answering(blocks, first=block)), http_scope())
    may_go_on.set()

    assert inside.is_set()
    assert await happened(blocks.closed_once)
    assert (blocks.closed, exchange.sent) == (1, [])


@pytest.mark.spec("AA-11")
@pytest.mark.parametrize("at", [0, 1, 3])
async def test_an_os_error_of_send_ends_the_request_quietly(
    at: int, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = Blocks(b"x" for _ in range(100_000))
    attempts = 0

    async def on_send(message: Message) -> None:
        nonlocal attempts
        attempts += 1
        if attempts > at:
            raise BrokenPipeError("gone")

    exchange = Exchange()
    exchange.on_send = on_send
    adapter = WSGIToASGI(answering(blocks))
    with pytest.raises(BrokenPipeError):
        await exchange.run(adapter, http_scope())
    await asyncio.to_thread(adapter.close)

    assert (attempts, len(exchange.sent)) == (at + 1, at)
    assert blocks.closed == 1 and blocks.pulled < 100_000
    assert caplog.records == []


@pytest.mark.spec("W-63")
async def test_an_app_that_swallows_the_disconnect_is_stopped_all_the_same() -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        while len(errors) < 3:
            try:
                write(b"x")
            except OSError as exc:
                errors.append(exc)
        return []

    adapter = WSGIToASGI(either(stream=app, hello=hello), threads=1)
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(adapter, http_scope("/stream")))
    await exchange.sent_count(3)
    exchange.disconnect()
    await task

    assert (await get(adapter, "/hello")).body == b"hello"
    assert {type(error) for error in errors} == {ClientDisconnected}


# ---------------------------------------------------------------- survival

ERRORS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    RecursionError(),
    MemoryError(),
    StopIteration(),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    BaseException("bare"),
]


@pytest.mark.spec("SEC-34")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["call", "iteration", "later"])
async def test_a_worker_survives_whatever_its_app_raises(place: str, error: BaseException) -> None:
    def fail(environ: Environ) -> None:
        raise error

    class Failing(Blocks):
        def __next__(self) -> bytes:
            self.pulled += 1
            if self.pulled > 1 or place == "iteration":
                raise error
            return b"first"

        def __iter__(self) -> Any:
            return self

    bad = answering([b"x"], first=fail) if place == "call" else answering(Failing([]))
    adapter = WSGIToASGI(either(bad=bad, hello=hello), threads=1)
    exchange = Exchange()

    if place != "call" and isinstance(error, StopIteration):
        await exchange.run(adapter, http_scope("/bad"))  # which is how an iteration ends
    else:
        with pytest.raises((AppProtocolError, RecursionError, MemoryError)) as info:
            await exchange.run(adapter, http_scope("/bad"))
        assert error in (info.value, info.value.__cause__)
        assert not exchange.complete
    assert (await get(adapter, "/hello")).body == b"hello"


@pytest.mark.spec("SEC-34", "W-54")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_worker_survives_whatever_close_raises(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    adapter = WSGIToASGI(either(bad=answering(Blocks([b"x"], fail)), hello=hello), threads=1)

    exchange = await get(adapter, "/bad")

    assert (exchange.body, exchange.complete) == (b"x", True)
    assert (await get(adapter, "/hello")).body == b"hello"
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.ERROR and "failed in close() of its response" in message


@pytest.mark.spec("SEC-34")
async def test_an_error_of_the_app_wins_over_one_of_close() -> None:
    def fail() -> None:
        raise ValueError("in close")

    with pytest.raises(SpecimenError):
        await get(WSGIToASGI(answering(Blocks([SpecimenError()], fail))))


# ---------------------------------------------------------------- loops


@pytest.mark.spec("AA-15")
def test_one_instance_serves_under_successive_loops() -> None:
    adapter = WSGIToASGI(echo_stream)

    async def upload() -> bytes:
        exchange = Exchange(*body_events(b"ab", b"cd"))
        await exchange.run(adapter, http_scope(method="POST", headers=CHUNKED))
        return exchange.body

    assert [asyncio.run(upload()) for _ in range(3)] == [b"abcd"] * 3


@pytest.mark.spec("AA-15", "SEC-31")
def test_one_instance_serves_under_two_loops_at_once() -> None:
    adapter = WSGIToASGI(echo_stream, threads=4)
    bodies: dict[str, list[bytes]] = {"a": [], "b": []}

    async def uploads(name: str) -> None:
        for _ in range(50):
            exchange = Exchange(*body_events(*[name.encode()] * 3))
            await exchange.run(adapter, http_scope(method="POST", headers=CHUNKED))
            bodies[name].append(exchange.body)

    threads = [threading.Thread(target=asyncio.run, args=(uploads(name),)) for name in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert bodies == {"a": [b"aaa"] * 50, "b": [b"bbb"] * 50}


@pytest.mark.spec("W-63", "AA-15")
def test_a_loop_that_ends_under_a_stream_frees_the_thread() -> None:
    blocks = Blocks(endless())
    adapter = WSGIToASGI(answering(blocks), threads=1)

    async def abandon() -> None:
        exchange = Exchange()
        task = asyncio.create_task(exchange.run(adapter, http_scope()))
        await exchange.sent_count(3)
        assert not task.done()  # asyncio.run() cancels it

    asyncio.run(abandon())

    assert blocks.closed_once.wait(10)


# ---------------------------------------------------------------- receive()


class Jealous(Exchange):
    """A server that does not bear two calls of `receive()` at once, and gives each event after a pause."""

    def __init__(self, *events: Message) -> None:
        super().__init__(*events)
        self.waiting = 0
        self.most = 0

    async def receive(self) -> Message:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await asyncio.sleep(0)
            return await super().receive()
        finally:
            self.waiting -= 1


@pytest.mark.spec("AA-16")
async def test_receive_has_one_caller_and_its_events_keep_their_order() -> None:
    pieces = [b"%04d" % number for number in range(500)]
    exchange = Jealous(*body_events(*pieces))

    await exchange.run(WSGIToASGI(echo_stream), http_scope(method="POST", headers=CHUNKED))

    assert exchange.most == 1
    assert exchange.body == b"".join(pieces)


@pytest.mark.spec("AA-16")
async def test_the_watch_for_a_disconnect_loses_no_body(monkeypatch: pytest.MonkeyPatch) -> None:
    loop_thread = threading.current_thread()
    loop_was_here = threading.Event()

    class Contested(Inlet[Any]):
        """Made by reader and loop at the same time, if both are let."""

        def __init__(self, *args: Any) -> None:
            if threading.current_thread() is loop_thread:
                loop_was_here.set()
            else:
                may_read_again.set()
                loop_was_here.wait(0.2)  # in vain where only one of the two may make it
            super().__init__(*args)

    may_read_again = threading.Event()
    monkeypatch.setattr(bridge._runtime.body, "Inlet", Contested)
    may_begin = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"started, and watched from now on;"
        assert may_begin.wait(10)
        yield environ["wsgi.input"].read()

    exchange = Exchange(end=False)
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope(method="POST", headers=CHUNKED)))
    await exchange.sent_count(2)
    may_begin.set()
    assert await happened(may_read_again)
    for event in body_events(b"ab", b"cd"):
        exchange.events.put_nowait(event)
    await task

    assert exchange.body == b"started, and watched from now on;abcd"


# ---------------------------------------------------------------- nothing left, nothing shared

REQUESTS = 1_000


def _app_of_many_kinds(environ: Environ, start_response: StartResponse) -> Any:
    """Answer with the token of the request in every way an app can; check that nothing else is there."""
    token = environ["QUERY_STRING"]
    if VARIABLE.get() != "unset" or environ["HTTP_X_TOKEN"] != token:
        raise AssertionError("the request shares its context or its environ")
    VARIABLE.set(token)
    kind = environ["PATH_INFO"]
    if kind == "/error":
        raise SpecimenError(token)
    if environ["wsgi.input"].read() != token.encode():
        raise AssertionError("the request has the body of another")
    start_response("200 OK", [("X-Token", token)])
    if kind == "/whole":
        return [token.encode()]
    return Blocks(_tokens(3, 1) if kind == "/stream" else _tokens(1_000_000, 2_000))


def _tokens(count: int, times: int) -> Iterator[bytes]:
    for _ in range(count):
        yield VARIABLE.get().encode() * times


async def _one_of_many(adapter: WSGIToASGI, number: int) -> None:
    """Send one request of some kind, and check that whatever comes back is its own."""
    token = f"token-{number}"
    kind = ("/whole", "/stream", "/error", "/cancelled", "/left", "/broken", "/chunked")[number % 7]
    pieces = (
        (token[:3].encode(), token[3:].encode()) if kind in ("/chunked", "/stream") else (token.encode(),)
    )
    framing = CHUNKED if kind == "/chunked" else [(b"content-length", b"%d" % len(token))]
    exchange = Exchange(*body_events(*pieces))
    headers = [*framing, (b"x-token", token.encode())]
    scope = http_scope(
        "/stream" if kind == "/chunked" else kind, method="POST", query_string=token.encode(), headers=headers
    )
    task = asyncio.create_task(exchange.run(adapter, scope, timeout=50))
    if kind in ("/cancelled", "/left", "/broken"):
        await exchange.sent_count(2 + number % 3, timeout=50)
        await _lose(kind, exchange, task)
    elif kind == "/error":
        with pytest.raises(SpecimenError, match=f"^{token}$"):
            await task
    else:
        await task
        assert exchange.body == token.encode() * (1 if kind == "/whole" else 3)
    if exchange.sent:
        assert (b"x-token", token.encode()) in exchange.headers
        assert exchange.body.replace(token.encode(), b"") == b""


async def _lose(kind: str, exchange: Exchange, task: asyncio.Task[Exchange]) -> None:
    if kind == "/left":
        exchange.disconnect()
        await task
        return
    if kind == "/cancelled":
        task.cancel()
    else:
        exchange.send_error = ConnectionResetError()
    with pytest.raises((asyncio.CancelledError, ConnectionResetError)):
        await task


@pytest.mark.spec("SEC-31", "AA-17", "SEC-22")
def test_a_thousand_mixed_requests_share_nothing_and_leave_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    adapter = WSGIToASGI(_app_of_many_kinds, threads=8)
    before = set(threading.enumerate())
    complaints: list[Any] = []
    most_threads = 0

    async def main() -> None:
        nonlocal most_threads
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 60  # a busy machine is no complaint
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        room = asyncio.Semaphore(40)

        async def one(number: int) -> None:
            async with room:
                await _one_of_many(adapter, number)

        async with asyncio.TaskGroup() as group:
            for number in range(REQUESTS):
                group.create_task(one(number))
        most_threads = len(set(threading.enumerate()) - before)
        for _ in range(3):
            await asyncio.sleep(0)  # a cancelled task ends in the next turn of the loop
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main(), debug=True)
    adapter.close()

    assert most_threads == 8
    assert set(threading.enumerate()) <= before
    assert complaints == []
    assert [
        record
        for record in caplog.records
        if record.name.startswith("bridge") and record.levelno >= logging.WARNING
    ] == []
