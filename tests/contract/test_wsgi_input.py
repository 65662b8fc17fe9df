"""`wsgi.input` and `wsgi.errors` through the adapter (PEP 3333 "Input and Error Streams")."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

import flask
import pytest

from bridge import Limits, WSGIToASGI
from bridge.errors import BodyTooLarge, ClientDisconnected
from bridge.types import Environ, Message, StartResponse
from tests.contract.wsgi_specimens import Blocks, answering, echo, echo_stream, hello, never_reads
from tests.support.asgi import Exchange, body_events, happened, http_scope, post

CHUNKED = [(b"transfer-encoding", b"chunked")]

Use = Callable[[Any], object]


class Reader:
    """A WSGI app that does something with its input and keeps what that gave or raised."""

    def __init__(self, use: Use) -> None:
        self._use = use
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            self.result = self._use(environ["wsgi.input"])
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            self.done.set()
        return hello(environ, start_response)


async def result_of(use: Use, *chunks: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    """Give what `use(wsgi.input)` returns for a request body of these chunks."""
    app = Reader(use)
    await post(WSGIToASGI(app), *chunks, headers=headers)
    return app.result


def upload(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return http_scope(method="POST", headers=headers)


# ---------------------------------------------------------------- the methods

# The same body as one event with its length, in pieces with a length, and in pieces without one.
BODIES: list[Any] = [
    pytest.param((b"ab\ncd\ne",), None, id="whole"),
    pytest.param((b"a", b"b\nc", b"", b"d\n", b"e"), None, id="pieces"),
    pytest.param((b"a", b"b\nc", b"", b"d\n", b"e"), CHUNKED, id="chunked"),
]

METHODS: dict[str, tuple[Use, Any]] = {
    "read": (lambda i: i.read(), b"ab\ncd\ne"),
    "read(-1)": (lambda i: i.read(-1), b"ab\ncd\ne"),
    "read(None)": (lambda i: i.read(None), b"ab\ncd\ne"),
    "read(4), read(9)": (lambda i: [i.read(4), i.read(9)], [b"ab\nc", b"d\ne"]),
    "read(0), read(2)": (lambda i: [i.read(0), i.read(2)], [b"", b"ab"]),
    "read(3), read()": (lambda i: [i.read(3), i.read()], [b"ab\n", b"cd\ne"]),
    "readline to the end": (lambda i: [i.readline() for _ in range(4)], [b"ab\n", b"cd\n", b"e", b""]),
    "readline(65536)": (lambda i: i.readline(65_536), b"ab\n"),
    "readline(1), readline(9)": (lambda i: [i.readline(1), i.readline(9)], [b"a", b"b\n"]),
    "readline(None)": (lambda i: i.readline(None), b"ab\n"),
    "readline(-1)": (lambda i: i.readline(-1), b"ab\n"),
    "readline(0)": (lambda i: i.readline(0), b""),
    "readlines": (lambda i: i.readlines(), [b"ab\n", b"cd\n", b"e"]),
    "readlines(None)": (lambda i: i.readlines(None), [b"ab\n", b"cd\n", b"e"]),
    "readlines(1)": (lambda i: i.readlines(1), [b"ab\n"]),
    "readlines(4)": (lambda i: i.readlines(4), [b"ab\n", b"cd\n"]),
    "iteration": (list, [b"ab\n", b"cd\n", b"e"]),
    "next, then read": (lambda i: [next(iter(i)), i.read()], [b"ab\n", b"cd\ne"]),
}


@pytest.mark.spec("W-18", "W-19", "W-20", "W-23", "W-24", "W-25", "W-26")
@pytest.mark.parametrize(("chunks", "headers"), BODIES)
@pytest.mark.parametrize(("use", "expected"), METHODS.values(), ids=METHODS)
async def test_every_method_reads_as_bytes_io_does(
    use: Use, expected: object, chunks: tuple[bytes, ...], headers: Any
) -> None:
    result = await result_of(use, *chunks, headers=headers)

    assert result == expected == use(io.BytesIO(b"".join(chunks)))
    assert {type(piece) for piece in (result if type(result) is list else [result])} == {bytes}


@pytest.mark.spec("W-26", "W-21")
@pytest.mark.parametrize("headers", [None, CHUNKED, []], ids=["length-0", "chunked", "no-framing"])
@pytest.mark.parametrize("use", [list, lambda i: i.readlines()], ids=["iteration", "readlines"])
async def test_an_empty_body_has_no_lines(use: Use, headers: Any) -> None:
    assert await result_of(use, b"", headers=headers) == []


@pytest.mark.spec("W-24")
async def test_a_readline_loop_with_a_size_sees_the_whole_body() -> None:
    body = b"payload " * 10_000

    pieces = await result_of(lambda i: list(iter(lambda: i.readline(65_536), b"")), body, headers=CHUNKED)

    assert b"".join(pieces) == body


@pytest.mark.spec("W-21")
@pytest.mark.parametrize(("chunks", "headers"), BODIES)
async def test_past_the_end_every_read_is_empty_and_asks_for_nothing(
    chunks: tuple[bytes, ...], headers: Any
) -> None:
    exchange = Exchange(*body_events(*chunks))
    received = []

    def use(stream: Any) -> object:
        stream.read()
        received.append(exchange.received)
        return [stream.read(), stream.read(3), stream.readline(), stream.readlines(), list(stream)]

    app = Reader(use)
    length = [(b"content-length", b"%d" % sum(map(len, chunks)))]
    await exchange.run(WSGIToASGI(app), upload(*(headers or length)))

    assert app.result == [b"", b"", b"", [], []]
    assert received == [exchange.received] == [len(chunks)]


@pytest.mark.spec("W-22")
@pytest.mark.parametrize("chunks", [(b"abcde",), (b"ab", b"cde"), (b"abc", b"de")], ids=str)
async def test_the_body_ends_at_its_content_length(chunks: tuple[bytes, ...]) -> None:
    assert await result_of(lambda i: i.read(), *chunks, headers=[(b"content-length", b"3")]) == b"abc"


@pytest.mark.spec("H-12")
async def test_a_body_is_not_decoded_again() -> None:
    body = b"3\r\nabc\r\n0\r\n\r\n"

    assert (await post(WSGIToASGI(echo), body, headers=CHUNKED)).body == body


@pytest.mark.spec("E-07")
async def test_flask_reads_a_chunked_body() -> None:
    app = flask.Flask(__name__)

    @app.post("/")
    def view() -> bytes:
        return flask.request.get_data()

    assert (await post(WSGIToASGI(app), b"ab", b"cd", headers=CHUNKED)).body == b"abcd"


# ---------------------------------------------------------------- streamed in


@pytest.mark.spec("W-27")
async def test_the_app_starts_before_the_body_is_complete() -> None:
    exchange = Exchange({"type": "http.request", "body": b"abcd", "more_body": True})

    task = asyncio.create_task(exchange.run(WSGIToASGI(echo_stream), upload(*CHUNKED)))
    await exchange.sent_count(2)
    sent_before_the_end = exchange.body
    exchange.events.put_nowait({"type": "http.request", "body": b"efgh"})
    await task

    assert sent_before_the_end == b"abcd"
    assert exchange.body == b"abcdefgh"


@pytest.mark.spec("W-27", "SEC-19")
@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"%d" % (100 * 65_536))], CHUNKED], ids=["length", "chunked"]
)
async def test_a_slow_reader_bounds_what_is_pulled(headers: list[tuple[bytes, bytes]]) -> None:
    exchange = Exchange(*body_events(*[bytes(65_536)] * 100))
    ahead: list[int] = []
    may_go_on = threading.Event()

    def slow(stream: Any) -> int:
        first = len(stream.read(1))
        may_go_on.wait(10)
        ahead.append(exchange.received)
        rest = sum(len(piece) for piece in iter(lambda: stream.read(65_536), b""))
        return first + rest

    app = Reader(slow)
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), upload(*headers)))
    await _until_receive_rests(exchange)
    may_go_on.set()
    await task

    # One event in the app's buffer, four of 64 KiB in a buffer of 256 KiB, and one that is over it.
    assert ahead[0] <= 6
    assert app.result == 100 * 65_536


async def _until_receive_rests(exchange: Exchange) -> None:
    """Wait until the adapter has begun to pull and then stops for a while."""
    async with asyncio.timeout(10):
        while True:
            before = exchange.received
            await asyncio.sleep(0.1)
            if 2 <= before == exchange.received:
                return


@pytest.mark.spec("W-28")
@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"%d" % 2**30)], CHUNKED], ids=["length", "chunked"]
)
async def test_an_app_that_never_reads_answers_at_once(headers: list[tuple[bytes, bytes]]) -> None:
    exchange = Exchange({"type": "http.request", "body": b"x" * 65_536, "more_body": True})

    await exchange.run(WSGIToASGI(never_reads), upload(*headers))

    assert (exchange.status, exchange.complete) == (413, True)
    assert exchange.received <= 1


# ---------------------------------------------------------------- cut off


@pytest.mark.spec("W-29", "SEC-11")
@pytest.mark.parametrize("headers", [[(b"content-length", b"9")], CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "use",
    [lambda i: i.read(), lambda i: i.read(9), lambda i: i.readline(), list, lambda i: [i.read(4), i.read(1)]],
    ids=["read", "read-9", "readline", "iteration", "after-the-part"],
)
async def test_a_disconnect_during_a_read_is_no_end_of_file(
    use: Use, headers: list[tuple[bytes, bytes]]
) -> None:
    app = Reader(use)
    part = {"type": "http.request", "body": b"part", "more_body": True}
    exchange = Exchange(part, {"type": "http.disconnect"})

    await exchange.run(WSGIToASGI(app), upload(*headers))

    assert await happened(app.done)
    assert isinstance(app.error, ClientDisconnected) and isinstance(app.error, ConnectionError | OSError)
    assert exchange.sent == []


@pytest.mark.spec("W-29", "SEC-11")
async def test_a_client_that_leaves_before_its_body_never_reaches_the_app() -> None:
    app = Reader(lambda i: i.read())

    exchange = await Exchange({"type": "http.disconnect"}).run(
        WSGIToASGI(app), upload((b"content-length", b"9"))
    )

    assert (exchange.sent, app.done.is_set()) == ([], False)


@pytest.mark.spec("SEC-11")
@pytest.mark.parametrize("chunks", [(b"part",), (b"pa", b"rt")], ids=["one", "two"])
async def test_a_body_shorter_than_declared_is_not_taken_for_whole(chunks: tuple[bytes, ...]) -> None:
    app = Reader(lambda i: i.read())

    exchange = await post(WSGIToASGI(app), *chunks, headers=[(b"content-length", b"9")])

    assert exchange.sent == []
    assert app.result is None


@pytest.mark.spec("W-29", "AA-13")
async def test_a_cancelled_request_ends_a_blocked_read() -> None:
    app = Reader(lambda i: i.read())
    exchange = Exchange({"type": "http.request", "body": b"part", "more_body": True})
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), upload(*CHUNKED)))
    await _until_receive_rests(exchange)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await happened(app.done)
    assert isinstance(app.error, OSError)


@pytest.mark.spec("W-29", "AA-13")
async def test_a_receive_that_is_cancelled_ends_a_blocked_read() -> None:
    """By something between the server and the adapter, and not by the end of the request."""
    app = Reader(lambda i: i.read())
    exchange = Exchange({"type": "http.request", "body": b"part", "more_body": True})

    async def receive() -> Message:
        if exchange.received:
            raise asyncio.CancelledError
        return await exchange.receive()

    async with asyncio.timeout(10):
        await WSGIToASGI(app)(upload(*CHUNKED), receive, exchange.send)

    assert isinstance(app.error, ClientDisconnected)


@pytest.mark.spec("AA-16", "D-07")
async def test_nothing_is_received_after_a_disconnect() -> None:
    """A stream that begins with a client that has left; others wait for their turn meanwhile."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["bridge.client_disconnected"]()
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    async def on_send(message: Any) -> None:
        if not exchange.sent:
            exchange.disconnect()
        for _ in range(5):
            await asyncio.sleep(0)

    exchange = Exchange()
    exchange.on_send = on_send
    await exchange.run(WSGIToASGI(app), http_scope())

    assert exchange.received == 2 and not exchange.complete


