"""The specimens under the validators that others wrote, and Flask and Django under ASGI clients."""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import django
import flask
import httpx
import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.utils import translation
from starlette.exceptions import StarletteDeprecationWarning
from werkzeug.middleware.lint import LintMiddleware

from bridge import WSGIToASGI
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse
from tests.contract import wsgi_specimens
from tests.contract.wsgi_specimens import LEGAL, SpecimenError
from tests.support.asgi import Exchange, body_events, get, http_scope, post

with warnings.catch_warnings():
    warnings.simplefilter("ignore", StarletteDeprecationWarning)  # starlette 1.10 would rather have httpx2
    from starlette.testclient import TestClient

REQUESTS: dict[str, tuple[dict[str, Any], tuple[bytes, ...]]] = {
    "get": ({}, (b"",)),
    "head": ({"method": "HEAD"}, (b"",)),
    "mounted": ({"path": "/é/a", "root_path": "/é", "query_string": b"blocks=2"}, (b"",)),
    "https": ({"scheme": "https", "server": None, "client": None}, (b"",)),
    "post": (
        {"method": "POST", "headers": [(b"content-length", b"5"), (b"content-type", b"a/b")]},
        (b"ab\ncd",),
    ),
    "pieces": ({"method": "POST", "headers": [(b"content-length", b"5")]}, (b"ab", b"\nc", b"d")),
    "chunked": ({"method": "PUT", "headers": [(b"transfer-encoding", b"chunked")]}, (b"ab\n", b"cd")),
    "many headers": (
        {
            "headers": [
                (b"X-A", b"\xe9"),
                (b"x-a", b"2"),
                (b"cookie", b"a=1"),
                (b"cookie", b"b=2"),
                (b"x_y", b""),
            ]
        },
        (b"",),
    ),
}


async def answer(app: Any, request: str, **options: Any) -> Exchange:
    """Send one of REQUESTS and wait until the thread is done with it."""
    keys, chunks = REQUESTS[request]
    adapter = WSGIToASGI(app, **options)
    try:
        return await Exchange(*body_events(*chunks)).run(adapter, {**http_scope(), **keys})
    finally:
        await asyncio.to_thread(adapter.close)


def outcomes(exchanges: dict[str, Exchange]) -> dict[str, tuple[int, bytes]]:
    return {request: (exchange.status, exchange.body) for request, exchange in exchanges.items()}


