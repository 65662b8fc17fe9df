"""How the request body of a WSGI server reaches an ASGI app."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bridge import Limits
from bridge.errors import ClientDisconnected
from tests.contract.asgi_specimens import (
    WAIT_SECONDS,
    body,
    bridged,
    echo,
    hello,
    reached,
    read_body,
    start,
)
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from bridge.types import Environ, Message, Receive, Scope, Send

GONE = {"type": "http.disconnect"}


class Source:
    """A `wsgi.input` that has only `read(size)`, and counts.

    Attributes:
        sizes: of every read.
        gate: if set, each read waits for this event.
        waiting: set when a read has begun to wait.
        error: raised by a read that finds nothing left.
    """

    def __init__(self, data: bytes, *, error: Exception | None = None) -> None:
        self.left = io.BytesIO(data)
        self.sizes: list[int] = []
        self.gate: threading.Event | None = None
        self.waiting = threading.Event()
        self.error = error

    def read(self, size: int, /) -> bytes:
        self.sizes.append(size)
        self.waiting.set()
        if self.gate is not None and not self.gate.wait(WAIT_SECONDS):
            raise AssertionError("the gate of the input was never opened")
        data = self.left.read(size)
        if not data and self.error is not None:
            raise self.error
        return data


def posting(source: object, length: int | None = None, **more: Any) -> Environ:
    environ = make_environ(method="POST", wsgi__input=source, **more)
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


def received(environ: Environ, **options: Any) -> list[Message]:
    """Give the events of a request body, to its end."""
    events: list[Message] = []
    at_end = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        events.extend(await read_body(receive))
        at_end.set()
        await hello(scope, receive, send)

    with contextlib.suppress(ClientDisconnected):  # the test looks at the events
        call(bridged(app, **options), environ)
    assert at_end.wait(10)  # where the body is cut short the server's thread does not wait for the app
    return events


def data_of(events: list[Message]) -> bytes:
    return b"".join(event.get("body", b"") for event in events)


@pytest.mark.spec("A-13")
def test_a_body_arrives_whole_and_ends_once() -> None:
    data = bytes(range(256)) * 800

    events = received(posting(io.BytesIO(data), len(data)))

    assert data_of(events) == data
    assert [event["more_body"] for event in events] == [True] * (len(events) - 1) + [False]


@pytest.mark.spec("A-13")
@pytest.mark.parametrize("length", [None, 0], ids=["no length", "length 0"])
def test_an_empty_body_is_one_event(length: int | None) -> None:
    assert received(posting(Source(b""), length)) == [
        {"type": "http.request", "body": b"", "more_body": False}
    ]


@pytest.mark.spec("A-14")
def test_nothing_is_read_before_the_app_asks() -> None:
    source = Source(b"unwanted")

    call(bridged(hello), posting(source, 8))

    assert source.sizes == []


@pytest.mark.spec("A-15", "WA-14")
def test_a_blocked_read_does_not_stop_the_other_requests_of_the_loop() -> None:
    source = Source(b"late")
    source.gate = threading.Event()
    adapter = bridged(echo)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(call, adapter, posting(source, 4))
        assert source.waiting.wait(WAIT_SECONDS)
        quick = call(adapter, posting(Source(b"quick"), 5))
        source.gate.set()

    assert quick.body == b"quick"
    assert slow.result().body == b"late"


@pytest.mark.spec("A-16")
def test_not_a_byte_beyond_content_length_is_read() -> None:
    source = Source(b"abcNEXT")

    events = received(posting(source, 3))

    assert data_of(events) == b"abc"
    assert source.left.tell() == 3


@pytest.mark.spec("A-16")
def test_a_source_that_gives_more_than_it_was_asked_for_is_cut() -> None:
    class Generous(Source):
        def read(self, size: int, /) -> bytes:
            return super().read(100)

    assert data_of(received(posting(Generous(b"abcNEXT"), 3))) == b"abc"


@pytest.mark.spec("A-16", "E-08")
def test_a_chunked_body_arrives_where_the_server_marks_its_end() -> None:
    environ = posting(io.BytesIO(b"chunked"), wsgi__input_terminated=True, HTTP_TRANSFER_ENCODING="chunked")

    assert data_of(received(environ)) == b"chunked"


@pytest.mark.spec("H-11", "SEC-10")
def test_a_length_beside_chunks_counts_for_nothing_where_the_server_marks_the_end() -> None:
    environ = posting(io.BytesIO(b"12"), 3, wsgi__input_terminated=True, HTTP_TRANSFER_ENCODING="chunked")

    events = received(environ)

    assert data_of(events) == b"12" and GONE not in events


@pytest.mark.spec("A-16", "E-08")
def test_without_length_and_end_mark_nothing_is_read() -> None:
    source = Source(b"the next request")

    assert data_of(received(posting(source))) == b""
    assert source.sizes == []


@pytest.mark.spec("WA-13", "SEC-10", "H-12")
def test_transfer_encoding_in_the_environ_does_not_change_what_is_read() -> None:
    source = Source(b"3\r\nabc\r\n0\r\n\r\n")

    events = received(posting(source, 3, HTTP_TRANSFER_ENCODING="chunked"))

    assert data_of(events) == b"3\r\n"


@pytest.mark.spec("A-17", "SEC-11", "SEC-23")
def test_a_body_cut_short_ends_in_a_disconnect_and_not_in_an_end() -> None:
    source = Source(b"part")

    events = received(posting(source, 10))

    assert events == [{"type": "http.request", "body": b"part", "more_body": True}, GONE]
    assert len(source.sizes) == 2


@pytest.mark.spec("A-17", "SEC-11")
def test_an_input_that_fails_is_a_disconnect() -> None:
    source = Source(b"part", error=ConnectionResetError())

    assert received(posting(source, 10))[-1] == GONE


@pytest.mark.spec("A-17", "SEC-11")
def test_a_request_cut_short_gets_no_answer() -> None:
    with pytest.raises(ClientDisconnected):
        call(bridged(echo), posting(Source(b"part"), 10))


@pytest.mark.spec("A-18", "SEC-23")
def test_every_receive_after_the_response_says_disconnect() -> None:
    events: list[Message] = []
    finished = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        events.extend([await receive(), await receive()])  # the first may be the body nobody asked for
        events.extend([await receive(), await receive()])
        finished.set()

    call(bridged(app))

    assert finished.wait(WAIT_SECONDS)
    assert events[1:] == [GONE] * 3


@pytest.mark.spec("A-18", "A-45")
def test_receive_after_the_body_waits_until_the_response_is_complete() -> None:
    steps: list[object] = []
    finished = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        listener = asyncio.ensure_future(receive())
        await asyncio.sleep(0)  # it begins to wait
        await send(start())
        await send(body(b"one", more=True))
        steps.append(listener.done())
        await send(body(b"two"))
        steps.append(await listener)
        finished.set()

    answer = call(bridged(app), posting(io.BytesIO(b"data"), 4))

    assert finished.wait(WAIT_SECONDS)
    assert answer.body == b"onetwo"
    assert steps == [False, GONE]


@pytest.mark.spec("A-19")
def test_a_cancelled_receive_loses_nothing() -> None:
    source = Source(b"intact")
    source.gate = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await receive()
        source.gate.set()  # type: ignore[union-attr]
        await echo(scope, receive, send)

    assert call(bridged(app), posting(source, 6)).body == b"intact"
    assert source.sizes == [6]


@pytest.mark.spec("A-20")
def test_two_tasks_may_receive_and_send_at_once() -> None:
    data = b"x" * 300_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> None:
            await send(start())
            for _ in range(50):
                await send(body(b"block" * 2_000, more=True))

        events, _ = await asyncio.gather(read_body(receive), answer())
        await send(body(b"%d" % len(data_of(events))))

    answer = call(bridged(app), posting(io.BytesIO(data), len(data)))

    assert answer.body == b"block" * 100_000 + b"300000"


@pytest.mark.spec("A-20")
def test_a_block_that_is_ready_leaves_before_a_read_that_may_block() -> None:
    source = Source(b"late")
    go, both = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await reached(go)
        reader = asyncio.ensure_future(receive())
        await asyncio.sleep(0)  # the reader asks before the block is there
        await send(body(b"second", more=True))
        both.set()
        await send(body((await reader)["body"]))

    blocks = iter(bridged(app)(posting(source, 4), Answer().start_response))
    assert next(blocks) == b"first"
    go.set()
    assert both.wait(WAIT_SECONDS)

    assert next(blocks) == b"second"
    assert source.sizes == []
    assert list(blocks) == [b"late"]


@pytest.mark.spec("SEC-17")
def test_a_declared_body_over_the_limit_is_answered_413_before_anything_is_read() -> None:
    source = Source(b"x" * 101)
    called = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.set()

    answer = call(bridged(app, limits=Limits(max_body_bytes=100)), posting(source, 101))

    assert answer.status == 413
    assert not called.is_set() and source.sizes == []


@pytest.mark.spec("SEC-17", "SEC-23")
def test_a_chunked_body_over_the_limit_is_answered_413_as_soon_as_it_is_counted() -> None:
    limit = 1024 * 1024
    source = Source(b"x" * 2 * limit)
    environ = posting(source, wsgi__input_terminated=True)

    answer = call(bridged(echo, limits=Limits(max_body_bytes=limit)), environ)

    assert answer.status == 413
    assert limit < source.left.tell() <= limit + 64 * 1024


@pytest.mark.spec("SEC-17")
def test_413_does_not_wait_for_an_app_that_takes_no_notice() -> None:
    gone, finished = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        try:
            await reached(gone)
        finally:
            finished.set()

    adapter = bridged(app, limits=Limits(max_body_bytes=3), cancel_timeout=None)

    answer = call(adapter, posting(Source(b"four"), wsgi__input_terminated=True))

    assert answer.status == 413
    assert not finished.is_set()
    gone.set()


@pytest.mark.spec("SEC-17")
def test_a_body_at_the_limit_is_accepted() -> None:
    environ = posting(io.BytesIO(b"x" * 100), wsgi__input_terminated=True)

    assert call(bridged(echo, limits=Limits(max_body_bytes=100)), environ).body == b"x" * 100


@pytest.mark.spec("H-31")
def test_a_body_is_carried_byte_for_byte_both_ways() -> None:
    data = bytes(range(256)) + b"\r\n\n\r\r\n\x00" * 3

    assert call(bridged(echo), posting(io.BytesIO(data), len(data))).body == data


@pytest.mark.spec("WA-07")
def test_the_input_is_read_with_one_argument_and_never_closed() -> None:
    class Strict:
        def __init__(self) -> None:
            self.left = io.BytesIO(b"data")

        def read(self, *args: int) -> bytes:
            (size,) = args
            assert size > 0
            return self.left.read(size)

    # It has no other attribute: whatever else the bridge tried would fail the request.
    assert call(bridged(echo), posting(Strict(), 4)).body == b"data"


@pytest.mark.spec("A-13", "SEC-23")
def test_an_app_that_polls_an_abandoned_request_is_told_each_time_without_a_read() -> None:
    source = Source(b"")
    told: list[Message] = []
    at_end = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.extend([await receive() for _ in range(100)])
        at_end.set()

    with pytest.raises(ClientDisconnected):
        call(bridged(app), posting(source, 10))
    assert at_end.wait(10)

    assert told == [GONE] * 100
    assert len(source.sizes) == 1
