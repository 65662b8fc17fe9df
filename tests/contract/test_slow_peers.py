"""Clients that stall: they hold no thread for longer than a timeout says; a slow one is not stalled."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge import Limits, WSGIToASGI
from bridge._runtime.body import BUFFER_BYTES
from bridge.errors import ReceiveTimedOut
from bridge.observation import Outcome
from bridge.types import Environ, Message, StartResponse
from tests.contract.wsgi_specimens import TEXT, Blocks, answering, echo, echo_stream
from tests.support.asgi import Exchange, body_events, get, happened, http_scope

BLOCK = bytes(64 * 1024)
LIMITS = Limits(max_body_bytes=10)


def upload_scope(path: str = "/", length: int = 10) -> dict[str, Any]:
    return http_scope(path, method="POST", headers=[(b"content-length", b"%d" % length)])


async def ends(task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(10):
        await task


# ---------------------------------------------------------------- readers


@pytest.mark.spec("SEC-20", "W-63")
async def test_stalled_readers_hold_no_thread_for_longer_than_the_timeout() -> None:
    streams: list[Blocks] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        if environ["PATH_INFO"] == "/quick":
            return [b"quick"]
        streams.append(Blocks(iter(lambda: BLOCK, b"")))
        return streams[-1]

    adapter = WSGIToASGI(app, threads=3, send_timeout=0.2)
    stalled = [Exchange() for _ in range(3)]
    tasks = []
    for exchange in stalled:
        exchange.send_gate = asyncio.Event()
        tasks.append(asyncio.create_task(exchange.run(adapter, http_scope("/stream"))))
        await asyncio.sleep(0)

    quick = await get(adapter, "/quick")  # waits until a thread is free: nobody else frees one

    assert quick.body == b"quick"
    for task in tasks:
        await ends(task)
    for stream in streams:
        assert await happened(stream.closed_once)
    assert [stream.closed for stream in streams] == [1, 1, 1]
    assert not any(exchange.complete for exchange in stalled)


@pytest.mark.spec("SEC-20")
async def test_a_stalled_reader_of_a_whole_response_holds_no_thread_at_all() -> None:
    adapter = WSGIToASGI(answering([BLOCK * 10]), threads=1, send_timeout=None)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(adapter, http_scope()))
    await asyncio.sleep(0)

    assert (await get(adapter)).complete  # by the only thread

    assert not task.done()
    exchange.send_gate.set()
    await ends(task)
    assert exchange.complete


@pytest.mark.spec("SEC-20")
@pytest.mark.parametrize("fault", ["too large", "late", "two hosts"])
async def test_a_stalled_reader_of_a_refusal_is_ended_too(fault: str) -> None:
    """Pipelined behind large answers that nobody reads, not even a refusal leaves."""
    adapter = WSGIToASGI(answering([b"never"]), send_timeout=0.1, receive_timeout=0.1, limits=LIMITS)
    scopes = {
        "too large": upload_scope(length=11),
        "late": upload_scope(),
        "two hosts": http_scope(headers=[(b"host", b"another")]),
    }
    exchange = Exchange(end=False)
    exchange.send_gate = asyncio.Event()

    await exchange.run(adapter, scopes[fault])

    assert exchange.sent == []
    stats = adapter.stats()
    assert (stats.in_flight, stats.outcomes[Outcome.DISCONNECTED]) == (0, 1)


async def test_a_timeout_of_the_server_in_a_refusal_is_let_through() -> None:
    exchange = Exchange()
    exchange.send_error = TimeoutError("the server's own")

    with pytest.raises(TimeoutError, match="the server's own"):
        await exchange.run(WSGIToASGI(answering([b"never"]), limits=LIMITS), upload_scope(length=11))


@pytest.mark.spec("SEC-20")
async def test_a_stalled_reader_of_a_whole_response_is_ended_too() -> None:
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()

    await exchange.run(WSGIToASGI(answering([BLOCK]), send_timeout=0.1), http_scope())

    assert exchange.sent == []


@pytest.mark.spec("W-45", "SEC-20")
async def test_the_thread_is_free_when_the_last_block_is_in_the_hands_of_the_loop() -> None:
    """Below the high-water mark a slow reader is the loop's affair."""
    blocks = Blocks([BLOCK] * 3)
    adapter = WSGIToASGI(answering(blocks), threads=1)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(adapter, http_scope()))

    assert await happened(blocks.closed_once)
    assert exchange.sent == []
    exchange.send_gate.set()
    await ends(task)
    assert exchange.complete and exchange.body == BLOCK * 3


def _piece(size: int) -> Message:
    return {"type": "http.request", "body": bytes(size), "more_body": True}