@pytest.mark.spec("W-30")
@pytest.mark.parametrize("chunks", [(b"whole",), (b"in ", b"pieces")], ids=["whole", "pieces"])
@pytest.mark.parametrize("app_reads", [0, 1, -1], ids=["unread", "begun", "read"])
async def test_a_stashed_input_never_blocks_after_the_request(
    app_reads: int, chunks: tuple[bytes, ...]
) -> None:
    stash: list[Any] = []

    def use(stream: Any) -> None:
        stash.append(stream)
        if app_reads:
            stream.read(app_reads)

    await result_of(use, *chunks)
    read_later = asyncio.to_thread(_read_to_the_end, stash[0])

    async with asyncio.timeout(10):
        rest = await read_later
    assert rest is None or rest in b"".join(chunks)


@pytest.mark.spec("W-30")
@pytest.mark.parametrize("streams", [False, True], ids=["unwatched", "watched"])
async def test_a_first_read_in_the_moment_of_the_end_never_blocks(streams: bool) -> None:
    stash: list[Any] = []
    result = Blocks([b"a", b"b"]) if streams else [b"ab"]
    app = answering(result, first=lambda environ: stash.append(environ["wsgi.input"]))

    await Exchange(end=False).run(WSGIToASGI(app), upload(*CHUNKED))
    reader = threading.Thread(target=_read_to_the_end, args=stash, daemon=True)
    reader.start()
    reader.join(10)  # holds the loop, which has not yet ended the watch for a disconnect

    assert not reader.is_alive()


