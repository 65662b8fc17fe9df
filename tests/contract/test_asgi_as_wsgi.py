"""The WSGI face of an ASGI app: under `wsgiref.validate` and `wsgiref.handlers`, and with real frameworks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge import ASGIToWSGI
from tests.contract.asgi_specimens import (
    ANSWERING,
    BREAKING_EARLY,
    BREAKING_LATE,
    WAIT_SECONDS,
    body,
    bridged,
    early_error,
    hello,
    injects_header,
    late_error,
    reached,
    sized,
    start,
    stream,
)
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bridge.types import Environ, Receive, Scope, Send, WSGIApp


class Handler(SimpleHandler):
    """The standard library's server, which asserts on hop-by-hop headers and on a second start."""

    os_environ: dict[str, str] = {}  # noqa: RUF012 - typed so in the base class
    http_version = "1.1"


class Wire:
    """What a SimpleHandler wrote.

    Attributes:
        log: what it wrote to wsgi.errors.
    """

    def __init__(self, app: WSGIApp, environ: Environ | None = None) -> None:
        out, errors = io.BytesIO(), io.StringIO()
        environ = make_environ() if environ is None else environ
        handler = Handler(environ["wsgi.input"], out, errors, environ)
        handler.run(app)
        head, _, self.body = out.getvalue().partition(b"\r\n\r\n")
        self.status, *fields = head.decode("latin-1").split("\r\n")
        self.fields = [tuple(field.split(": ", 1)) for field in fields]
        self.log = errors.getvalue()


def posting(data: bytes) -> Environ:
    return make_environ(method="POST", body=data)


# ---------------------------------------------------------------- the standard library's judges


@pytest.mark.spec("WA-01", "WA-02", "WA-03", "WA-05", "WA-07", "A-29", "SEC-01")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("app", ANSWERING.values(), ids=ANSWERING.keys())
def test_the_validator_finds_nothing_in_an_answer(app: Any, method: str) -> None:
    environ = make_environ(method=method, body=b"data" if method == "POST" else b"")
    environ["wsgi.errors"] = sys.__stderr__

    answer = call(validator(bridged(app)), environ)

    assert answer.status in (200, 204, 304)


@pytest.mark.spec("WA-02", "WA-03", "SEC-01")
@pytest.mark.parametrize("app", BREAKING_EARLY.values(), ids=BREAKING_EARLY.keys())
def test_the_validator_finds_nothing_in_a_failure(app: Any) -> None:
    with pytest.raises(Exception) as caught:
        call(validator(bridged(app)))

    assert not isinstance(caught.value, AssertionError)


@pytest.mark.spec("A-29")
@pytest.mark.parametrize("status", [200, 299, 418, 599])
def test_the_validator_accepts_any_status_line(status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status))
        await send(body(b"x"))

    assert call(validator(bridged(app))).status == status


@pytest.mark.spec("WA-02", "WA-04", "A-28", "SEC-10", "H-13")
@pytest.mark.parametrize("app", ANSWERING.values(), ids=ANSWERING.keys())
def test_simple_handler_serves_an_answer(app: Any) -> None:
    wire = Wire(bridged(app))

    assert wire.status.startswith("HTTP/1.1 ") and int(wire.status[9:12]) in (200, 204, 304)
    assert wire.log == ""


@pytest.mark.spec("A-34", "A-35", "WA-02", "WA-12", "SEC-26", "SEC-34")
@pytest.mark.parametrize("app", BREAKING_EARLY.values(), ids=BREAKING_EARLY.keys())
def test_simple_handler_answers_500_and_logs_the_traceback(app: Any) -> None:
    wire = Wire(bridged(app))

    assert wire.status == "HTTP/1.1 500 Internal Server Error"
    assert b"secret" not in wire.body
    assert wire.log.startswith("Traceback")
    assert "already set" not in wire.log