@pytest.mark.spec("W-63", "AA-12", "SEC-20")
async def test_a_stream_learns_of_a_lost_client_behind_a_body_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More of a body than is pulled ahead of the app stands before the disconnect."""
    monkeypatch.setattr("bridge._runtime.body_receive.LOOK_SECONDS", 0.01)
    blocks = Blocks(iter(lambda: b"x", b""))
    exchange = Exchange(*[_piece(len(BLOCK))] * 8)
    exchange.disconnect()

    await exchange.run(WSGIToASGI(answering(blocks)), upload_scope(length=len(BLOCK) * 20))

    assert await happened(blocks.closed_once)
    assert not exchange.complete


@pytest.mark.spec("W-63", "AA-12", "SEC-20")
async def test_a_stream_learns_of_a_lost_client_behind_a_body_that_is_read_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What pulls waits for a reader that is not to come, when the stream begins."""
    monkeypatch.setattr("bridge._runtime.body_receive.LOOK_SECONDS", 0.01)
    exchange = Exchange(*[_piece(BUFFER_BYTES + 1)] * 8)
    exchange.disconnect()
    ahead = threading.Event()

    async def receive() -> Message:
        if exchange.received:
            ahead.set()
        return await exchange.receive()

    def read_a_little(environ: Environ) -> None:
        environ["wsgi.input"].read(1)
        assert ahead.wait(10)

    blocks = Blocks(iter(lambda: b"x", b""))
    adapter = WSGIToASGI(answering(blocks, first=read_a_little))
    async with asyncio.timeout(10):
        await adapter(http_scope(method="POST"), receive, exchange.send)

    assert await happened(blocks.closed_once)
    assert not exchange.complete


@pytest.mark.spec("W-63", "AA-12", "SEC-17", "SEC-20")
async def test_a_stream_learns_of_a_lost_client_behind_a_body_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge._runtime.body_receive.LOOK_SECONDS", 0.01)
    blocks = Blocks(iter(lambda: b"x", b""))
    exchange = Exchange(end=False)
    adapter = WSGIToASGI(answering(blocks), limits=Limits(max_body_bytes=10))
    task = asyncio.create_task(exchange.run(adapter, http_scope(method="POST")))
    await exchange.sent_count(3)

    exchange.events.put_nowait(_piece(11))
    exchange.events.put_nowait(_piece(1))
    exchange.disconnect()

    await ends(task)
    assert await happened(blocks.closed_once)
    assert not exchange.complete


async def test_a_silent_stream_is_no_stalled_reader() -> None:
    go = threading.Event()

    def blocks() -> Iterator[bytes]:
        yield b"first"
        assert go.wait(10)
        yield b"last"

    exchange = Exchange()
    adapter = WSGIToASGI(answering(Blocks(blocks())), send_timeout=0.1, receive_timeout=0.1)
    task = asyncio.create_task(exchange.run(adapter, http_scope()))
    await exchange.sent_count(2)

    await asyncio.sleep(0.5)  # three times as long as it takes to end a stalled one
    assert not task.done()
    go.set()

    await ends(task)
    assert exchange.body == b"firstlast"


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
async def test_a_slow_reader_of_one_large_block_is_served_to_the_end(whole: bool) -> None:
    block = b"x" * (256 * 1024 * 8 + 7)

    async def slow(message: Message) -> None:
        await asyncio.sleep(0.15)

    exchange = Exchange()
    exchange.on_send = slow
    adapter = WSGIToASGI(answering([block] if whole else Blocks([block])), send_timeout=1)

    await exchange.run(adapter, http_scope())

    assert exchange.complete and exchange.body == block
    assert max(len(message.get("body", b"")) for message in exchange.sent) == 256 * 1024


async def test_the_end_of_a_stalled_request_is_no_cancellation_of_its_task() -> None:
    """The task goes on: a middleware outside, or the server, has things to do in it."""
    adapter = WSGIToASGI(answering([b"x"]), send_timeout=0.1)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()

    async def serve() -> int:
        await adapter(http_scope(), exchange.receive, exchange.send)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async with asyncio.timeout(10):
        assert await asyncio.create_task(serve()) == 0


@pytest.mark.spec("AA-13")
async def test_a_cancellation_by_the_server_is_still_one() -> None:
    adapter = WSGIToASGI(answering([b"x"]), send_timeout=30)
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(adapter, http_scope()))
    await asyncio.sleep(0.3)  # until it is looked at

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.spec("AA-13")
async def test_a_cancellation_by_the_server_in_the_moment_of_a_stall_is_still_one() -> None:
    adapter = WSGIToASGI(answering([b"x"]), receive_timeout=0.1)
    exchange = Exchange()

    async def receive() -> Message:
        waiter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(lambda _: task.cancel())  # when the stall has cancelled it, and nothing ran
        return await waiter

    task = asyncio.ensure_future(adapter(upload_scope(), receive, exchange.send))

    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.spec("AA-13")
async def test_a_cancellation_by_the_server_while_a_408_is_sent_is_still_one() -> None:
    adapter = WSGIToASGI(answering([b"x"]), receive_timeout=0.1, send_timeout=None)
    exchange = Exchange(end=False)
    sending = asyncio.Event()

    async def send(message: Message) -> None:
        sending.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(adapter(upload_scope(), exchange.receive, send))
    async with asyncio.timeout(10):
        await sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# ---------------------------------------------------------------- uploads


