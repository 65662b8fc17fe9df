from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse

from bridge import ASGIToWSGI, WSGIToASGI, as_asgi, as_wsgi, detect
from bridge.errors import ConfigurationError
from tests.support.asgi import get
from tests.support.wsgi import call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from bridge.types import Environ, Receive, Scope, Send, StartResponse


def wsgi_function(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


async def asgi_function(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})


def asgi_by_hand_over(a: Scope, b: Receive, c: Send) -> Awaitable[None]:
    return asgi_function(a, b, c)


def double_function(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
    return functools.partial(asgi_function, scope)


class DoubleClass:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await asgi_function(self.scope, receive, send)


class WSGIClass:
    def __init__(self, e: Environ, s: StartResponse) -> None:
        self.blocks = wsgi_function(e, s)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)


class Methods:
    def wsgi(self, a: Environ, b: StartResponse) -> Iterable[bytes]:
        return wsgi_function(a, b)

    async def asgi(self, a: Scope, b: Receive, c: Send) -> None:
        await asgi_function(a, b, c)


class WSGIObject:
    def __call__(self, a: Environ, b: StartResponse, extra: bool = False) -> Iterable[bytes]:
        return wsgi_function(a, b)


class ASGIObject:
    async def __call__(self, a: Scope, b: Receive, c: Send) -> None:
        await asgi_function(a, b, c)


class ASGIMiddleware:
    def __init__(self, app: object) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class WSGIMiddleware:
    def __init__(self, app: object, prefix: str) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return []


