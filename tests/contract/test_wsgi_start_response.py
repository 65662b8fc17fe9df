"""`start_response` through the adapter, and response heads (PEP 3333 "The start_response() Callable")."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from bridge import WSGIToASGI
from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse
from tests.contract import wsgi_specimens
from tests.contract.wsgi_specimens import TEXT, Blocks, SpecimenError, answering, cookies, hello
from tests.support.asgi import Exchange, get, http_scope, stayed_away

BAD_STATUS: dict[str, Any] = {
    "no reason": "200",
    "line break": "200 OK\r\nX: y",
    "bare lf": "200 OK\n",
    "nul": "200 O\0K",
    "int": 200,
    "bytes": b"200 OK",
    "two digits": "20 x",
    "four digits": "2000 x",
    "other digits": "\u0662\u0660\u0660 OK",
    "blank first": " 200 OK",
    "empty": "",
    "beyond latin-1": "200 \u20ac",
    "informational": "101 Switching Protocols",
    "no final status": "600 Odd",
    "none": None,
}

BAD_HEADERS: dict[str, Any] = {
    "blank in name": [("Bad Name", "v")],
    "colon in name": [("X:", "v")],
    "empty name": [("", "v")],
    "line break in name": [("X\r\nY", "v")],
    "name beyond ascii": [("X-\xe9", "v")],
    "line break in value": [("X", "a\r\nSet-Cookie: secret=1")],
    "cr in value": [("X", "a\rsecret")],
    "lf in value": [("X", "a\nsecret")],
    "nul in value": [("X", "secret\0")],
    "value beyond latin-1": [("X", "secret \u20ac")],
    "bytes": [(b"X", b"secret")],
    "int value": [("Content-Length", 5)],
    "list for a pair": [["X", "secret"]],
    "three": [("X", "secret", "b")],
    "str for a pair": ["Xv"],
    "tuple": (("X", "v"),),
    "dict": {"X": "v"},
    "none": None,
    "length": [("Content-Length", "5_0")],
    "negative length": [("Content-Length", "-1")],
    "two lengths": [("Content-Length", "5"), ("Content-Length", "6")],
}


class Starting:
    """An app that calls start_response with anything, and keeps what that raises."""

    def __init__(self, status: Any, headers: Any) -> None:
        self._start = (status, headers)
        self.error: BaseException | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            start_response(*self._start)
        except Exception as exc:
            self.error = exc
            start_response("500 Internal Server Error", [TEXT], sys.exc_info())
            return [b"error page"]
        return [b"hello"]


# ---------------------------------------------------------------- the call


@pytest.mark.spec("W-33")
async def test_start_response_returns_a_working_write() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT], None)(b"x")
        return []

    assert (await get(WSGIToASGI(app))).body == b"x"


@pytest.mark.spec("W-33")
@pytest.mark.parametrize("name", ["status", "headers", "response_headers", "exc_info"])
async def test_start_response_takes_no_keywords(name: str) -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        with pytest.raises(TypeError):
            start_response("200 OK", **{name: []})
        return hello(environ, start_response)

    assert (await get(WSGIToASGI(app))).status == 200


@pytest.mark.spec("W-34")
async def test_start_twice_without_exc_info_raises() -> None:
    errors: list[AppProtocolError] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            start_response("500 Internal Server Error", [("X-Second", "1")])
        except AppProtocolError as exc:
            errors.append(exc)
        return [b"x"]

    exchange = await get(WSGIToASGI(app))

    assert len(errors) == 1
    assert (exchange.status, exchange.headers[0]) == (200, (b"x-first", b"1"))


@pytest.mark.spec("W-34")
async def test_start_after_a_failed_start_raises_without_exc_info() -> None:
    errors: list[AppProtocolError] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for status in ("200", "200 OK"):
            try:
                start_response(status, [])
            except AppProtocolError as exc:
                errors.append(exc)
        return [b"x"]

    exchange = Exchange()
    with pytest.raises(AppProtocolError, match="start"):
        await exchange.run(WSGIToASGI(app), http_scope())

    assert (len(errors), exchange.sent) == (2, [])


@pytest.mark.spec("W-35")
async def test_exc_info_replaces_a_start_that_has_not_left() -> None:
    exchange = await get(WSGIToASGI(wsgi_specimens.replaces_its_start))

    names = [name for name, _ in exchange.headers]
    assert exchange.status == 500
    assert b"x-second" in names and b"x-first" not in names
    assert exchange.body == b"error page"


@pytest.mark.spec("W-35", "W-38")
async def test_exc_info_replaces_a_start_after_empty_blocks() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("X-First", "1")])(b"")
        yield b""
        try:
            raise SpecimenError
        except SpecimenError:
            start_response("500 Internal Server Error", [("X-Second", "1")], sys.exc_info())
        yield b"error page"

    exchange = await get(WSGIToASGI(app))

    assert (exchange.status, exchange.headers) == (500, [(b"x-second", b"1")])


@pytest.mark.spec("W-36")
@pytest.mark.parametrize("way", ["iterated", "written"])
async def test_exc_info_after_the_headers_raises_that_exception(way: str) -> None:
    original = SpecimenError("late")
    raised: list[BaseException] = []

    def fail(start_response: StartResponse) -> None:
        try:
            raise original
        except SpecimenError:
            try:
                start_response("500 Internal Server Error", [], sys.exc_info())
            except BaseException as exc:
                raised.append(exc)
                raise

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        if way == "written":
            write(b"first")
        else:
            yield b"first"
        fail(start_response)
        yield b"more"

    exchange = Exchange()
    with pytest.raises(SpecimenError) as info:
        await exchange.run(WSGIToASGI(app), http_scope())

    assert raised == [original] and info.value is original
    assert "fail" in {entry.name for entry in info.traceback}
    assert (exchange.status, exchange.body, exchange.complete) == (200, b"first", False)


class _Local:
    """Something that can be referred to weakly."""


@pytest.mark.spec("W-37")
@pytest.mark.usefixtures("no_gc")
async def test_exc_info_leaves_no_reference_behind() -> None:
    refs: list[weakref.ref[_Local]] = []

    def fail() -> None:
        local = _Local()
        refs.append(weakref.ref(local))
        raise SpecimenError

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            fail()
        except SpecimenError:
            start_response("500 Internal Server Error", [], sys.exc_info())
        return [b"error page"]

    adapter = WSGIToASGI(app, threads=1)
    exchange = await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert exchange.status == 500
    assert refs[0]() is None


@pytest.mark.spec("W-37", "SEC-22")
@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("streams", [False, True], ids=["early", "late"])
async def test_an_exception_of_the_app_dies_with_its_request(streams: bool) -> None:
    refs: list[weakref.ref[_Local]] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        local = _Local()
        refs.append(weakref.ref(local))
        start_response("200 OK", [])
        if streams:
            yield b"first"
        raise SpecimenError

    adapter = WSGIToASGI(app, threads=1)
    with contextlib.suppress(SpecimenError):
        await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert refs[0]() is None


# ---------------------------------------------------------------- when the head leaves


@pytest.mark.spec("W-38", "W-47")
async def test_headers_leave_with_the_first_non_empty_block() -> None:
    sent = threading.Event()
    stages: list[bool] = []
    loop_has_looked = threading.Semaphore(0)

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        loop_has_looked.acquire(timeout=10)
        yield b""
        loop_has_looked.acquire(timeout=10)
        yield b"x"

    async def on_send(message: Any) -> None:
        sent.set()

    exchange = Exchange()
    exchange.on_send = on_send
    task = asyncio.create_task(exchange.run(WSGIToASGI(app), http_scope()))
    for _ in range(2):
        stages.append(await stayed_away(sent, seconds=0.1))
        loop_has_looked.release()
    await task

    assert stages == [True, True]
    assert exchange.body == b"x"


@pytest.mark.spec("W-39")
@pytest.mark.parametrize("before", [(), (b"",), (b"", b"")], ids=["first", "after-empty", "after-two-empty"])
async def test_the_response_may_start_while_it_is_iterated(before: tuple[bytes, ...]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        yield from before
        start_response("201 Created", [])
        yield b"x"

    exchange = await get(WSGIToASGI(app))

    assert (exchange.status, exchange.body) == (201, b"x")


@pytest.mark.spec("W-40", "AA-05")
@pytest.mark.parametrize(
    "result",
    [lambda: [b"x"], list, lambda: [b""], lambda: iter([b"x"]), lambda: iter([])],
    ids=["block", "empty-list", "empty-block", "stream", "empty-stream"],
)
async def test_an_app_that_never_starts_its_response_fails(result: Callable[[], Iterable[bytes]]) -> None:
    exchange = Exchange()

    with pytest.raises(AppProtocolError, match="start"):
        await exchange.run(WSGIToASGI(lambda environ, start_response: result()), http_scope())

    assert exchange.sent == []


@pytest.mark.spec("W-44")
async def test_a_header_list_changed_after_the_call_changes_nothing() -> None:
    headers = [("X-A", "1")]

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", headers)
        headers[0] = ("X-A", "2")
        headers.append(("X-B", "3"))
        yield b"x"

    assert (await get(WSGIToASGI(app))).headers == [(b"x-a", b"1")]
    assert headers == [("X-A", "2"), ("X-B", "3")]


# ---------------------------------------------------------------- status and headers


@pytest.mark.spec("W-41", "SEC-02")
@pytest.mark.parametrize("status", BAD_STATUS.values(), ids=BAD_STATUS)
async def test_a_wrong_status_raises_inside_the_app(status: Any) -> None:
    app = Starting(status, [TEXT])

    exchange = await get(WSGIToASGI(app))

    assert isinstance(app.error, AppProtocolError)
    assert "status" in str(app.error)
    assert (exchange.status, exchange.body) == (500, b"error page")


@pytest.mark.spec("W-41", "H-24", "AA-06")
@pytest.mark.parametrize(
    ("status", "code"), [("200 OK", 200), ("404 Custom", 404), ("299 ", 299), ("500 caf\xe9", 500)], ids=ascii
)
async def test_a_status_becomes_its_code(status: str, code: int) -> None:
    exchange = await get(WSGIToASGI(answering([b"x"], status=status)))

    assert type(exchange.status) is int and exchange.status == code


@pytest.mark.spec("W-42", "SEC-01", "SEC-27")
@pytest.mark.parametrize("headers", BAD_HEADERS.values(), ids=BAD_HEADERS)
async def test_wrong_headers_raise_inside_the_app(headers: Any) -> None:
    app = Starting("200 OK", headers)

    exchange = await get(WSGIToASGI(app))

    assert isinstance(app.error, AppProtocolError)
    assert "secret" not in str(app.error) and str(app.error).isprintable()
    assert (exchange.status, exchange.body) == (500, b"error page")


@pytest.mark.spec("SEC-01", "SEC-02")
@pytest.mark.parametrize(
    ("status", "headers"),
    [("200 OK", [("X", "a\r\nSet-Cookie: e=1")]), ("200 OK", [("X\n", "a")]), ("200 OK\r\nX: y", [])],
    ids=["value", "name", "status"],
)
async def test_an_injected_line_fails_the_request_and_not_the_next(status: str, headers: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/good":
            return hello(environ, start_response)
        start_response(status, headers)
        return [b"x"]

    adapter = WSGIToASGI(app, threads=1)
    exchange = Exchange()
    with pytest.raises(AppProtocolError):
        await exchange.run(adapter, http_scope("/bad"))

    assert exchange.sent == []
    assert (await get(adapter, "/good")).body == b"hello"


@pytest.mark.spec("H-15")
@pytest.mark.parametrize("code", [*range(0x20), 0x7F], ids=hex)
async def test_only_a_tab_of_all_controls_may_stand_in_a_value(code: int) -> None:
    app = Starting("200 OK", [("X-A", f"a{chr(code)}b")])

    exchange = await get(WSGIToASGI(app))

    assert exchange.status == (200 if code == 0x09 else 500)


@pytest.mark.spec("H-16", "W-42")
@pytest.mark.parametrize(
    ("given", "sent"), [(" v\t", b"v"), ("v\xa0", b"v\xa0"), ("caf\xe9", b"caf\xe9"), ("", b"")], ids=ascii
)
async def test_a_value_keeps_all_but_blanks_around_it(given: str, sent: bytes) -> None:
    exchange = await get(WSGIToASGI(answering([b"x"], ("X-A", given))))

    assert exchange.headers[0] == (b"x-a", sent)


@pytest.mark.spec("H-17", "AA-06")
async def test_cookies_stay_apart_and_in_order() -> None:
    headers = (await get(WSGIToASGI(cookies))).headers

    assert [field for field in headers if field[0] in (b"set-cookie", b"x-between")] == [
        (b"set-cookie", b"b=2"),
        (b"x-between", b"1"),
        (b"set-cookie", b"a=1"),
    ]


@pytest.mark.spec("H-21")
async def test_the_bridge_adds_nothing_that_the_server_adds() -> None:
    names = {name for name, _ in (await get(WSGIToASGI(hello))).headers}

    assert names == {b"content-type", b"content-length"}


# ---------------------------------------------------------------- hop-by-hop

HOP_BY_HOP = [
    ("Connection", "close"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic"),
    ("Proxy-Connection", "close"),
    ("TE", "trailers"),
    ("Trailer", "X-A"),
    ("Transfer-Encoding", "chunked"),
    ("Upgrade", "h2c"),
]


@pytest.mark.spec("W-43", "D-05")
@pytest.mark.parametrize("field", HOP_BY_HOP, ids=[name for name, _ in HOP_BY_HOP])
async def test_a_hop_by_hop_field_is_dropped_and_logged_once(
    field: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    adapter = WSGIToASGI(answering(Blocks([b"x"]), field, ("X-B", "1")))

    exchanges = [await get(adapter) for _ in range(3)]

    assert [exchange.headers for exchange in exchanges] == [[(b"x-b", b"1")]] * 3
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["bridge.wsgi"]
    assert field[0].lower() in caplog.text


@pytest.mark.spec("W-43", "D-05")
async def test_fields_that_connection_names_are_dropped_too() -> None:
    adapter = WSGIToASGI(
        answering(Blocks([b"x"]), ("X-Hop", "1"), ("Connection", "close, X-Hop"), ("X-B", "1"))
    )

    assert (await get(adapter)).headers == [(b"x-b", b"1")]


@pytest.mark.spec("D-05", "SEC-22")
async def test_an_app_that_invents_names_of_hop_by_hop_fields_fills_neither_memory_nor_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A WSGI proxy passes on what another server calls a field of its hop."""
    monkeypatch.setattr("bridge._runtime.wsgi_host.KEPT_NAMES", 6)
    count = itertools.count()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = f"X-{next(count)}"
        start_response("200 OK", [("Connection", name), (name, "1")])
        return [b"x"]

    adapter = WSGIToASGI(app)
    for _ in range(20):
        assert (await get(adapter)).complete

    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 5
    assert len(adapter._settings.host._reported) == 6


