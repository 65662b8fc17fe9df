"""Tell which protocol an app speaks, and give it in the other one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from bridge._protocol.kind import Kind, kind_of
from bridge._runtime.naming import name_of
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, Receive, Scope, Send, WSGIApp
from bridge.wsgi_to_asgi import WSGIToASGI

__all__ = ["Kind", "as_asgi", "as_wsgi", "detect"]


class TwoFaced(ABC):
    """What can be served as either kind as it is: a `Stack`, a `Site`."""

    @staticmethod
    def of(app: object) -> TwoFaced | None:
        """Give what has two faces: the app itself, or the site that it is one face of; else None."""
        whole = getattr(app, "whole", app)
        return whole if isinstance(whole, TwoFaced) else None

    @property
    @abstractmethod
    def asgi(self) -> ASGIApp:
        """The face for an ASGI server."""

    @property
    @abstractmethod
    def wsgi(self) -> WSGIApp:
        """The face for a WSGI server."""


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
    kind = kind_of(app)
    if kind is None:
        raise ConfigurationError(
            f"app={name_of(app)}: cannot tell by its signature whether it is a WSGI or an ASGI app; say so "
            "with WSGIToASGI(app) or ASGIToWSGI(app), or give the app itself instead of its class or factory"
        )
    return kind


def as_asgi(app: object, **options: Any) -> ASGIApp:
    """Give an app as ASGI: as it is, by its ASGI face, freed of an `ASGIToWSGI`, or in a `WSGIToASGI`.

    Args:
        app: an app of either kind.
        options: for `WSGIToASGI`, where one is made.

    Raises:
        ConfigurationError: the kind of the app cannot be told, or an option is wrong.
    """
    if isinstance(app, ASGIToWSGI):
        return app.app
    if (whole := TwoFaced.of(app)) is not None:
        return whole.asgi
    kind = detect(app)
    if kind == "wsgi":
        return WSGIToASGI(cast("WSGIApp", app), **options)
    return _single_callable(cast("_DoubleCallable", app)) if kind == "asgi2" else cast("ASGIApp", app)


def as_wsgi(app: object, **options: Any) -> WSGIApp:
    """Give an app as WSGI: as it is, by its WSGI face, freed of a `WSGIToASGI`, or in an `ASGIToWSGI`.

    Args:
        app: an app of either kind.
        options: for `ASGIToWSGI`, where one is made.

    Raises:
        ConfigurationError: the kind of the app cannot be told, or an option is wrong.
    """
    if isinstance(app, WSGIToASGI):
        return app.app
    if (whole := TwoFaced.of(app)) is not None:
        return whole.wsgi
    if detect(app) == "wsgi":
        return cast("WSGIApp", app)
    return ASGIToWSGI(as_asgi(app), **options)


_DoubleCallable: TypeAlias = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]


def _single_callable(app: _DoubleCallable) -> ASGIApp:
    """Give an ASGI 2 app as ASGI 3 (ASGI "Legacy Applications", A-42)."""

    async def single(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return single