@pytest.mark.spec("W-29", "W-30", "SEC-11")
@pytest.mark.parametrize("case", ["lost", "short", "too large"])
async def test_a_body_that_was_cut_off_has_no_end_of_file_after_the_request_either(case: str) -> None:
    stash: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stash.append(environ["wsgi.input"])
        with pytest.raises((BodyTooLarge, ClientDisconnected)):
            stash[0].read()
        return hello(environ, start_response)

    exchange = Exchange(*body_events(b"pa", b"r", b"t")[: 2 if case == "lost" else 3])
    exchange.disconnect()
    adapter = WSGIToASGI(app, limits=Limits(max_body_bytes=3 if case == "too large" else None))
    await exchange.run(adapter, upload(*(CHUNKED if case == "too large" else [(b"content-length", b"9")])))
    await asyncio.to_thread(adapter.close)

    assert [await asyncio.to_thread(_read_to_the_end, stash[0]) for _ in range(4)] == [None] * 4


def _read_to_the_end(stream: Any) -> bytes | None:
    try:
        data: bytes = stream.read()
    except (OSError, BodyTooLarge):
        return None
    return data


# ---------------------------------------------------------------- Expect


@pytest.mark.spec("W-51", "D-07")
@pytest.mark.parametrize("headers", [[(b"content-length", b"9")], CHUNKED], ids=["length", "chunked"])
async def test_receive_is_not_called_for_an_app_that_does_not_read(
    headers: list[tuple[bytes, bytes]],
) -> None:
    exchange = Exchange()
    received_at: list[int] = []

    async def on_send(message: Any) -> None:
        received_at.append(exchange.received)

    exchange.on_send = on_send
    await exchange.run(
        WSGIToASGI(answering([b"no"], status="401 Unauthorized")),
        upload((b"expect", b"100-continue"), *headers),
    )

    assert exchange.status == 401
    assert received_at == [0, 0]


