"""A legacy app under a prefix of a FastAPI app: served, listed in the schema, closed at shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount

from bridge._runtime.fanout import running_lifespans
from bridge.adapt import TwoFaced, as_asgi
from bridge.errors import ConfigurationError
from bridge.integrations._prefix import checked_prefix
from bridge.integrations.fastapi._cookies import LoginCookies
from bridge.integrations.fastapi._openapi import legacy_paths
from bridge.types import ASGIApp, Receive, Scope, Send, WSGIApp

__all__ = ["mount"]

_SHUTDOWN_TIMEOUT = 60.0  # seconds; a WSGIToASGI has its own, shorter


def mount(
    app: FastAPI,
    prefix: str,
    child: WSGIApp | ASGIApp | TwoFaced,
    *,
    name: str | None = None,
    keep_prefix: bool = False,
    openapi: bool = True,
    tag: str = "legacy",
    **options: Any,
) -> ASGIApp:
    """Serve another app under a prefix of a FastAPI app.

    The child starts and stops with the FastAPI app: its lifespan is run, its threads are given back.

    Args:
        app: the host.
        prefix: such as "/legacy": whole segments.
        child: Flask, Django (either handler), an app of either kind, a `Site` or a `Stack`.
        name: for `url_for(name, path="/…")`.
        keep_prefix: leave the prefix in the path, for a child that has it in its own routes, such as Dash
            with `url_base_pathname`. Else it moves to SCRIPT_NAME or `root_path`, of which frameworks build
            URLs.
        openapi: list the routes of a Flask or Django app in `/openapi.json` and `/docs`, tagged and marked
            with `x-legacy`. The routes of any other app are not known.
        tag: of those routes.
        options: for `WSGIToASGI`, if the child needs it.

    Returns:
        The child as ASGI.

    Raises:
        ConfigurationError: the prefix is wrong or taken, the kind of the child cannot be told, an option is
            wrong, or the host has started.
    """
    prefix = checked_prefix(prefix)
    if app.middleware_stack is not None:  # built by its first connection, lifespan included
        raise ConfigurationError("the FastAPI app has started: mount apps before it serves its first request")
    if any(isinstance(route, Mount) and route.path == prefix for route in app.routes):
        raise ConfigurationError(f"prefix={prefix!r}: another app is mounted there")
    adapted = as_asgi(child, **options)
    inside = _Child(adapted, prefix if keep_prefix else "")
    app.mount(prefix, inside, name=name)
    _run_lifespan(app, inside)
    present: list[object] = [entry.cls for entry in app.user_middleware]
    if LoginCookies not in present:
        app.add_middleware(LoginCookies)
    if openapi:
        _extend_schema(app, prefix, "" if keep_prefix else prefix, child, tag)
    return adapted


class _Child:
    """A mounted app as it would be alone: with its own state, and with the whole path if that is wanted.

    Args:
        app: the child.
        prefix: what Starlette's `Mount` took from the path and this gives back; empty for nothing.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self._prefix = prefix
        self._state: dict[str, Any] = {}

    @property
    def routes(self) -> list[Any]:
        """Where `url_for()` of the host looks for names of the child."""
        routes = getattr(self.app, "routes", None)
        return routes if isinstance(routes, list) else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._state = scope.get("state", {})  # which the app fills in now
        elif self._prefix or self._state:
            scope = {**scope, "root_path": scope.get("root_path", "").removesuffix(self._prefix)}
            if self._state:
                scope["state"] = {**scope.get("state", {}), **self._state}
        await self.app(scope, receive, send)


def _run_lifespan(app: FastAPI, child: ASGIApp) -> None:
    """Run the child's lifespan inside the host's: Starlette passes none on to what is mounted."""
    outer = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(host: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        # The server has a limit of its own for the start.
        running = running_lifespans([child], startup_timeout=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        async with outer(host) as state, running as states:
            yield {**states.get(id(child), {}), **(state or {})} or None

    app.router.lifespan_context = lifespan  # type: ignore[assignment]  # None is a state that Starlette takes


def _extend_schema(app: FastAPI, prefix: str, before_rules: str, child: object, tag: str) -> None:
    """Have `app.openapi()` list the child's routes; FastAPI keeps its schema, so they are added once."""
    before = app.openapi

    def openapi() -> dict[str, Any]:
        schema = before()
        listed = schema.setdefault("x-legacy-mounts", [])
        if prefix not in listed:
            listed.append(prefix)
            for path, item in legacy_paths(child, before_rules, tag).items():
                schema.setdefault("paths", {}).setdefault(path, item)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this as the way
