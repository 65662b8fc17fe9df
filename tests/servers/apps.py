"""Specimens in both kinds, one path each: what `wsgi_bridged` does under `/source`, `asgi_bridged` does too.

The query of a request says what to do (`Case`); what happens is noted on the board of the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from flask import Flask
from flask import request as flask_request
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.errors import ClientDisconnected
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse
from tests.servers.board import Board, publish

THREADS = 4
"""How many requests every server under test does at once, if it can do more than one."""

board = Board()
publish(board)

ERRORS: dict[str, type[BaseException]] = {
    error.__name__: error
    for error in (
        ValueError,
        ConnectionResetError,
        RecursionError,
        MemoryError,
        StopIteration,
        StopAsyncIteration,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        asyncio.CancelledError,
    )
}


@dataclass(frozen=True)
class Case:
    """What a request asks for.

    Attributes:
        key: under which notes are left.
        kind: of the fault, or of the note.
        blocks: how many blocks to stream; 0 for no end.
        size: of a block, in bytes.
        length: whether to declare the Content-Length.
        at: before which block to fail, or after how many bytes to pause; -1 for never.
        gate: whether to wait for the note "go" before anything is answered.
    """

    key: str = ""
    kind: str = ""
    blocks: int = 0
    size: int = 0
    length: bool = False
    at: int = -1
    gate: bool = False

    @classmethod
    def of(cls, query: str) -> Case:
        words = dict(parse_qsl(query))
        numbers = {name: int(words.pop(name)) for name in ("blocks", "size", "at") if name in words}
        flags = {name: bool(int(words.pop(name))) for name in ("length", "gate") if name in words}
        return cls(**words, **numbers, **flags)  # type: ignore[arg-type]

    def note(self, what: str) -> None:
        board.note(self.key, what)

    @property
    def fields(self) -> list[tuple[str, str]]:
        fields = [("Content-Type", "application/octet-stream")]
        if self.length:
            fields.append(("Content-Length", str(self.blocks * self.size)))
        return fields


def fail_on_purpose(case: Case) -> None:
    raise ERRORS[case.kind](f"on purpose {case.key}")


# ---------------------------------------------------------------- WSGI


def _start(start_response: StartResponse, case: Case | None = None) -> None:
    start_response("200 OK", (case or Case()).fields)


def _wsgi_hello(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _start(start_response)
    return [b"hello"]


def _wsgi_optimized(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _start(start_response)
    return [b"%d" % sys.flags.optimize]


def _wsgi_note(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    case.note(case.kind)
    _start(start_response)
    return [b"noted"]


class _Blocks:
    """The blocks of a case; counts what is asked of it."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._index = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        case, index = self._case, self._index
        if index == case.at:
            fail_on_purpose(case)
        if index == case.blocks > 0:
            raise StopIteration
        self._index += 1
        case.note("produced")
        return bytes(case.size)

    def close(self) -> None:
        self._case.note("closed")


