"""Tell which protocol an app speaks, and give it in the other one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias, cast

from bridge._runtime.naming import name_of
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, Receive, Scope, Send, WSGIApp
from bridge.wsgi_to_asgi import WSGIToASGI

__all__ = ["Kind", "as_asgi", "as_wsgi", "detect"]

Kind: TypeAlias = Literal["asgi", "asgi2", "wsgi"]

# The bases of framework apps whose own __call__ says too little, by module and name, so that nothing is
# imported to find out. Quart's app has a Flask-like wsgi_app no more, but a subclass may.
_KNOWN: dict[tuple[str, str], Kind] = {
    ("flask.app", "Flask"): "wsgi",
    ("django.core.handlers.wsgi", "WSGIHandler"): "wsgi",
    ("django.core.handlers.asgi", "ASGIHandler"): "asgi",
    ("starlette.applications", "Starlette"): "asgi",
    ("quart.app", "Quart"): "asgi",
}

_ASGI_NAMES = ("scope", "receive", "send")
_WSGI_NAMES = ("environ", "start_response")


def detect(app: object) -> Kind:
    """Tell which protocol an app speaks, without calling it.

    Args:
        app: Flask, Django (either handler), FastAPI, Starlette, a function, a class, a bound method, a
            `functools.partial`, any callable object.

    Returns:
        "wsgi"; "asgi" for a single callable of scope, receive and send; "asgi2" for the older double
        callable, which takes the scope and returns a coroutine callable of receive and send.

    Raises:
        ConfigurationError: it cannot be told; the message says how to be explicit.
    """
    if not callable(app):
        raise ConfigurationError(f"app={app!r}: expected a WSGI or ASGI app, a callable")
    known = _known_kind(app)
    if known is not None:
        return known
    if inspect.isclass(app):
        return _class_kind(app)
    count = _positional_count(app)
    if _is_coroutine_callable(app):
        # One parameter and async would be the second half of a double callable: not an app.
        if count is None or count >= 3:
            return "asgi"
    elif count == 2:
        return "wsgi"
    elif count == 3:
        return "asgi"  # a plain function that returns the awaitable of another app
    elif count == 1:
        return "asgi2"
    raise _undecided(app)


def _known_kind(app: object) -> Kind | None:
    cls = app if inspect.isclass(app) else type(app)
    if issubclass(cls, WSGIToASGI):
        return "asgi"
    if issubclass(cls, ASGIToWSGI):
        return "wsgi"
    if inspect.isclass(app):
        return None
    for base in cls.__mro__:
        kind = _KNOWN.get((base.__module__, base.__name__))
        if kind is not None:
            return kind
    return None


def _class_kind(app: type) -> Kind:
    """A class is called with the request itself: WSGI's (environ, start_response), or an ASGI 2 scope."""
    names = _parameter_names(app.__init__)[1:] if "__init__" in dir(app) else ()
    count = _positional_count(app)
    if count == 2 and names[:2] != _ASGI_NAMES[:2]:
        return "wsgi"
    if count == 1 and _is_coroutine_function(getattr(app, "__call__", None)):
        return "asgi2"
    raise _undecided(app)


def _undecided(app: object) -> ConfigurationError:
    return ConfigurationError(
        f"app={name_of(app)}: cannot tell whether it is a WSGI or an ASGI app by its signature; "
        "say so with WSGIToASGI(app) or ASGIToWSGI(app), or give the instance, not its class or factory"
    )


def _unwrapped(app: Any) -> Any:
    while isinstance(app, functools.partial):
        app = app.func
    return app


def _is_coroutine_function(func: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(func)) if callable(func) else False


def _is_coroutine_callable(app: Any) -> bool:
    app = _unwrapped(app)
    return _is_coroutine_function(app) or _is_coroutine_function(getattr(type(app), "__call__", None))


def _signature(app: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(app)
    except (TypeError, ValueError):  # some callables of C have none
        return None


def _parameter_names(func: Any) -> tuple[str, ...]:
    signature = _signature(func)
    return () if signature is None else tuple(signature.parameters)


def _positional_count(app: Any) -> int | None:
    """Count what the caller must give by position; by name where there is only `*args`, else None."""
    signature = _signature(app)
    if signature is None:
        return None
    kinds = inspect.Parameter
    required = optional = 0
    for parameter in signature.parameters.values():
        if parameter.kind is kinds.VAR_POSITIONAL:
            return None
        if parameter.kind is kinds.KEYWORD_ONLY and parameter.default is kinds.empty:
            return None
        if parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
            if parameter.default is kinds.empty:
                required += 1
            else:
                optional += 1
    if optional and tuple(signature.parameters)[:2] == _WSGI_NAMES:
        return 2
    return required


def as_asgi(app: object, **options: Any) -> ASGIApp:
    """Give an app as ASGI: as it is, freed of an earlier `ASGIToWSGI`, or in a `WSGIToASGI`.

    Args:
        app: an app of either kind.
        options: for `WSGIToASGI`, where one is made.

    Raises:
        ConfigurationError: the kind of the app cannot be told, or an option is wrong.
    """
    if isinstance(app, ASGIToWSGI):
        return app.app
    kind = detect(app)
    if kind == "asgi":
        return cast("ASGIApp", app)
    if kind == "asgi2":
        return _single_callable(cast("_DoubleCallable", app))
    return WSGIToASGI(cast("WSGIApp", app), **options)


def as_wsgi(app: object, **options: Any) -> WSGIApp:
    """Give an app as WSGI: as it is, freed of an earlier `WSGIToASGI`, or in an `ASGIToWSGI`.

    Args:
        app: an app of either kind.
        options: for `ASGIToWSGI`, where one is made.

    Raises:
        ConfigurationError: the kind of the app cannot be told, or an option is wrong.
    """
    if isinstance(app, WSGIToASGI):
        return app.app
    kind = detect(app)
    if kind == "wsgi":
        return cast("WSGIApp", app)
    if kind == "asgi2":
        app = _single_callable(cast("_DoubleCallable", app))
    return ASGIToWSGI(cast("ASGIApp", app), **options)


_DoubleCallable: TypeAlias = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]


def _single_callable(app: _DoubleCallable) -> ASGIApp:
    """Give an ASGI 2 app as ASGI 3 (ASGI "Legacy Applications", A-42)."""

    async def single(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return single
