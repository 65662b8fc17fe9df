"""The lifespans of mounted apps under Django's ASGI handler, which has none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.asgi import get_asgi_application as get_django_application
from django.urls import get_resolver

from bridge._runtime.lifespan import Lifespan
from bridge.errors import LifespanFailed
from bridge.types import ASGIApp, Receive, Scope, Send

__all__ = ["LoopLifespan", "get_asgi_application"]

_TIMEOUT = 60.0  # seconds for a startup, and for a shutdown


class LoopLifespan:
    """The lifespan of one app on the loop that serves it; begun by the first request or by the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[Lifespan] | None = None

    async def start(self) -> dict[str, Any]:
        """Start the app, once a loop; give its state, to be changed freely.

        Raises:
            LifespanFailed: the app did not start.
        """
        loop = asyncio.get_running_loop()
        if self._starting is None or self._loop is not loop:
            self._loop = loop
            self._starting = loop.create_task(self._start())
        lifespan = await asyncio.shield(self._starting)  # others may wait for the same startup
        return dict(lifespan.state or {})

    async def _start(self) -> Lifespan:
        lifespan = Lifespan(self._app, required=False)
        await lifespan.startup(_TIMEOUT)
        return lifespan

    async def stop(self) -> None:
        """Shut the app down, if it was started on this loop."""
        starting, self._starting = self._starting, None
        if starting is None or self._loop is not asyncio.get_running_loop():
            return
        if starting.done() and starting.exception() is None:
            await starting.result().shutdown(_TIMEOUT)


def get_asgi_application() -> ASGIApp:
    """Give Django's ASGI app, which also runs the lifespans of the apps mounted by `include_asgi()`.

    For `asgi.py`, in place of the function of the same name in `django.core.asgi`.
    """
    return _DjangoWithLifespan(get_django_application())


class _DjangoWithLifespan:
    """Answers lifespan for Django and starts and stops what is mounted in it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        await receive()
        lifespans = [mounted.lifespan for mounted in _mounted_in(get_resolver().url_patterns)]
        try:
            for lifespan in lifespans:
                await lifespan.start()
        except LifespanFailed as exc:
            await _stop(lifespans)
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _stop(lifespans)
        await send({"type": "lifespan.shutdown.complete"})


async def _stop(lifespans: Sequence[LoopLifespan]) -> None:
    for lifespan in reversed(lifespans):
        await lifespan.stop()


def _mounted_in(entries: Sequence[Any]) -> Iterator[Any]:
    for entry in entries:
        if hasattr(entry, "mounted"):
            yield entry.mounted
        else:
            yield from _mounted_in(getattr(entry, "url_patterns", ()))