def _wsgi_source(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    case.note("entered")
    if case.gate:
        board.wait(case.key, "go")
    _start(start_response, case)
    return _Blocks(case)


def _wsgi_sink(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    case.note("entered")
    count = 0
    try:
        while data := environ["wsgi.input"].read(65536):
            count += len(data)
            case.note("read")
            if case.at >= 0 and count >= case.at > count - len(data):
                case.note("paused")
                board.wait(case.key, "go")
    except OSError as exc:
        case.note(f"cut: {type(exc).__name__}")
        raise
    case.note("whole")
    _start(start_response)
    return [b"%d" % count]


def _wsgi_lines(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer each line as it comes."""
    _start(start_response)
    yield from environ["wsgi.input"]


def _wsgi_refusing(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("413 Content Too Large", [("Content-Length", "8")])
    return [b"too much"]


def _wsgi_first(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Yield the time, and nothing more before it is told to."""
    _start(start_response)
    yield b"%d\n" % time.monotonic_ns()
    board.wait(case.key, "go")
    case.note("went on")
    yield b"end"


class _FailingToClose(list[bytes]):
    def __init__(self, case: Case) -> None:
        super().__init__([bytes(case.size)] * case.blocks)
        self._case = case

    def close(self) -> None:
        fail_on_purpose(self._case)


def _wsgi_closing(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _start(start_response, case)
    return _FailingToClose(case)


class _SlowToClose(list[bytes]):
    def __init__(self, case: Case) -> None:
        super().__init__([b"done"])
        self._case = case

    def close(self) -> None:
        board.wait(self._case.key, "go")
        self._case.note("worked")


def _wsgi_afterwards(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _start(start_response)
    return _SlowToClose(case)


def _wsgi_meet(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer when as many requests are inside as there are threads."""
    case.note("entered")
    board.wait(case.key, "entered", THREADS)
    _start(start_response)
    return [b"met"]


def _wsgi_facts(case: Case, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    case.note("entered")
    body = environ["wsgi.input"].read().decode("latin-1")
    case.note("whole")
    facts = {key: value for key, value in environ.items() if type(value) is str}
    _start(start_response)
    return [json.dumps({"body": body, **facts}).encode("ascii")]


def _wsgi_fault(case: Case, environ: Environ, start_response: StartResponse) -> Any:
    if case.kind in ERRORS:
        fail_on_purpose(case)
    case.note("entered")
    return _WSGI_FAULTS[case.kind](case, start_response)


def _wsgi_start_twice(case: Case, start_response: StartResponse) -> Iterable[bytes]:
    _start(start_response)
    _start(start_response)
    return [b"twice"]


def _wsgi_injection(case: Case, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X", "a\r\nSet-Cookie: evil=1")])
    return [b"injected"]


def _wsgi_status_injection(case: Case, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK\r\nSet-Cookie: evil=1", [])
    return [b"injected"]


def _wsgi_started(result: Any) -> Callable[[Case, StartResponse], Any]:
    def app(case: Case, start_response: StartResponse) -> Any:
        _start(start_response)
        return result

    return app


def _wsgi_short(case: Case, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "100")])
    return [b"too short"]


def _wsgi_hang(case: Case, start_response: StartResponse) -> Iterable[bytes]:
    board.wait(case.key, "go")
    _start(start_response)
    return [b"late"]


_WSGI_FAULTS: dict[str, Callable[[Case, StartResponse], Any]] = {
    "none": _wsgi_started(None),
    "str": _wsgi_started("text"),
    "number": _wsgi_started(5),
    "text block": _wsgi_started(["text"]),
    "no start": lambda case, start_response: [b"no start"],
    "no answer": lambda case, start_response: [],
    "start twice": _wsgi_start_twice,
    "injection": _wsgi_injection,
    "status injection": _wsgi_status_injection,
    "short": _wsgi_short,
    "hang": _wsgi_hang,
}

flask_app = Flask(__name__)


@flask_app.post("/flask/data")
def flask_data() -> bytes:
    data: bytes = flask_request.data
    return data


@flask_app.post("/flask/stream")
def flask_stream() -> bytes:
    return b"".join(iter(lambda: flask_request.stream.read(1000), b""))


_WSGI: dict[str, Callable[[Case, Environ, StartResponse], Any]] = {
    "": _wsgi_hello,
    "optimized": _wsgi_optimized,
    "note": _wsgi_note,
    "source": _wsgi_source,
    "sink": _wsgi_sink,
    "lines": _wsgi_lines,
    "refusing": _wsgi_refusing,
    "first": _wsgi_first,
    "afterwards": _wsgi_afterwards,
    "closing": _wsgi_closing,
    "meet": _wsgi_meet,
    "facts": _wsgi_facts,
    "fault": _wsgi_fault,
    "flask": lambda case, environ, start_response: flask_app(environ, start_response),
}


def wsgi_app(environ: Environ, start_response: StartResponse) -> Any:
    name = environ["PATH_INFO"].split("/")[1]
    return _WSGI[name](Case.of(environ["QUERY_STRING"]), environ, start_response)


# ---------------------------------------------------------------- ASGI


async def _begin(send: Send, case: Case | None = None, status: int = 200) -> None:
    fields = [(name.lower().encode(), value.encode()) for name, value in (case or Case()).fields]
    await send({"type": "http.response.start", "status": status, "headers": fields})


def _block(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _answer(send: Send, data: bytes) -> None:
    await _begin(send)
    await send(_block(data))


async def _asgi_hello(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, b"hello")


async def _asgi_optimized(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, b"%d" % sys.flags.optimize)


async def _asgi_note(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    case.note(case.kind)
    await _answer(send, b"noted")


async def _asgi_source(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    case.note("entered")
    try:
        if case.gate:
            await board.noted(case.key, "go")
        await _begin(send, case)
        index = 0
        while not index == case.blocks > 0:
            if index == case.at:
                fail_on_purpose(case)
            case.note("produced")
            await send(_block(bytes(case.size), more=True))
            index += 1
        if index == case.at:
            fail_on_purpose(case)
        await send(_block(b""))
    except ClientDisconnected:
        case.note("send raised")
        while (await receive())["type"] != "http.disconnect":
            pass
        case.note("disconnected")
        raise
    finally:
        case.note("closed")


async def _asgi_sink(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    case.note("entered")
    count, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            case.note("cut: http.disconnect")
            return
        size, more = len(event["body"]), event["more_body"]
        count += size
        case.note("read")
        if case.at >= 0 and count >= case.at > count - size:
            case.note("paused")
            await board.noted(case.key, "go")
    case.note("whole")
    await _answer(send, b"%d" % count)


async def _asgi_lines(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    await _begin(send)
    more = True
    while more:
        event = await receive()
        more = event["more_body"]
        await send(_block(event["body"], more=True))
    await send(_block(b""))


async def _asgi_refusing(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    await _begin(send, status=413)
    await send(_block(b"too much"))


async def _asgi_first(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    await _begin(send)
    await send(_block(b"%d\n" % time.monotonic_ns(), more=True))
    await board.noted(case.key, "go")
    case.note("went on")
    await send(_block(b"end"))


async def _asgi_afterwards(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    async def work() -> None:
        await board.noted(case.key, "go")
        if case.kind:
            fail_on_purpose(case)
        case.note("worked")

    await PlainTextResponse("done", background=BackgroundTask(work))(scope, receive, send)


async def _asgi_closing(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    """Fail when all is said."""
    await _begin(send, case)
    for index in range(case.blocks):
        await send(_block(bytes(case.size), more=index + 1 < case.blocks))
    fail_on_purpose(case)


async def _asgi_stubborn(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    """Say something, then ignore that the client leaves and that the task is cancelled, twice."""
    cancelled = 0
    case.note("entered")
    await _begin(send)
    await send(_block(b"mark", more=True))
    while cancelled < 3 and "go" not in board.notes(case.key):
        try:
            await board.noted(case.key, "go")
        except asyncio.CancelledError:
            cancelled += 1
            case.note("cancelled")
    case.note("ended")


async def _asgi_meet(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    case.note("entered")
    await board.noted(case.key, "entered", THREADS)
    await _answer(send, b"%d" % id(asyncio.get_running_loop()))


async def _asgi_facts(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    case.note("entered")
    body = await Request(scope, receive).body()
    case.note("whole")
    facts = {key: scope[key] for key in ("method", "scheme", "path", "root_path", "client", "server")}
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    answer = {"body": body.decode("latin-1"), "headers": headers, **facts}
    await _answer(send, json.dumps(answer).encode("ascii"))


async def _asgi_fault(case: Case, scope: Scope, receive: Receive, send: Send) -> Any:
    if case.kind in ERRORS:
        fail_on_purpose(case)
    case.note("entered")
    if case.kind == "hang":
        await board.noted(case.key, "go")
        await _answer(send, b"late")
    for event in _ASGI_FAULTS.get(case.kind, ()):
        await send(event)
    return "text" if case.kind == "str" else None


_START: Message = {"type": "http.response.start", "status": 200}

_ASGI_FAULTS: dict[str, list[Message]] = {
    "start twice": [_START, _START, _block(b"twice")],
    "body first": [_block(b"no start")],
    "start only": [_START],
    "bogus": [{"type": "http.bogus"}],
    "no status": [{"type": "http.response.start"}],
    "text block": [_START, {"type": "http.response.body", "body": "text"}],
    "injection": [{**_START, "headers": [(b"x", b"a\r\nset-cookie: evil=1")]}],
    "short": [{**_START, "headers": [(b"content-length", b"100")]}, _block(b"too short")],
    "answer twice": [_START, _block(b"first"), _START, _block(b"second")],
}


async def _asgi_generator(case: Case, scope: Scope, receive: Receive, send: Send) -> None:
    """Stream by a generator that only learns from its framework that the client has gone."""

    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                case.note("produced")
                yield bytes(case.size)
        finally:
            case.note("closed")

    await StreamingResponse(blocks())(scope, receive, send)


api = FastAPI()


@api.post("/fastapi/body")
async def fastapi_body(request: Request) -> Response:
    return Response(await request.body())


@api.post("/fastapi/stream")
async def fastapi_stream(request: Request) -> Response:
    return Response(b"".join([piece async for piece in request.stream()]))


_ASGI: dict[str, Callable[[Case, Scope, Receive, Send], Awaitable[Any]]] = {
    "": _asgi_hello,
    "optimized": _asgi_optimized,
    "note": _asgi_note,
    "source": _asgi_source,
    "generator": _asgi_generator,
    "sink": _asgi_sink,
    "lines": _asgi_lines,
    "refusing": _asgi_refusing,
    "first": _asgi_first,
    "afterwards": _asgi_afterwards,
    "closing": _asgi_closing,
    "stubborn": _asgi_stubborn,
    "meet": _asgi_meet,
    "facts": _asgi_facts,
    "fault": _asgi_fault,
    "fastapi": lambda case, scope, receive, send: api(scope, receive, send),
}


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> Any:
    if scope["type"] == "lifespan":
        await receive()
        board.note("lifespan", str(id(asyncio.get_running_loop())))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return None
    name = scope["path"].split("/")[1]
    return await _ASGI[name](Case.of(scope["query_string"].decode("latin-1")), scope, receive, send)


wsgi_bridged = WSGIToASGI(wsgi_app, threads=THREADS)
asgi_bridged = ASGIToWSGI(asgi_app)