@pytest.mark.spec("A-34", "A-35", "SEC-11")
@pytest.mark.parametrize("app", BREAKING_LATE.values(), ids=BREAKING_LATE.keys())
def test_simple_handler_cuts_a_response_that_breaks_late_and_logs_the_traceback(app: Any) -> None:
    wire = Wire(bridged(app))

    assert wire.status == "HTTP/1.1 200 OK"
    assert wire.body == b"part"
    assert wire.log.startswith("Traceback")


@pytest.mark.spec("WA-12", "A-34")
def test_the_log_of_a_crash_names_the_app_and_its_error() -> None:
    log = Wire(bridged(early_error)).log

    assert "in early_error" in log and "ValueError: secret" in log


@pytest.mark.spec("SEC-01")
def test_an_injected_header_is_not_on_the_wire() -> None:
    wire = Wire(bridged(injects_header))

    assert "set-cookie" not in [field[0].lower() for field in wire.fields]


# ---------------------------------------------------------------- PEP 3333, the application's side


@pytest.mark.spec("WA-01")
def test_fifty_threads_get_fifty_answers() -> None:
    adapter = bridged(ANSWERING["echo"])

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: call(adapter, posting(b"%d" % n)).body, range(50)))

    assert answers == [b"%d" % n for n in range(50)]


@pytest.mark.spec("WA-02")
@pytest.mark.parametrize("app", [hello, sized, stream], ids=lambda app: app.__name__)
def test_the_response_is_started_when_the_call_returns(app: Any) -> None:
    answer = Answer()

    blocks = bridged(app)(make_environ(), answer.start_response)

    assert answer.starts[0][0] == "200 OK"
    list(blocks)


@pytest.mark.spec("WA-03")
def test_status_and_headers_are_native_strings_in_a_list_of_tuples() -> None:
    (status, headers, exc_info) = call(bridged(hello)).starts[0]

    assert type(status) is str and type(headers) is list and exc_info is None
    assert all(type(field) is tuple and [type(part) for part in field] == [str, str] for field in headers)


@pytest.mark.spec("WA-03")
def test_the_header_list_belongs_to_the_server() -> None:
    adapter = bridged(hello)
    call(adapter).header_list.append(("X-Server", "1"))  # PEP 3333 lets servers change it

    assert "X-Server" not in call(adapter).headers


@pytest.mark.spec("WA-05", "WA-10")
def test_the_blocks_are_the_body_events() -> None:
    assert call(bridged(stream)).blocks == [b"one ", b"two ", b"three"]


@pytest.mark.spec("WA-06")
def test_close_of_a_whole_response_may_come_twice_and_without_iteration() -> None:
    blocks: Any = bridged(hello)(make_environ(), Answer().start_response)

    blocks.close()
    blocks.close()


@pytest.mark.spec("WA-09")
def test_the_length_of_a_whole_response_is_right() -> None:
    for app in (hello, ANSWERING["empty"], ANSWERING["no_content"]):
        blocks: Any = bridged(app)(make_environ(), Answer().start_response)
        assert len(blocks) == len(list(blocks))


@pytest.mark.spec("WA-09")
def test_a_streamed_response_has_no_length() -> None:
    blocks: Any = bridged(stream)(make_environ(), Answer().start_response)

    with pytest.raises(TypeError):
        len(blocks)
    list(blocks)


@pytest.mark.spec("WA-10")
def test_each_event_is_a_block_before_the_next_is_sent() -> None:
    taken = [threading.Event() for _ in range(3)]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, (b"content-type", b"text/event-stream")))
        for number, event in enumerate(taken):
            await send(body(b"data: %d\n\n" % number, more=True))
            await reached(event)
        await send(body())

    blocks = iter(bridged(app)(make_environ(), Answer().start_response))
    for number, event in enumerate(taken):
        assert next(blocks) == b"data: %d\n\n" % number
        event.set()

    assert list(blocks) == []


