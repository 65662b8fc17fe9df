"""An app in middleware of either kind, with the fewest crossings between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bridge._layers import Core, core_of, started_with, wrap
from bridge._protocol.entry import Entry
from bridge._protocol.kind import Side
from bridge._protocol.plan import Plan, plan_of
from bridge._runtime.fanout import StartOnce
from bridge.adapt import TwoFaced
from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, WSGIApp

__all__ = ["Entry", "Plan", "Stack", "asgi", "wsgi"]


def asgi(factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Entry:
    """State that a middleware is ASGI, where that cannot be detected.

    Args:
        factory: a class or a function, called with the inner app first.
        args: further arguments.
        kwargs: further arguments.
    """
    return Entry(factory, args, kwargs, "asgi")


def wsgi(factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Entry:
    """State that a middleware is WSGI, where that cannot be detected.

    Args:
        factory: a class or a function, called with the inner app first.
        args: further arguments.
        kwargs: further arguments.
    """
    return Entry(factory, args, kwargs, "wsgi")


class Stack(TwoFaced):
    """An app in middleware, each of which may be ASGI or WSGI.

    Everything is made here, once, and shared by both faces. What is of the server's kind is reached without
    an adapter; adjacent layers of one kind need none; an adapter before its inverse vanishes.

    Args:
        app: the app, of either kind; a `Stack` and a `Site` are of both.
        entries: the middleware, the outermost first: classes, functions that take an app and give one,
            Starlette's `Middleware(cls, ...)`, or what `asgi(cls, ...)` and `wsgi(cls, ...)` give. The two
            adapters may stand among them, with their options: they are used where they are needed.

    Attributes:
        app: the app as it was given.

    Raises:
        ConfigurationError: an entry is none, its kind cannot be told, or it made an app of the other kind.
    """

    def __init__(self, app: Any, entries: Iterable[Any] = ()) -> None:
        self.app = app
        core: Core = app._core if isinstance(app, Stack) else core_of(app)
        for entry in reversed(list(entries)):
            core = wrap(core, entry)
        self._core: Core = core
        self._asgi = core.asgi()
        self._wsgi = core.wsgi()
        self._starter = StartOnce(started_with(core, self._wsgi))

    @property
    def asgi(self) -> ASGIApp:
        """The whole as ASGI, for uvicorn."""
        return self._asgi

    @property
    def wsgi(self) -> WSGIApp:
        """The whole as WSGI, for gunicorn."""
        return self._wsgi

    def plan(self, face: Side = "asgi") -> Plan:
        """Tell which layers a request passes, and where it crosses from one protocol to the other.

        Args:
            face: the kind of the server.

        Raises:
            ConfigurationError: there is no such face.
        """
        if face not in ("asgi", "wsgi"):
            raise ConfigurationError(f"face={face!r}: expected 'asgi' or 'wsgi'")
        return plan_of(face, self._core.seen_from(face))

    def start(self) -> None:
        """Start the lifespan of the app for the WSGI face, once; the first request does it otherwise.

        Raises:
            LifespanFailed: the app did not start.
        """
        self._starter.start()

    def close(self) -> None:
        """Close what `start()` or a request of the WSGI face has started; blocks until it is done."""
        self._starter.close()

    def __repr__(self) -> str:
        return f"<Stack {' > '.join(layer.name for layer in self._core.layers)}>"
