"""Flask: other apps mounted in a Flask app, and the session of a Starlette app read in its views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
except ImportError as exc:
    raise ImportError('bridge.integrations.flask needs Flask: pip install "asgi-wsgi-bridge[flask]"') from exc

from bridge.adapt import as_wsgi
from bridge.errors import ConfigurationError
from bridge.integrations._prefix import checked_prefix
from bridge.types import ASGIApp, WSGIApp

__all__ = ["Mounts", "mount"]


class _Mounted(DispatcherMiddleware):
    """The dispatcher of this module, told from one that the user has put in."""


def mount(app: Flask, prefix: str, child: ASGIApp | WSGIApp, **options: Any) -> WSGIApp:
    """Serve another app under a prefix of a Flask app.

    It works on whatever serves the Flask app: `flask run`, gunicorn, `app.test_client()`. The Flask app's own
    `before_request` and the like do not see the child's requests, its WSGI middleware that is put around
    `wsgi_app` later does.

    Args:
        app: the host; its `wsgi_app` is replaced.
        prefix: such as "/api": whole segments, so that "/apix" is the host's. A longer prefix wins.
        child: FastAPI, Starlette, Django (either handler), another Flask app: an app of either kind.
        options: for `ASGIToWSGI`, if the child needs it.

    Returns:
        The child as WSGI. If it is an `ASGIToWSGI`, its `close()` ends the child before the process does.

    Raises:
        ConfigurationError: the prefix is wrong or taken, or the kind of the child cannot be told.
    """
    prefix = checked_prefix(prefix)
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
        self, app: Flask | None = None, *, apps: Mapping[str, ASGIApp | WSGIApp], **options: Any
    ) -> None:
        self.apps = {checked_prefix(prefix): as_wsgi(child, **options) for prefix, child in apps.items()}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Mount the children in a Flask app; they are found again as `app.extensions["bridge"]`."""
        for prefix, child in self.apps.items():
            mount(app, prefix, child)
        app.extensions["bridge"] = self