@pytest.fixture
def unraised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Collect what `__del__` methods raised: how the validator reports an iterable that was not closed."""
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    yield reports
    assert reports == []


@pytest.mark.spec(
    "W-64", "W-01", "W-02", "W-04", "W-06", "W-08", "W-10", "W-11", "W-18", "W-31", "W-49", "W-52", "W-59"
)
@pytest.mark.parametrize("app", LEGAL, ids=lambda app: app.__name__)
async def test_a_legal_app_is_served_the_same_inside_the_validator(
    app: Any, unraised: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {request: await answer(app, request) for request in REQUESTS}

    validated = {request: await answer(validator(app), request) for request in REQUESTS}

    gc.collect()
    assert outcomes(validated) == outcomes(plain)
    assert all(exchange.complete for exchange in validated.values())
    assert (unraised, capsys.readouterr().err) == ([], "")


@pytest.mark.spec("W-64", "W-52")
@pytest.mark.parametrize(
    "app",
    [
        wsgi_specimens.fails_early,
        wsgi_specimens.fails_after_start,
        wsgi_specimens.fails_late,
        wsgi_specimens.fails_late_with_exc_info,
    ],
    ids=lambda app: app.__name__,
)
async def test_an_app_that_fails_is_closed_inside_the_validator(
    app: Any, unraised: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SpecimenError):
        await answer(validator(app), "get")

    gc.collect()
    assert (unraised, capsys.readouterr().err) == ([], "")


@pytest.mark.spec("W-64", "W-52", "AA-12")
async def test_a_stream_that_is_left_is_closed_inside_the_validator(
    unraised: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = WSGIToASGI(validator(wsgi_specimens.large))
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(adapter, http_scope(query_string=b"blocks=100000")))
    await exchange.sent_count(3)
    exchange.disconnect()
    await task
    await asyncio.to_thread(adapter.close)

    gc.collect()
    assert (unraised, capsys.readouterr().err) == ([], "")


@pytest.mark.spec("W-64", "W-31")
async def test_errors_pass_the_validator() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].writelines(["a\n"])
        environ["wsgi.errors"].flush()
        return list(wsgi_specimens.hello(environ, start_response))

    log = io.StringIO()

    assert (await answer(validator(app), "get", errors=log)).body == b"hello"
    assert log.getvalue() == "a\n"


@pytest.mark.spec("W-64")
@pytest.mark.parametrize("app", LEGAL, ids=lambda app: app.__name__)
async def test_werkzeug_finds_nothing_to_warn_of(app: Any) -> None:
    requests = REQUESTS.keys() - {"head"}  # where it counts the bytes that were left out

    plain = {request: await answer(app, request) for request in requests}
    linted = {request: await answer(LintMiddleware(app), request) for request in requests}

    assert outcomes(linted) == outcomes(plain)  # a warning would have been an error
    assert all(exchange.complete for exchange in linted.values())


# ---------------------------------------------------------------- Flask and Django


def flask_app() -> flask.Flask:
    app = flask.Flask("specimen")

    @app.route("/echo", methods=["POST"])
    def echo() -> flask.Response:
        return flask.jsonify(body=flask.request.get_data(as_text=True), length=flask.request.content_length)

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(iter(["one ", "two ", "three"]), mimetype="text/plain")

    @app.get("/where")
    def where() -> str:
        return flask.url_for("where", q="é") + " " + flask.request.path

    @app.get("/error")
    def error() -> str:
        raise SpecimenError("secret")

    return app


def _echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, content_type="text/plain")


def _stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(["one ", "two ", "three"]))


def _where(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.get_full_path())


def _language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{translation.get_language()}: {translation.gettext('Yes')}")


urlpatterns = [
    path("echo", _echo),
    path("stream", _stream),
    path("where", _where),
    path("language", _language),
]


@pytest.fixture(scope="module")
def django_app() -> Iterator[WSGIHandler]:
    if not settings.configured:
        settings.configure(SECRET_KEY="test")
    django.setup()
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], USE_I18N=True):
        yield WSGIHandler()


@pytest.fixture(params=["flask", "django"])
def framework_app(request: pytest.FixtureRequest, django_app: WSGIHandler) -> Any:
    return flask_app() if request.param == "flask" else django_app


@pytest.mark.spec("W-64")
async def test_a_framework_streams_inside_the_validator(
    framework_app: Any, unraised: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = WSGIToASGI(validator(framework_app))
    exchange = await get(adapter, "/stream")
    await asyncio.to_thread(adapter.close)

    gc.collect()
    assert (exchange.status, exchange.body) == (200, b"one two three")
    assert (unraised, capsys.readouterr().err) == ([], "")


@pytest.mark.spec("W-64")
async def test_a_framework_streams_inside_the_lint_middleware(framework_app: Any) -> None:
    exchange = await get(WSGIToASGI(LintMiddleware(framework_app)), "/stream")

    assert (exchange.status, exchange.body) == (200, b"one two three")


@pytest.mark.spec("W-27", "E-07")
async def test_a_framework_reads_a_chunked_upload(framework_app: Any) -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"content-type", b"text/plain")]
    exchange = Exchange(*body_events(b"ab", b"cd"))

    await exchange.run(WSGIToASGI(framework_app), http_scope("/echo", method="POST", headers=headers))

    if isinstance(framework_app, flask.Flask):
        assert exchange.body == b'{"body":"abcd","length":null}\n'
    else:
        # Django 5.2 takes a request without Content-Length for one without a body, under every WSGI server.
        assert exchange.body == b""


@pytest.mark.spec("W-28")
async def test_a_framework_answers_what_it_does_not_know(framework_app: Any) -> None:
    exchange = await post(WSGIToASGI(framework_app), b"x" * 100_000)

    assert (exchange.status, exchange.complete) == (404, True)


def test_a_framework_is_served_to_the_test_client_of_starlette(framework_app: Any) -> None:
    with TestClient(WSGIToASGI(framework_app), root_path="/m") as client:
        assert client.get("/stream").text == "one two three"
        assert "abc" in client.post("/echo", content=b"abc").text
        assert client.get("/m/where").text.startswith("/m/where")
        assert client.get("/nowhere").status_code == 404


async def test_a_framework_is_served_to_httpx(framework_app: Any) -> None:
    transport = httpx.ASGITransport(WSGIToASGI(framework_app))

    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/stream")).text == "one two three"
        assert "abc" in (await client.post("/echo", content=b"abc")).text
        assert (await client.head("/stream")).content == b""


@pytest.mark.spec("W-60", "SEC-26")
def test_an_error_page_shows_nothing_of_the_error(caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(WSGIToASGI(wsgi_specimens.fails_early), raise_server_exceptions=False)

    response = client.get("/")

    assert response.status_code == 500
    assert "secret" not in response.text


def test_an_error_of_the_app_reaches_the_test_client() -> None:
    with pytest.raises(SpecimenError, match="early"):
        TestClient(WSGIToASGI(wsgi_specimens.fails_early)).get("/")


# ---------------------------------------------------------------- asgiref's Local


def in_german(app: ASGIApp) -> ASGIApp:
    """Activate a translation, as an ASGI middleware would."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        with translation.override("de"):
            await app(scope, receive, send)

    return middleware


@pytest.mark.spec("W-65")
async def test_the_translation_of_a_middleware_is_seen_by_the_view(django_app: WSGIHandler) -> None:
    exchange = await get(in_german(WSGIToASGI(django_app)), "/language")

    assert exchange.body == b"de: Ja"


@pytest.mark.spec("W-65", "SEC-31")
async def test_the_translation_of_one_request_is_unknown_to_another(django_app: WSGIHandler) -> None:
    adapter = WSGIToASGI(django_app, threads=1)

    german, plain = await asyncio.gather(get(in_german(adapter), "/language"), get(adapter, "/language"))

    assert (german.body, plain.body) == (b"de: Ja", b"en-us: Yes")


@pytest.mark.spec("D-10")
@pytest.mark.parametrize("header", [("1st", "x"), ("x_", "x"), ("X-", "x")])
async def test_what_a_validator_alone_forbids_is_served(header: tuple[str, str]) -> None:
    """Names that are tokens, no Content-Type, and `read()` without a size; wsgiref refuses each."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        data: bytes = environ["wsgi.input"].read()
        start_response("200 OK", [header])
        return [data]

    with pytest.raises(AssertionError):
        await post(WSGIToASGI(validator(app)), b"body")
    answer = await post(WSGIToASGI(app), b"body")

    assert (answer.status, answer.body) == (200, b"body")
    assert (header[0].lower().encode(), b"x") in answer.headers