@pytest.mark.spec("WA-10")
def test_the_head_of_a_stream_leaves_with_an_empty_first_event() -> None:
    started = threading.Event()
    answer = Answer()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"", more=True))
        await reached(started)
        await send(body(b"late"))

    blocks = bridged(app)(make_environ(), answer.start_response)
    assert answer.status == 200
    started.set()

    assert b"".join(blocks) == b"late"


@pytest.mark.spec("WA-11")
@pytest.mark.parametrize("app", ANSWERING.values(), ids=ANSWERING.keys())
def test_write_is_not_used(app: Any) -> None:
    assert call(bridged(app)).written == []


@pytest.mark.spec("WA-07", "WA-12")
def test_the_streams_of_the_server_are_not_closed() -> None:
    environ = posting(b"data")
    environ["wsgi.errors"] = io.StringIO()

    call(bridged(ANSWERING["echo"]), environ)
    with pytest.raises(ValueError, match="secret"):
        call(bridged(late_error), environ)

    assert not environ["wsgi.input"].closed and not environ["wsgi.errors"].closed


# ---------------------------------------------------------------- Starlette and FastAPI


class Frame(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["X-Frame"] = "1"
        return response


async def counting(request: Any) -> StreamingResponse:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d " % number

    return StreamingResponse(numbers())


@pytest.mark.spec("A-20")
def test_starlettes_base_middleware_passes_a_stream_whole() -> None:
    app = Starlette(routes=[Route("/", counting)], middleware=[Middleware(Frame), Middleware(Frame)])

    answer = call(ASGIToWSGI(app))

    assert answer.body == b"".join(b"%d " % number for number in range(100))
    assert answer.headers["X-Frame"] == "1"


@pytest.mark.spec("A-20", "A-13")
def test_a_body_passes_starlettes_base_middleware_whole() -> None:
    async def size(request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", size, methods=["POST"])], middleware=[Middleware(Frame)])

    assert call(ASGIToWSGI(app), posting(b"x" * 300_000)).body == b"300000"


@pytest.mark.spec("A-31", "A-33")
def test_a_generator_of_starlette_is_closed_when_the_client_leaves() -> None:
    closed = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 70_000
        finally:
            closed.set()

    app = Starlette(routes=[Route("/", lambda request: StreamingResponse(endless()))])
    blocks: Any = ASGIToWSGI(app)(make_environ(), Answer().start_response)
    next(blocks)

    blocks.close()

    assert closed.wait(WAIT_SECONDS)


@pytest.mark.spec("A-36")
def test_a_background_task_of_starlette_does_not_hold_the_response() -> None:
    release, finished = threading.Event(), threading.Event()

    async def work() -> None:
        await reached(release)
        finished.set()

    async def endpoint(request: Any) -> Response:
        return PlainTextResponse("accepted", background=BackgroundTask(work))

    assert call(ASGIToWSGI(Starlette(routes=[Route("/", endpoint)]))).body == b"accepted"
    assert not finished.is_set()
    release.set()
    assert finished.wait(WAIT_SECONDS)


@pytest.mark.spec("A-32", "A-33", "A-36")
def test_a_background_task_behind_starlettes_base_middleware_is_run() -> None:
    finished = threading.Event()

    async def endpoint(request: Any) -> Response:
        return PlainTextResponse("accepted", background=BackgroundTask(finished.set))

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(Frame)])

    assert call(ASGIToWSGI(app)).body == b"accepted"
    assert finished.wait(WAIT_SECONDS)


@pytest.mark.spec("L-08")
def test_the_lifespan_state_of_starlette_is_that_of_its_requests() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"database": "connected"}

    async def endpoint(request: Any) -> Response:
        return PlainTextResponse(request.state.database)

    adapter = ASGIToWSGI(Starlette(routes=[Route("/", endpoint)], lifespan=lifespan), lifespan="on")

    assert call(adapter).body == b"connected"
    adapter.close()


def fastapi_app() -> FastAPI:
    api = FastAPI(docs_url=None)

    @api.post("/items/{number}")
    async def item(number: int, request: Request, q: str = "") -> dict[str, Any]:
        return {"number": number, "q": q, "url": str(request.url), "json": await request.json()}

    @api.get("/sync")
    def sync() -> str:
        return threading.current_thread().name

    return api


