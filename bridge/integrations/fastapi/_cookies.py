"""Lets a dependency set cookies on whatever response the endpoint gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeAlias, TypeVar

from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send

__all__ = ["LoginCookies", "kept_visit"]

Save: TypeAlias = Callable[[int], Awaitable[RawHeaders]]
"""Save a login; given the status of the response, gives the fields to add to it."""

T = TypeVar("T")

_KEY = "bridge.logins"


class LoginCookies:
    """ASGI middleware that saves the sessions which the dependencies of this package have opened.

    `mount()` adds it. A FastAPI app that mounts nothing adds it itself: `app.add_middleware(LoginCookies)`. A
    dependency alone could not: FastAPI drops the headers that a dependency has set where the endpoint gives a
    `Response` of its own, such as a redirect after a login.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection; sessions are saved when the response starts."""
        if scope["type"] not in ("http", "websocket") or _KEY in scope:
            await self.app(scope, receive, send)
            return
        visits: dict[Hashable, tuple[Any, Save]] = {}

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start" and visits:
                headers = list(message.get("headers") or ())
                for _, save in visits.values():
                    headers += await save(message["status"])
                message = {**message, "headers": headers}
            await send(message)

        await self.app({**scope, _KEY: visits}, receive, send_with_cookies)


async def kept_visit(
    scope: Scope,
    key: Hashable,
    begin: Callable[[], Awaitable[T]],
    save: Callable[[T, int], Awaitable[RawHeaders]],
) -> T:
    """Give what was begun for this request under a key, or begin it; have it saved with the response.

    Raises:
        ConfigurationError: the middleware is missing.
    """
    visits: dict[Hashable, tuple[Any, Save]] | None = scope.get(_KEY)
    if visits is None:
        raise ConfigurationError(
            "the shared logins need their middleware: app.add_middleware(LoginCookies), from "
            "bridge.integrations.fastapi; mount() adds it too"
        )
    if key not in visits:
        visit = await begin()
        visits[key] = visit, lambda status: save(visit, status)
    found: T = visits[key][0]
    return found
