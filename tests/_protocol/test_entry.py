from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from asgi_correlation_id import CorrelationIdMiddleware
from beaker.middleware import SessionMiddleware as BeakerSession
from brotli_asgi import BrotliMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ASGITelemetry
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WSGITelemetry
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.middleware.shared_data import SharedDataMiddleware
from whitenoise import WhiteNoise

from bridge._protocol.entry import Entry, check_made, entry_from, kind_of_entry
from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp


def wsgi_decorator(app: Any) -> Any:
    def inner(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        blocks: Iterable[bytes] = app(environ, start_response)
        return blocks

    return inner


def asgi_decorator(app: Any) -> Any:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return inner


def annotated(app: ASGIApp) -> ASGIApp:
    return app


def annotated_wsgi(app: WSGIApp, option: int = 1) -> WSGIApp:
    return app


def resolved(app: Any) -> Any:
    return app


resolved.__annotations__ = {"app": ASGIApp, "return": ASGIApp}


def starlette_style(app: Any) -> Any:
    return app


starlette_style.__annotations__ = {"app": Callable[[Any, Any, Any], Any]}

ASGI = [
    GZipMiddleware,
    CORSMiddleware,
    SessionMiddleware,
    BaseHTTPMiddleware,
    CorrelationIdMiddleware,
    BrotliMiddleware,
    ASGITelemetry,
    SentryAsgiMiddleware,
    ProxyHeadersMiddleware,
    asgi_decorator,
    annotated,
    resolved,
    starlette_style,
    functools.partial(GZipMiddleware, minimum_size=1),
]
WSGI = [
    ProxyFix,
    DispatcherMiddleware,
    SharedDataMiddleware,
    ProfilerMiddleware,
    LintMiddleware,
    ProxyMiddleware,
    WhiteNoise,
    BeakerSession,
    WSGITelemetry,
    SentryWsgiMiddleware,
    wsgi_decorator,
    annotated_wsgi,
    functools.partial(ProxyFix, x_for=1),
]


def name(factory: Any) -> str:
    return entry_from(factory).name


@pytest.mark.parametrize("factory", ASGI, ids=name)
def test_an_asgi_middleware_is_told_before_it_is_made(factory: Any) -> None:
    assert kind_of_entry(entry_from(factory)) == "asgi"


@pytest.mark.parametrize("factory", WSGI, ids=name)
def test_a_wsgi_middleware_is_told_before_it_is_made(factory: Any) -> None:
    assert kind_of_entry(entry_from(factory)) == "wsgi"


class Anything:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *args: Any) -> Any:
        return self.app(*args)


@pytest.mark.parametrize("factory", [Anything, lambda app: app, print])
def test_one_that_says_nothing_asks_for_a_statement(factory: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot tell .* asgi\(.*\) or wsgi\("):
        kind_of_entry(entry_from(factory))


def test_a_stated_kind_stands() -> None:
    assert kind_of_entry(Entry(Anything, kind="wsgi")) == "wsgi"


def test_starlettes_middleware_is_taken_with_its_arguments() -> None:
    entry = entry_from(Middleware(SessionMiddleware, "secret", max_age=1))

    assert (entry.factory, entry.args, entry.kwargs) == (SessionMiddleware, ("secret",), {"max_age": 1})


@pytest.mark.parametrize("value", [None, 3, "GZipMiddleware", (GZipMiddleware,)])
def test_what_is_no_middleware_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="expected a class or a function"):
        entry_from(value)


@pytest.mark.parametrize(
    ("made", "said"),
    [(None, "no app"), (asgi_decorator(print), r"state its kind with asgi\(")],
)
def test_one_that_made_something_else_is_refused(made: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_made(Entry(wsgi_decorator), "wsgi", made)


def test_one_that_hides_what_it_made_is_believed() -> None:
    check_made(Entry(Anything), "wsgi", Anything(None))