@pytest.mark.spec("A-01", "A-13")
def test_fastapi_answers_with_what_it_was_sent() -> None:
    environ = make_environ(
        "/items/7", method="POST", body=b'{"a": 1}', CONTENT_TYPE="application/json", QUERY_STRING="q=%C3%A9"
    )

    answer = call(ASGIToWSGI(fastapi_app()), {**environ, "SCRIPT_NAME": "/api"})

    assert answer.status == 200
    assert answer.body == (
        '{"number":7,"q":"é","url":"http://testserver/api/items/7?q=%C3%A9","json":{"a":1}}'.encode()
    )


@pytest.mark.spec("A-01")
def test_fastapi_answers_422_itself() -> None:
    assert call(ASGIToWSGI(fastapi_app()), make_environ("/items/x", method="POST", body=b"{}")).status == 422


@pytest.mark.spec("A-15")
def test_a_sync_endpoint_of_fastapi_does_not_run_on_the_loop() -> None:
    assert b"bridge-loop" not in call(ASGIToWSGI(fastapi_app()), path="/sync").body


# ---------------------------------------------------------------- Django


async def django_echo(request: Any) -> HttpResponse:
    return HttpResponse(request.body, content_type="text/plain")


def django_sync(request: Any) -> HttpResponse:
    response = HttpResponse("synchronous", content_type="text/plain")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def django_stream(request: Any) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one ", b"two"):
            yield piece

    return StreamingHttpResponse(pieces(), content_type="text/plain")


class Hanging:
    """A view that waits for ever, and notes that it was cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def __call__(self, request: Any) -> StreamingHttpResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            self.begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        return StreamingHttpResponse(pieces(), content_type="text/plain")


hanging = Hanging()

urlpatterns = [
    path("echo", django_echo),
    path("sync", django_sync),
    path("stream", django_stream),
    path("hanging", hanging.__call__),
]


@pytest.fixture
def django_app() -> Iterator[ASGIToWSGI]:
    """Django's ASGI handler with the views of this module, whatever other tests have configured."""
    if not settings.configured:
        settings.configure(SECRET_KEY="test")
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], DEBUG=False):
        django.setup()
        adapter = ASGIToWSGI(ASGIHandler())
        yield adapter
        adapter.close()


@pytest.mark.spec("A-45")
@pytest.mark.parametrize("data", [b"", b"x", b"x" * 200_000], ids=["empty", "small", "large"])
def test_django_echoes_a_body(django_app: ASGIToWSGI, data: bytes) -> None:
    environ = make_environ("/echo", method="POST", body=data)

    assert call(django_app, environ).body == data


@pytest.mark.spec("A-45", "H-17")
def test_django_runs_a_sync_view_and_sets_two_cookies(django_app: ASGIToWSGI) -> None:
    answer = call(django_app, path="/sync")

    assert answer.body == b"synchronous"
    cookies = [value[:3] for name, value in answer.header_list if name == "Set-Cookie"]
    assert cookies == ["a=1", "b=2"]


@pytest.mark.spec("A-45")
def test_django_streams(django_app: ASGIToWSGI) -> None:
    assert call(django_app, path="/stream").body == b"one two"


@pytest.mark.spec("A-45", "A-33")
def test_django_cancels_a_view_whose_client_left(django_app: ASGIToWSGI) -> None:
    blocks: Any = django_app(make_environ("/hanging"), Answer().start_response)
    assert next(blocks) == b"one"
    assert hanging.begun.wait(WAIT_SECONDS)

    blocks.close()

    assert hanging.cancelled.wait(WAIT_SECONDS)


@pytest.mark.spec("A-45")
def test_django_answers_404_itself(django_app: ASGIToWSGI) -> None:
    assert call(django_app, path="/nowhere").status == 404
