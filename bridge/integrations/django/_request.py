"""Hands Django's request to the app that is mounted in it."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable

from django.http import HttpRequest

from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp

__all__ = ["RequestInEnviron", "RequestInScope", "current_request"]

# Crosses to the loop, or to a thread, with the context of the call: neither adapter carries keys across.
current_request: contextvars.ContextVar[HttpRequest] = contextvars.ContextVar("bridge.django_request")


class RequestInScope:
    """Adds Django's request to the scope of an app, its user, and what the route captured."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = current_request.get(None) if scope["type"] == "http" else None
        if request is not None:
            scope["django.request"] = request
            if hasattr(request, "user"):
                scope["django.user"] = request.user
            if request.bridge_captured:
                scope["path_params"] = dict(request.bridge_captured)
        await self.app(scope, receive, send)


class RequestInEnviron:
    """Adds Django's request to the environ of an app, and its user."""

    def __init__(self, app: WSGIApp) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = current_request.get(None)
        if request is not None:
            environ["django.request"] = request
            environ["django.user"] = getattr(request, "user", None)
        return self.app(environ, start_response)