@pytest.mark.spec("SEC-20", "W-29")
async def test_stalled_uploads_hold_no_thread_for_longer_than_the_timeout() -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return echo(environ, start_response)
        except OSError as exc:
            errors.append(exc)
            with pytest.raises(ReceiveTimedOut):  # at once: the next read must not wait again
                environ["wsgi.input"].read(1)
            raise

    adapter = WSGIToASGI(app, threads=2, receive_timeout=0.3)
    begun = [{"type": "http.request", "body": b"12345", "more_body": True}]
    stalled = [Exchange(*begun) for _ in range(2)]
    tasks = [asyncio.create_task(exchange.run(adapter, upload_scope())) for exchange in stalled]
    await asyncio.sleep(0)

    quick = await Exchange(*body_events(b"0123456789")).run(adapter, upload_scope())

    assert quick.body == b"0123456789"
    await asyncio.gather(*tasks)
    assert [(exchange.status, exchange.body) for exchange in stalled] == [(408, b"Request Timeout")] * 2
    assert [type(error) for error in errors] == [ReceiveTimedOut] * 2


@pytest.mark.spec("SEC-20")
async def test_an_upload_of_which_nothing_comes_holds_no_thread_and_is_told_408() -> None:
    called: list[int] = []
    adapter = WSGIToASGI(answering([b"x"], first=lambda environ: called.append(1)), receive_timeout=0.1)

    exchange = await Exchange(end=False).run(adapter, upload_scope())

    assert (exchange.status, exchange.body, called) == (408, b"Request Timeout", [])


async def test_an_upload_that_was_late_is_watched_like_any_other() -> None:
    """It has outlived its grace before it had a thread; that its client leaves is noticed all the same."""
    blocks = Blocks(iter(lambda: b"x", b""))
    exchange = Exchange(end=False)
    task = asyncio.create_task(exchange.run(WSGIToASGI(answering(blocks)), upload_scope(length=1)))
    await asyncio.sleep(0.3)
    exchange.events.put_nowait(body_events(b"x")[0])
    await exchange.sent_count(3)

    exchange.disconnect()

    await ends(task)
    assert await happened(blocks.closed_once)


async def test_a_slow_upload_is_read_to_its_end() -> None:
    adapter = WSGIToASGI(echo, receive_timeout=1)
    exchange = Exchange(end=False)
    task = asyncio.create_task(exchange.run(adapter, upload_scope()))
    for number in range(10):
        await asyncio.sleep(0.15)
        exchange.events.put_nowait({"type": "http.request", "body": b"%d" % number, "more_body": number < 9})

    await ends(task)
    assert exchange.body == b"0123456789"


async def test_an_app_that_does_not_read_leaves_its_client_all_the_time() -> None:
    go = threading.Event()
    adapter = WSGIToASGI(
        answering([b"x"], first=lambda environ: go.wait(10)), receive_timeout=0.1, send_timeout=0.1
    )
    exchange = Exchange({"type": "http.request", "body": b"1", "more_body": True})
    task = asyncio.create_task(exchange.run(adapter, upload_scope()))

    await asyncio.sleep(0.4)
    assert not task.done()
    go.set()

    await ends(task)
    assert exchange.body == b"x"


async def test_a_file_that_the_server_sends_may_take_as_long_as_it_takes(tmp_path: Path) -> None:
    """It is one step for the bridge, whose progress only the server sees."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    scope = http_scope(extensions={"http.response.pathsend": {}})
    task = asyncio.create_task(exchange.run(WSGIToASGI(app, send_timeout=0.1), scope))

    async def head_only(message: Message) -> None:
        assert exchange.send_gate is not None
        exchange.send_gate.clear()

    exchange.on_send = head_only
    exchange.send_gate.set()
    await exchange.sent_count(1)
    await asyncio.sleep(0.5)  # three times as long as it takes to end a stalled one
    assert not task.done()
    exchange.send_gate.set()

    await ends(task)
    assert [message["type"] for message in exchange.sent][1:] == ["http.response.pathsend"]


# ---------------------------------------------------------------- what is left of them


LEFT_BEHIND = {
    "lost": (echo, body_events(b"a", b"b")[:1]),
    "too large": (echo, body_events(bytes(60_000), bytes(60_000))),
    "streamed": (echo_stream, body_events(b"a", b"b")),
}


@pytest.mark.spec("SEC-22")
@pytest.mark.parametrize("case", LEFT_BEHIND)
async def test_nothing_of_a_request_waits_for_the_cycle_collector(case: str) -> None:
    """A body of up to 256 KiB would: of 500 that were too large 100 MB were held."""
    app, events = LEFT_BEHIND[case]
    adapter = WSGIToASGI(app, limits=Limits(max_body_bytes=100_000))

    freed = threading.Event()

    async def serve() -> weakref.ref[Exchange]:
        exchange = Exchange(*events)
        if case == "lost":
            exchange.disconnect()
        await exchange.run(adapter, http_scope(method="POST"))
        return weakref.ref(exchange, lambda _: freed.set())  # which the feed of the body holds

    gc.disable()
    try:
        exchange = await serve()
        await asyncio.to_thread(adapter.close)
        assert await happened(freed)
        assert exchange() is None
    finally:
        gc.enable()