@pytest.mark.spec("W-51", "D-07")
async def test_a_request_that_outlives_the_grace_still_asks_for_nothing() -> None:
    exchange = Exchange()
    may_go_on = threading.Event()
    app = answering([b"no"], first=lambda _: may_go_on.wait(10))
    scope = upload((b"expect", b"100-continue"), (b"content-length", b"9"))

    task = asyncio.create_task(exchange.run(WSGIToASGI(app), scope))
    await asyncio.sleep(0.5)  # the grace is 0.1 s: a watcher would have begun; a slow machine errs to a pass
    may_go_on.set()
    await task

    assert exchange.received == 0


@pytest.mark.spec("W-51", "AA-12")
async def test_a_request_that_outlived_the_grace_is_watched_once_the_app_has_read() -> None:
    """To spare its client is no reason any more: what a look would send has been sent."""
    exchange = Exchange(*body_events(b"ab"))
    told, may_end = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert outlived.wait(10)
        environ["wsgi.input"].read()
        told.set()
        assert may_end.wait(10)
        return hello(environ, start_response)

    outlived = threading.Event()
    asyncio.get_running_loop().call_later(0.5, outlived.set)  # a slow machine errs to a pass
    scope = upload((b"expect", b"100-continue"), (b"content-length", b"2"))
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), scope))
    assert await happened(told)
    exchange.disconnect()

    try:
        async with asyncio.timeout(10):
            await task  # it ends with its client, and not with its app
    finally:
        may_end.set()
    assert exchange.sent == []