@pytest.mark.spec("W-43", "D-05")
@pytest.mark.parametrize("field", HOP_BY_HOP, ids=[name for name, _ in HOP_BY_HOP])
async def test_strict_raises_for_a_hop_by_hop_field(field: tuple[str, str]) -> None:
    app = Starting("200 OK", [field])

    exchange = await get(WSGIToASGI(app, strict=True))

    assert isinstance(app.error, AppProtocolError)
    assert (exchange.status, exchange.body) == (500, b"error page")


# ---------------------------------------------------------------- statuses without a body


@pytest.mark.spec("H-04")
async def test_204_has_no_content_length() -> None:
    exchange = await get(WSGIToASGI(wsgi_specimens.no_content))

    assert (exchange.status, exchange.headers) == (204, [])


@pytest.mark.spec("H-05")
@pytest.mark.parametrize("headers", [[], [("Content-Length", "5")]], ids=["without", "with"])
async def test_304_keeps_the_length_of_the_app(headers: list[tuple[str, str]]) -> None:
    exchange = await get(WSGIToASGI(answering([], *headers, status="304 Not Modified")))

    assert exchange.headers == [(name.lower().encode(), value.encode()) for name, value in headers]
    assert (exchange.body, exchange.complete) == (b"", True)


@pytest.mark.spec("H-03", "H-06", "AA-18")
@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_a_status_without_content_sends_none(
    status: str, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = Blocks([b"zz", b"more"])
    exchange = await get(WSGIToASGI(answering(blocks if streams else [b"zz"], status=status)))

    assert (exchange.body, exchange.complete) == (b"", True)
    assert len(exchange.sent) == 2
    assert "cut" in caplog.text
    if streams:
        assert (blocks.closed_once.wait(10), blocks.closed) == (True, 1)


@pytest.mark.spec("H-06")
async def test_205_says_that_it_is_empty() -> None:
    exchange = await get(WSGIToASGI(answering([b"x"], ("Content-Length", "1"), status="205 Reset Content")))

    assert exchange.headers == [(b"content-length", b"0")]


@pytest.mark.spec("H-01", "AA-18")
@pytest.mark.parametrize(
    "app", [wsgi_specimens.hello, wsgi_specimens.stream, wsgi_specimens.writes, wsgi_specimens.head_aware]
)
async def test_head_gets_no_content(app: Any) -> None:
    exchange = await get(WSGIToASGI(app), method="HEAD")

    assert (exchange.status, exchange.body, exchange.complete) == (200, b"", True)
    assert len(exchange.sent) == 2


@pytest.mark.spec("H-01")
async def test_the_response_to_head_is_closed() -> None:
    blocks = Blocks([b"hello"])

    await get(WSGIToASGI(answering(blocks)), method="HEAD")

    assert await asyncio.to_thread(blocks.closed_once.wait, 10)
    assert blocks.closed == 1


@pytest.mark.spec("H-02")
@pytest.mark.parametrize("app", [wsgi_specimens.hello_with_length, wsgi_specimens.head_aware])
async def test_head_keeps_the_headers_of_get(app: Any) -> None:
    adapter = WSGIToASGI(app)

    assert (await get(adapter, method="HEAD")).headers == (await get(adapter)).headers


@pytest.mark.spec("H-02", "W-58")
@pytest.mark.parametrize("app", [wsgi_specimens.empty_block, wsgi_specimens.empty_list, wsgi_specimens.hello])
async def test_head_gets_no_invented_length(app: Any) -> None:
    names = [name for name, _ in (await get(WSGIToASGI(app), method="HEAD")).headers]

    assert b"content-length" not in names