def with_option(option: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return wsgi_function(environ, start_response)


async def asgi_with_option(option: int, scope: Scope, receive: Receive, send: Send) -> None:
    await asgi_function(scope, receive, send)


@functools.wraps(asgi_function)
def wrapped_asgi(*args: Any) -> Awaitable[None]:
    return asgi_function(*args)


async def asgi_of_anything(*args: Any) -> None:
    await asgi_function(*args)


class TracedFlask(flask.Flask):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class TracedStarlette(Starlette):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


WSGI = {
    "flask": flask.Flask("specimen"),
    "flask with a __call__ of anything": TracedFlask("specimen"),
    "flask wsgi_app": flask.Flask("specimen").wsgi_app,
    "django": WSGIHandler.__new__(WSGIHandler),
    "function": wsgi_function,
    "lambda": lambda e, s: wsgi_function(e, s),
    "positional-only": lambda e, s, /: wsgi_function(e, s),
    "optional": lambda environ=None, start_response=None: wsgi_function(environ, start_response),
    "class": WSGIClass,
    "object": WSGIObject(),
    "bound method": Methods().wsgi,
    "partial": functools.partial(with_option, 1),
    "partial of a partial": functools.partial(functools.partial(with_option), 1),
    "adapter": ASGIToWSGI(asgi_function),
}
ASGI = {
    "fastapi": FastAPI(),
    "starlette": Starlette(),
    "starlette with a __call__ of anything": TracedStarlette(),
    "starlette response": PlainTextResponse("hello"),
    "starlette endpoint class": HTTPEndpoint,
    "django": ASGIHandler.__new__(ASGIHandler),
    "function": asgi_function,
    "class that is called": ASGIObject(),
    "bound method": Methods().asgi,
    "partial": functools.partial(asgi_with_option, 1),
    "partial of an object": functools.partial(ASGIObject()),
    "decorated": wrapped_asgi,
    "coroutine function of anything": asgi_of_anything,
    "function that returns the awaitable": asgi_by_hand_over,
    "adapter": WSGIToASGI(wsgi_function),
}


@pytest.mark.parametrize("app", WSGI.values(), ids=WSGI.keys())
def test_a_wsgi_app_is_told(app: object) -> None:
    assert detect(app) == "wsgi"


@pytest.mark.parametrize("app", ASGI.values(), ids=ASGI.keys())
def test_an_asgi_app_is_told(app: object) -> None:
    assert detect(app) == "asgi"


@pytest.mark.spec("A-42")
@pytest.mark.parametrize("app", [double_function, DoubleClass], ids=["function", "class"])
def test_a_double_callable_is_told(app: object) -> None:
    assert detect(app) == "asgi2"


async def _generator(environ: Environ, start_response: StartResponse) -> Any:
    yield b""


async def _half(receive: Receive, send: Send) -> None: ...


async def _with_keyword(scope: Scope, receive: Receive, send: Send, *, needed: int) -> None: ...


UNDECIDED: dict[str, object] = {
    "callable of anything": lambda *args: None,
    "callable of nothing": lambda: None,
    "callable of four": lambda a, b, c, d: None,
    "all optional": lambda a=None, b=None, c=None: None,
    "factory or view of one argument": lambda config: None,
    "async generator function": _generator,
    "coroutine function of two": _half,
    "coroutine function with a required keyword": _with_keyword,
    "framework class": flask.Flask,
    "asgi framework class": FastAPI,
    "asgi middleware class": ASGIMiddleware,
    "wsgi middleware class": WSGIMiddleware,
    "adapter class": WSGIToASGI,
    "callable of C": dict.fromkeys,
    "builtin class": int,
}


@pytest.mark.parametrize("app", UNDECIDED.values(), ids=UNDECIDED.keys())
def test_what_cannot_be_told_apart_says_how_to_be_explicit(app: object) -> None:
    with pytest.raises(ConfigurationError, match=r"WSGIToASGI\(app\) or ASGIToWSGI\(app\)"):
        detect(app)


@pytest.mark.parametrize("adapt", [detect, as_asgi, as_wsgi])
def test_what_is_no_callable_is_named(adapt: Callable[[object], object]) -> None:
    with pytest.raises(ConfigurationError, match="app='mysite'"):
        adapt("mysite")


def test_detect_does_not_call_the_app() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise AssertionError("called")

    assert detect(app) == "wsgi"
    assert detect(functools.partial(app)) == "wsgi"


@pytest.mark.parametrize("app", ASGI.values(), ids=ASGI.keys())
def test_as_asgi_gives_an_asgi_app_as_it_is(app: object) -> None:
    assert as_asgi(app) is app


@pytest.mark.parametrize("name", [name for name in WSGI if name != "adapter"])
def test_as_wsgi_gives_a_wsgi_app_as_it_is(name: str) -> None:
    assert as_wsgi(WSGI[name]) is WSGI[name]


def test_as_wsgi_undoes_an_earlier_adapter() -> None:
    flask_app = flask.Flask("specimen")

    assert as_wsgi(as_asgi(flask_app)) is flask_app


def test_as_asgi_undoes_an_earlier_adapter() -> None:
    api = FastAPI()

    assert as_asgi(as_wsgi(api)) is api


def test_an_option_reaches_the_adapter_that_is_made() -> None:
    with pytest.raises(ConfigurationError, match="threads=0"):
        as_asgi(wsgi_function, threads=0)
    with pytest.raises(ConfigurationError, match="startup_timeout=-1"):
        as_wsgi(asgi_function, startup_timeout=-1)


async def test_a_wsgi_app_answers_as_asgi() -> None:
    app = as_asgi(wsgi_function)

    exchange = await get(app)

    assert exchange.body == b"wsgi"
    assert isinstance(app, WSGIToASGI)
    app.close()


APPS = {
    "function": asgi_function,
    "function that returns the awaitable": asgi_by_hand_over,
    "double callable function": double_function,
    "double callable class": DoubleClass,
    "starlette response": PlainTextResponse("asgi"),
}


@pytest.mark.spec("A-42")
@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_an_asgi_app_of_any_kind_answers_as_wsgi(app: object) -> None:
    assert call(as_wsgi(app, lifespan="off")).body == b"asgi"


@pytest.mark.spec("A-42")
async def test_a_double_callable_answers_as_asgi() -> None:
    assert (await get(as_asgi(DoubleClass))).body == b"asgi"