@pytest.mark.spec("W-51")
async def test_the_first_read_asks_for_the_body() -> None:
    app = Reader(lambda i: i.read())
    exchange = Exchange(*body_events(b"ab", b"cd"))

    await exchange.run(WSGIToASGI(app), upload((b"expect", b"100-continue"), (b"content-length", b"4")))

    assert (app.result, exchange.received) == (b"abcd", 2)


# ---------------------------------------------------------------- limits


LIMIT = Limits(max_body_bytes=10_000)


@pytest.mark.spec("SEC-17")
async def test_a_declared_body_over_the_limit_is_refused_unread() -> None:
    app = Reader(lambda i: i.read())
    exchange = Exchange(*body_events(bytes(10_001)))

    await exchange.run(WSGIToASGI(app, limits=LIMIT), upload((b"content-length", b"10001")))

    assert (exchange.status, exchange.complete) == (413, True)
    assert (exchange.received, app.done.is_set()) == (0, False)


@pytest.mark.spec("SEC-17")
@pytest.mark.parametrize("swallows", [False, True], ids=["raising", "swallowing"])
async def test_a_chunked_body_over_the_limit_is_refused_by_count(swallows: bool) -> None:
    def use(stream: Any) -> None:
        try:
            stream.read()
        except Exception:
            if not swallows:
                raise

    exchange = Exchange(*body_events(*[bytes(1_000)] * 100))

    await exchange.run(WSGIToASGI(Reader(use), limits=LIMIT), upload(*CHUNKED))

    assert (exchange.status, exchange.complete) == (413, True)
    assert exchange.received <= 11


@pytest.mark.spec("SEC-17")
async def test_a_body_of_exactly_the_limit_is_served() -> None:
    exchange = await post(WSGIToASGI(echo, limits=LIMIT), bytes(5_000), bytes(5_000), headers=CHUNKED)

    assert (exchange.status, len(exchange.body)) == (200, 10_000)


@pytest.mark.spec("SEC-17", "SEC-11")
async def test_a_limit_met_after_the_response_began_cuts_it() -> None:
    exchange = Exchange({"type": "http.request", "body": bytes(1_000), "more_body": True})
    task = asyncio.create_task(exchange.run(WSGIToASGI(echo_stream, limits=LIMIT), upload(*CHUNKED)))
    await exchange.sent_count(2)

    for event in body_events(*[bytes(1_000)] * 100):
        exchange.events.put_nowait(event)

    with pytest.raises(BodyTooLarge):
        await task
    assert not exchange.complete


# ---------------------------------------------------------------- wsgi.errors


@pytest.mark.spec("W-31")
async def test_errors_takes_lines_of_str() -> None:
    log = io.StringIO()

    def complaining(environ: Environ) -> None:
        environ["wsgi.errors"].writelines(["a\n", "b\n"])
        environ["wsgi.errors"].write("c\n")
        environ["wsgi.errors"].flush()

    await post(WSGIToASGI(answering(Blocks([b"x"]), first=complaining), errors=log))

    assert log.getvalue() == "a\nb\nc\n"


@pytest.mark.spec("W-31", "W-32")
async def test_errors_is_standard_error_at_the_time_of_the_write(capsys: pytest.CaptureFixture[str]) -> None:
    await post(WSGIToASGI(answering([b"x"], first=lambda environ: environ["wsgi.errors"].write("alas\n"))))

    assert capsys.readouterr() == ("", "alas\n")


@pytest.mark.spec("W-32")
async def test_errors_takes_any_unicode_on_an_ascii_stream() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict", newline="\n", write_through=True)

    await post(
        WSGIToASGI(
            answering([b"x"], first=lambda environ: environ["wsgi.errors"].write("€\ud800\n")), errors=stream
        )
    )

    assert raw.getvalue() == b"\\u20ac\\ud800\n"
