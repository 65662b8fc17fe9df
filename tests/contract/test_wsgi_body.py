"""The body of a response through the adapter: blocks, write(), close(), Content-Length (PEP 3333)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from bridge import WSGIToASGI
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse
from tests.contract import wsgi_specimens
from tests.contract.wsgi_specimens import TEXT, Blocks, SpecimenError, answering
from tests.support.asgi import Exchange, get, happened, http_scope, stayed_away


def shape(exchange: Exchange) -> list[tuple[str, bytes, bool]]:
    """Show the events as (last part of the type, body, more_body)."""
    return [
        (message["type"].rpartition(".")[2], message.get("body", b""), message.get("more_body", False))
        for message in exchange.sent
    ]


async def get_and_close(app: Any) -> Exchange:
    """Send one request, and wait until the thread is done with it."""
    adapter = WSGIToASGI(app)
    exchange = await get(adapter)
    await asyncio.to_thread(adapter.close)
    return exchange


async def failing(app: Any, error: type[Exception], **scope: Any) -> Exchange:
    """Send one request that must raise."""
    exchange = Exchange()
    with pytest.raises(error):
        await exchange.run(WSGIToASGI(app), http_scope(**scope))
    return exchange


# ---------------------------------------------------------------- flow


@pytest.mark.spec("W-45", "AA-14", "A-27")
@pytest.mark.parametrize("way", ["iterated", "written"])
@pytest.mark.parametrize("size", [1, 1_024, 65_408, 65_536, 1_000_000])
async def test_a_stream_runs_ahead_by_no_more_than_the_bound(size: int, way: str) -> None:
    count = 600 if size < 10_000 else 20
    produced = 0
    exhausted = threading.Event()
    exchange = Exchange()
    exchange.send_gate = asyncio.Event()

    def blocks() -> Iterator[bytes]:
        nonlocal produced
        for _ in range(count):
            produced += 1
            yield bytes(size)
        exhausted.set()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        if way == "iterated":
            return blocks()
        for block in blocks():
            write(block)
        return []

    # Each block in flight counts BLOCK_OVERHEAD_BYTES more; the one that passes the mark is the last.
    bound = 1 + HIGH_WATER_BYTES // (size + BLOCK_OVERHEAD_BYTES)
    ahead: list[int] = []
    sent = -1  # the start

    async def on_send(message: Any) -> None:
        nonlocal sent
        ahead.append(produced - max(sent, 0))
        sent += 1

    exchange.on_send = on_send
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope()))
    stalled = await stayed_away(exhausted)
    produced_while_stalled = produced
    exchange.send_gate.set()
    await task

    assert stalled
    assert produced_while_stalled <= bound
    assert max(ahead) <= bound
    assert len(exchange.body) == count * size


@pytest.mark.spec("W-46")
async def test_a_block_leaves_before_the_next_is_made() -> None:
    may_go_on = threading.Semaphore(0)

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        for number in range(3):
            yield b"%d" % number
            assert may_go_on.acquire(timeout=10)

    exchange = Exchange()
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope()))
    for number in range(3):
        await exchange.sent_count(number + 2)  # and the app waits for us
        may_go_on.release()
    await task

    assert exchange.body == b"012"


@pytest.mark.spec("W-46")
async def test_a_block_of_write_leaves_before_the_app_goes_on() -> None:
    may_go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])(b"1")
        assert may_go_on.wait(10)
        return [b"2"]

    exchange = Exchange()
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope()))
    await exchange.sent_count(2)
    may_go_on.set()
    await task

    assert exchange.body == b"12"


@pytest.mark.spec("W-47", "W-55")
@pytest.mark.parametrize("kind", [list, tuple, iter, Blocks])
async def test_empty_blocks_change_nothing(kind: Callable[[Any], Any]) -> None:
    exchange = await get(WSGIToASGI(answering(kind([b"", b"x", b"", b"y", b""]))))

    assert exchange.body == b"xy"
    assert b"" not in [body for _, body, more in shape(exchange) if more]
    assert [more for name, _, more in shape(exchange) if name == "body"].count(False) == 1
    assert exchange.complete


# ---------------------------------------------------------------- write()


@pytest.mark.spec("W-48")
@pytest.mark.parametrize("rest", [[b"3"], (b"3",), iter([b"3"])], ids=["list", "tuple", "stream"])
async def test_what_is_written_precedes_what_is_iterated(rest: Iterable[bytes]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"1")
        write(b"2")
        return rest

    assert [body for name, body, _ in shape(await get(WSGIToASGI(app))) if body] == [b"1", b"2", b"3"]


@pytest.mark.spec("W-48")
async def test_write_waits_while_send_is_blocked() -> None:
    written = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])(bytes(1_000_000))
        written.set()
        return []

    exchange = Exchange()
    exchange.send_gate = asyncio.Event()
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope()))
    waits = await stayed_away(written)
    exchange.send_gate.set()
    await task

    assert waits and written.is_set()


@pytest.mark.spec("W-48", "W-49")
@pytest.mark.parametrize(
    "data", ["text", bytearray(b"x"), memoryview(b"x"), None, 1], ids=lambda v: type(v).__name__
)
async def test_write_raises_for_anything_but_bytes(data: Any) -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        try:
            write(data)
        except AppProtocolError as exc:
            errors.append(exc)
        return [b"x"]

    assert (await get(WSGIToASGI(app))).body == b"x"
    assert len(errors) == 1


# ---------------------------------------------------------------- the iterable


class _Derived(bytes):
    pass


@pytest.mark.spec("W-49")
@pytest.mark.parametrize("kind", [list, tuple, iter, Blocks])
@pytest.mark.parametrize(
    "block", ["text", "", bytearray(b"x"), _Derived(b"x"), None, 1], ids=lambda v: type(v).__name__
)
async def test_a_block_that_is_not_exactly_bytes_fails_the_request(
    block: Any, kind: Callable[[Any], Any]
) -> None:
    exchange = await failing(answering(kind([block])), AppProtocolError)

    assert exchange.sent == []


@pytest.mark.spec("W-49", "SEC-11")
async def test_a_wrong_block_after_a_good_one_cuts_the_response() -> None:
    exchange = await failing(answering(Blocks([b"good", "text"])), AppProtocolError)  # type: ignore[list-item]

    assert shape(exchange) == [("start", b"", False), ("body", b"good", True)]


@pytest.mark.spec("W-50")
async def test_only_iteration_length_and_close_are_used() -> None:
    touched: list[str] = []

    class Watched:
        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return object.__getattribute__(self, name)

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def __len__(self) -> int:
            return 2

        def close(self) -> None:
            closed.set()

    closed = threading.Event()

    exchange = await get(WSGIToASGI(answering(Watched())))

    assert exchange.body == b"ab"
    assert await happened(closed)
    assert {name for name in touched if not name.startswith("__")} == {"close"}


@pytest.mark.spec("W-50")
async def test_an_old_sequence_is_an_iterable_too() -> None:
    class Old:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    assert (await get(WSGIToASGI(answering(Old())))).body == b"ab"


@pytest.mark.spec("W-59", "W-49")
@pytest.mark.parametrize("result", [None, 5, "text", b"bytes", object()], ids=lambda v: type(v).__name__)
async def test_a_result_that_is_no_iterable_of_blocks_is_an_error_of_the_app(result: Any) -> None:
    exchange = Exchange()

    with pytest.raises(AppProtocolError, match=f"answering.*returned {type(result).__name__}"):
        await exchange.run(WSGIToASGI(answering(result)), http_scope())

    assert exchange.sent == []


# ---------------------------------------------------------------- close()


def _iter_fails() -> Any:
    class Uniterable(Blocks):
        def __iter__(self) -> Iterator[bytes]:
            raise SpecimenError

    return Uniterable([])


@pytest.mark.spec("W-52")
@pytest.mark.parametrize(
    ("make", "headers"),
    [
        pytest.param(lambda: Blocks([b"a", b"b"]), [], id="end"),
        pytest.param(lambda: Blocks([]), [], id="no-block"),
        pytest.param(lambda: Blocks([SpecimenError()]), [], id="error-first"),
        pytest.param(lambda: Blocks([b"a", SpecimenError()]), [], id="error-later"),
        pytest.param(_iter_fails, [], id="error-of-iter"),
        pytest.param(lambda: Blocks(["text"]), [], id="wrong-block"),  # type: ignore[list-item]
        pytest.param(lambda: Blocks([b"abc", b"d"]), [("Content-Length", "3")], id="enough"),
        pytest.param(lambda: Blocks([b"abc"]), [("Content-Length", "4")], id="too-little"),
    ],
)
async def test_close_runs_once_however_the_response_ends(
    make: Callable[[], Blocks], headers: list[tuple[str, str]]
) -> None:
    blocks = make()

    with contextlib.suppress(SpecimenError, AppProtocolError):
        await get(WSGIToASGI(answering(blocks, *headers)))

    assert await happened(blocks.closed_once)
    assert blocks.closed == 1


@pytest.mark.spec("W-52")
async def test_close_runs_for_an_app_that_did_not_start_its_response() -> None:
    blocks = Blocks([b"a"])

    await failing(lambda environ, start_response: blocks, AppProtocolError)

    assert await happened(blocks.closed_once)


@pytest.mark.spec("W-52", "AA-12")
async def test_close_runs_once_after_a_disconnect() -> None:
    blocks = Blocks(iter(lambda: b"x", b""))
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(WSGIToASGI(answering(blocks)), http_scope()))
    await exchange.sent_count(3)

    exchange.disconnect()

    await task
    assert await happened(blocks.closed_once)
    assert (blocks.closed, exchange.complete) == (1, False)


@pytest.mark.spec("W-52", "AA-13")
async def test_close_runs_once_after_a_cancellation() -> None:
    blocks = Blocks(iter(lambda: b"x", b""))
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(WSGIToASGI(answering(blocks)), http_scope()))
    await exchange.sent_count(3)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await happened(blocks.closed_once)
    assert blocks.closed == 1


@pytest.mark.spec("W-52")
async def test_close_is_that_of_the_returned_object_and_not_of_its_iterator() -> None:
    inner = Blocks([b"x"])

    class Outer(Blocks):
        def __iter__(self) -> Any:
            return _Closing(iter([b"x"]), inner)

    outer = Outer([])

    await get(WSGIToASGI(answering(outer)))

    assert await happened(outer.closed_once)
    assert (outer.closed, inner.closed) == (1, 0)


class _Closing:
    """An iterator with a `close()` of its own."""

    def __init__(self, iterator: Iterator[bytes], told: Blocks) -> None:
        self._iterator = iterator
        self._told = told

    def __iter__(self) -> _Closing:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def close(self) -> None:
        self._told.close()


@pytest.mark.spec("W-53", "W-54")
async def test_the_last_byte_leaves_and_the_loop_runs_while_close_takes_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response_is_out = threading.Event()
    in_time: list[bool] = []

    def close() -> None:
        in_time.append(response_is_out.wait(10))
        raise SpecimenError("in close")

    blocks = Blocks([b"x"], close)
    adapter = WSGIToASGI(answering(blocks))
    exchange = await get(adapter)
    response_is_out.set()  # by the loop, which close() would block if it ran there
    await asyncio.to_thread(adapter.close)

    assert "in close" in caplog.text
    assert (exchange.complete, exchange.body) == (True, b"x")
    assert in_time == [True]
    assert blocks.closed_in is blocks.thread is not threading.main_thread()


@pytest.mark.spec("W-53")
async def test_what_iteration_left_in_its_thread_is_there_in_close() -> None:
    local = threading.local()
    found: list[int] = []

    def blocks() -> Iterator[bytes]:
        local.value = 7
        yield b"x"

    result = Blocks(blocks(), lambda: found.append(local.value))

    await get_and_close(answering(result))

    assert found == [7]


# ---------------------------------------------------------------- ends and Content-Length


@pytest.mark.spec("W-55", "AA-05")
@pytest.mark.parametrize(
    "result",
    [[], [b""], [b"x"], [b"x", b"y"], (), Blocks([]), Blocks([b""]), Blocks([b"x"]), Blocks([b"x", b"y"])],
    ids=lambda v: f"{type(v).__name__}-{getattr(v, '_blocks', v)}",
)
async def test_a_good_response_has_one_start_and_one_end(result: Iterable[bytes]) -> None:
    events = shape(await get(WSGIToASGI(answering(result))))

    assert [name for name, _, _ in events] == ["start"] + ["body"] * (len(events) - 1)
    assert [more for name, _, more in events if name == "body"] == [True] * (len(events) - 2) + [False]


@pytest.mark.spec("AA-19")
@pytest.mark.parametrize("result", [[b"x"], (b"x",), [b"", b"x"]], ids=str)
async def test_a_whole_response_leaves_in_one_piece(result: Iterable[bytes]) -> None:
    assert shape(await get(WSGIToASGI(answering(result)))) == [("start", b"", False), ("body", b"x", False)]


@pytest.mark.spec("W-56")
async def test_no_more_than_the_content_length_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    blocks = Blocks([b"hello", b"more"])

    exchange = await get(WSGIToASGI(answering(blocks, ("Content-Length", "3"))))

    assert (exchange.body, exchange.complete) == (b"hel", True)
    assert await happened(blocks.closed_once)
    assert (blocks.pulled, blocks.closed) == (1, 1)
    assert "Content-Length" in caplog.text


@pytest.mark.spec("W-56")
async def test_a_list_is_cut_at_its_content_length() -> None:
    exchange = await get(WSGIToASGI(answering([b"hello", b"more"], ("Content-Length", "3"))))

    assert (exchange.body, exchange.complete) == (b"hel", True)


@pytest.mark.spec("W-56")
async def test_the_block_that_fills_the_content_length_is_the_last() -> None:
    blocks = Blocks([b"ab", b"c", b"never"])

    exchange = await get(WSGIToASGI(answering(blocks, ("Content-Length", "3"))))

    assert shape(exchange)[1:] == [("body", b"ab", True), ("body", b"c", False)]
    assert await happened(blocks.closed_once)
    assert blocks.pulled == 2


@pytest.mark.spec("W-56")
@pytest.mark.parametrize("writes", [(b"hello",), (b"he", b"llo"), (b"hel", b"lo")], ids=str)
async def test_write_beyond_the_content_length_raises(writes: tuple[bytes, ...]) -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, ("Content-Length", "3")])
        try:
            for data in writes:
                write(data)
        except AppProtocolError as exc:
            errors.append(exc)
        return []

    exchange = await get_and_close(app)

    assert len(errors) == 1
    assert (exchange.body, exchange.complete) == (b"hel", True)


@pytest.mark.spec("W-57", "SEC-11", "H-26")
@pytest.mark.parametrize("app", [wsgi_specimens.short, wsgi_specimens.short_stream])
async def test_less_than_the_content_length_never_looks_whole(app: Any) -> None:
    exchange = Exchange()

    with pytest.raises(AppProtocolError, match="5 of 9 bytes"):
        await exchange.run(WSGIToASGI(app), http_scope())

    assert not exchange.complete


@pytest.mark.spec("W-57", "H-02")
async def test_head_may_send_less_than_its_content_length() -> None:
    exchange = await get(WSGIToASGI(wsgi_specimens.short_stream), method="HEAD")

    assert (exchange.complete, exchange.body) == (True, b"")


@pytest.mark.spec("W-58")
@pytest.mark.parametrize(
    ("result", "length"), [([b"hello"], b"5"), ([b"he", b"llo"], b"5"), ([], b"0"), ([b""], b"0")], ids=str
)
async def test_a_whole_response_gets_its_content_length(result: list[bytes], length: bytes) -> None:
    assert (await get(WSGIToASGI(answering(result)))).headers == [(b"content-length", length)]


@pytest.mark.spec("W-58")
async def test_a_stream_gets_no_content_length() -> None:
    assert (await get(WSGIToASGI(answering(Blocks([b"hello"]))))).headers == []


@pytest.mark.spec("W-58")
async def test_a_response_that_was_written_gets_no_content_length() -> None:
    names = [name for name, _ in (await get(WSGIToASGI(wsgi_specimens.writes))).headers]

    assert b"content-length" not in names


# ---------------------------------------------------------------- errors


@pytest.mark.spec("W-60", "SEC-26", "AA-05")
@pytest.mark.parametrize("app", [wsgi_specimens.fails_early, wsgi_specimens.fails_after_start])
async def test_an_error_before_the_headers_sends_nothing_and_reaches_the_server(app: Any) -> None:
    exchange = Exchange()

    with pytest.raises(SpecimenError) as info:
        await exchange.run(WSGIToASGI(app), http_scope())

    assert exchange.sent == []
    assert app.__name__ in {entry.name for entry in info.traceback}


@pytest.mark.spec("W-60", "SEC-11", "SEC-26", "AA-05")
async def test_an_error_after_the_headers_cuts_the_response() -> None:
    exchange = Exchange()

    with pytest.raises(SpecimenError, match="late") as info:
        await exchange.run(WSGIToASGI(wsgi_specimens.fails_late), http_scope())

    assert shape(exchange) == [("start", b"", False), ("body", b"first", True)]
    assert "fails_late" in {entry.name for entry in info.traceback}


@pytest.mark.spec("W-60", "AA-05")
@pytest.mark.parametrize("app", wsgi_specimens.BROKEN, ids=lambda app: app.__name__)
async def test_a_broken_app_never_looks_whole_and_the_next_request_is_served(app: Any) -> None:
    def either(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return (app if environ["PATH_INFO"] == "/broken" else wsgi_specimens.hello)(environ, start_response)

    adapter = WSGIToASGI(either, threads=1)
    exchange = Exchange()
    with pytest.raises((SpecimenError, AppProtocolError)):
        await exchange.run(adapter, http_scope("/broken"))

    assert not exchange.complete
    assert [name for name, _, _ in shape(exchange)] in ([], ["start", "body"])
    assert (await get(adapter)).body == b"hello"


@pytest.mark.spec("W-60", "W-54")
async def test_an_error_after_the_whole_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("Content-Length", "1")])(b"x")
        raise SpecimenError("after the end")

    exchange = await get_and_close(app)

    assert "after the end" in caplog.text
    assert exchange.complete
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
