"""The `include_asgi()` of a URLconf: a pattern that hands what lies below its route to another app."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from django.core.checks import CheckMessage
from django.urls.resolvers import RegexPattern, ResolverMatch, URLPattern

from bridge._runtime.naming import name_of
from bridge.adapt import as_asgi, detect
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.errors import ConfigurationError
from bridge.integrations.django._checks import problems_of
from bridge.integrations.django._request import RequestInEnviron, RequestInScope
from bridge.integrations.django._views import Mounted
from bridge.types import ASGIApp, WSGIApp
from bridge.wsgi_to_asgi import WSGIToASGI

__all__ = ["MountPattern", "include_asgi", "include_wsgi"]

# What django.urls.include() gives: patterns, app name, namespace.
Included: TypeAlias = "tuple[list[MountPattern], None, None]"


def include_asgi(app: ASGIApp, *, name: str | None = None, csrf: bool = True, **options: Any) -> Included:
    """Serve an ASGI app under a route of `urls.py`.

    As in `path("api/", include_asgi(fastapi_app))`.

    It works under Django's WSGI and ASGI handlers, on `manage.py runserver` and with the test clients, inside
    Django's middleware. The app finds the request as `scope["django.request"]`, its user, read from the
    database already, as `scope["django.user"]`, and what the route captured in `scope["path_params"]`.

    Responses are streamed. Requests are streamed under the WSGI handler; the ASGI handler reads the whole
    body before it calls any view (Django 5.2). Under the ASGI handler the app's lifespan starts with the
    first request, unless `asgi.py` uses `get_asgi_application()` of this module.

    Args:
        app: FastAPI, Starlette, any ASGI app.
        name: for `reverse(name, kwargs={"path": "books/1"})`.
        csrf: ask unsafe requests of a user who is logged in for the token in `X-CSRFToken`, as Django does
            for its own views; requests without a login pass.
        options: for `ASGIToWSGI`, which serves the app under the WSGI handler.

    Raises:
        ConfigurationError: it is no ASGI app, or an option is wrong.
    """
    if detect(app) == "wsgi":
        raise ConfigurationError(f"app={name_of(app)}: a WSGI app; say include_wsgi(app)")
    asgi = RequestInScope(as_asgi(app))
    return _included(Mounted(ASGIToWSGI(asgi, **options), asgi, csrf=csrf), name)


def include_wsgi(app: WSGIApp, *, name: str | None = None, csrf: bool = True, **options: Any) -> Included:
    """Serve a WSGI app under a route of `urls.py`.

    As in `path("legacy/", include_wsgi(flask_app))`. The same as `include_asgi()`, but that the WSGI handler
    calls the app directly, and that the app finds the request as `environ["django.request"]` and its user as
    `environ["django.user"]`.

    Args:
        app: Flask, any WSGI app.
        name: for `reverse()`.
        csrf: as in `include_asgi()`. A Flask app with forms of its own has tokens of its own: `csrf=False`.
        options: for `WSGIToASGI`, which serves the app under the ASGI handler.

    Raises:
        ConfigurationError: it is no WSGI app, or an option is wrong.
    """
    if detect(app) != "wsgi":
        raise ConfigurationError(f"app={name_of(app)}: an ASGI app; say include_asgi(app)")
    wsgi = RequestInEnviron(app)
    return _included(Mounted(wsgi, WSGIToASGI(wsgi, **options), csrf=csrf), name)


def _included(mounted: Mounted, name: str | None) -> Included:
    return [MountPattern(mounted, name)], None, None


class MountPattern(URLPattern):  # type: ignore[misc]  # Django has no types
    """Takes all that is left of a path.

    The handler is known by whether an event loop runs: the views of the WSGI handler are called without
    one. A view that is both does not exist in Django, and `async_to_sync` would run the app on a loop of its
    own for each request.
    """

    def __init__(self, mounted: Mounted, name: str | None) -> None:
        super().__init__(RegexPattern(r"^(?P<path>[\s\S]*)\Z", name=name), mounted.view, name=name)
        self.mounted = mounted

    def resolve(self, path: str) -> ResolverMatch | None:
        """Match, and choose the view for the handler that asks."""
        match = super().resolve(path)
        if match is not None and _in_a_loop():
            match.func = self.mounted.async_view
        return match

    def check(self) -> list[CheckMessage]:
        """Find what is wrong in the set-up; for `manage.py check`, which `runserver` does first."""
        return [*super().check(), *problems_of(self)]


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
