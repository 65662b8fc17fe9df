"""Flask: other apps mounted in a Flask app, and the session of a Starlette app read in its views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

try:
    from flask import Flask, Response, g, request
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
except ImportError as exc:
    raise ImportError('bridge.integrations.flask needs Flask: pip install "asgi-wsgi-bridge[flask]"') from exc

from bridge.adapt import TwoFaced, as_wsgi
from bridge.errors import ConfigurationError
from bridge.integrations._prefix import checked_prefix
from bridge.types import ASGIApp, WSGIApp

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from bridge.integrations._starlette_session import SharedSession

__all__ = ["Mounts", "StarletteSession", "mount"]


class _Mounted(DispatcherMiddleware):
    """The dispatcher of this module, told from one that the user has put in."""


def mount(app: Flask, prefix: str, child: ASGIApp | WSGIApp | TwoFaced, **options: Any) -> WSGIApp:
    """Serve another app under a prefix of a Flask app.

    It works on whatever serves the Flask app: `flask run`, gunicorn, `app.test_client()`. The Flask app's own
    `before_request` and the like do not see the child's requests, its WSGI middleware that is put around
    `wsgi_app` later does.

    Args:
        app: the host; its `wsgi_app` is replaced.
        prefix: such as "/api": whole segments, so that "/apix" is the host's. A longer prefix wins.
        child: FastAPI, Starlette, Django (either handler), another Flask app: an app of either kind, a `Site`
            or a `Stack`.
        options: for `ASGIToWSGI`, if the child needs it.

    Returns:
        The child as WSGI. If it is an `ASGIToWSGI`, its `close()` ends the child before the process does.

    Raises:
        ConfigurationError: the prefix is wrong or taken, the kind of the child cannot be told, or the host
            has served a request.
    """
    prefix = checked_prefix(prefix)
    if app._got_first_request:  # what Flask's own set-up methods ask (Flask 2.2 to 3.1)
        raise ConfigurationError("the Flask app has started: mount apps before it serves its first request")
    adapted = as_wsgi(child, **options)
    dispatcher = app.wsgi_app
    if not isinstance(dispatcher, _Mounted):
        dispatcher = _Mounted(dispatcher, {})
        app.wsgi_app = dispatcher  # type: ignore[method-assign]  # Flask documents this as the way
    mounts: dict[str, WSGIApp] = dispatcher.mounts
    if prefix in mounts:
        raise ConfigurationError(f"prefix={prefix!r}: another app is mounted there")
    mounts[prefix] = adapted
    return adapted


class StarletteSession:
    """The session of a Starlette app's `SessionMiddleware`, in the views of a Flask app.

    Not Flask's own session, which stays as it is. If both apps call their cookie "session", as both do by
    default, give one of them another name, or each write of one ends the session of the other.

    Args:
        source: the Starlette or FastAPI app; the key, the name and the rest are those of its middleware.
        app: a Flask app to initialise at once; None for later.

    Raises:
        ConfigurationError: the app has no `SessionMiddleware`.
    """

    def __init__(self, source: Starlette, app: Flask | None = None) -> None:
        from bridge.integrations._starlette_session import StarletteCookie  # needs Starlette

        self._cookie = StarletteCookie.of(source)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Save what the views of a Flask app change."""
        app.after_request(self._save)

    @property
    def data(self) -> SharedSession:
        """The session of the current request, a dict; empty where the cookie is missing or not valid."""
        kept = g.setdefault("_bridge_starlette_sessions", {})
        if self not in kept:
            kept[self] = self._cookie.load(request.cookies)
        session: SharedSession = kept[self]
        return session

    def _save(self, response: Response) -> Response:
        session = g.get("_bridge_starlette_sessions", {}).get(self)
        if session is not None:
            response.vary.add("Cookie")
            self._cookie.save(session, response)
        return response


class Mounts:
    """Mounts as a Flask extension, for apps made by a factory.

    Each child is adapted once, however many Flask apps are initialised.

    Args:
        app: a Flask app to initialise at once; None for later.
        apps: the children by prefix, each as `mount()` takes it.
        options: for `ASGIToWSGI`, for each child that needs it.

    Raises:
        ConfigurationError: as `mount()` does.
    """

    def __init__(
        self, app: Flask | None = None, *, apps: Mapping[str, ASGIApp | WSGIApp | TwoFaced], **options: Any
    ) -> None:
        self.apps = {checked_prefix(prefix): as_wsgi(child, **options) for prefix, child in apps.items()}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Mount the children in a Flask app; they are found again as `app.extensions["bridge"]`."""
        for prefix, child in self.apps.items():
            mount(app, prefix, child)
        app.extensions["bridge"] = self
