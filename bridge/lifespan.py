"""The lifespans of several ASGI apps under one host, which has room for one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from bridge._protocol.kind import kind_of
from bridge._protocol.lifespan import merged_state
from bridge._protocol.limits import check_seconds
from bridge._runtime.fanout import answer_lifespan, running_lifespans
from bridge._runtime.naming import name_of
from bridge.adapt import TwoFaced
from bridge.errors import ConfigurationError
from bridge.types import ASGIApp, Receive, Scope, Send

__all__ = ["ComposedLifespan", "LifespanFunction", "compose_lifespan"]

_Filled: TypeAlias = tuple[str, Mapping[str, Any]]

LifespanFunction: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""What FastAPI and Starlette take as `lifespan=`: it gets the app, and yields a state or nothing."""


def compose_lifespan(
    *apps: Any,
    lifespan: LifespanFunction | None = None,
    startup_timeout: float | None = 60.0,
    shutdown_timeout: float | None = 30.0,
) -> ComposedLifespan:
    """Run the lifespans of mounted apps with that of their host: no framework passes its own on to mounts.

    They start in the order given, after the host's own, and stop in reverse. If one fails, those before it
    are stopped, and the host fails to start. An app without lifespan is no error.

    For FastAPI and Starlette the result is the `lifespan=` argument. For any other ASGI host,
    `compose_lifespan(...).wrap(host)` is the app to serve.

    Args:
        apps: ASGI apps that are mounted in the host; a `WSGIToASGI` too, whose threads end with the host,
            and a `Site` or a `Stack`.
        lifespan: the host's own, as FastAPI takes it.
        startup_timeout: what each app has to start in, in seconds; None for as long as it takes.
        shutdown_timeout: what each has to stop in.

    Raises:
        ConfigurationError: an argument is wrong, or an app is given twice.
    """
    check_seconds(startup_timeout=startup_timeout, shutdown_timeout=shutdown_timeout)
    return ComposedLifespan(
        [_asgi(app) for app in apps],
        _checked(lifespan),
        startup_timeout=startup_timeout,
        shutdown_timeout=shutdown_timeout,
    )


class ComposedLifespan:
    """What `compose_lifespan()` gives; it may be used by several hosts, and run again."""

    def __init__(
        self,
        apps: Sequence[ASGIApp],
        own: LifespanFunction | None,
        *,
        startup_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        if len(set(map(id, apps))) < len(apps):
            raise ConfigurationError("apps: one of them is given twice, and would start twice")
        self._apps = apps
        self._own = own
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout

    # Any: Starlette's type for a lifespan is one of two, by whether there is a state; here it depends.
    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[Any]:
        """Run as the lifespan of a host; gives the state of all apps as one, None if there is none.

        Raises:
            LifespanFailed: an app did not start, or two of them mean different things by one key of state.
        """
        async with self._filled(app) as filled:
            yield merged_state(filled) or None

    def wrap(self, host: ASGIApp) -> ASGIApp:
        """Give the host as an ASGI app whose lifespan is that of all: for a host that takes no `lifespan=`.

        The host's own starts first, then `lifespan=`, then the apps. Their states are one, which each finds
        in the scopes of its requests.

        Raises:
            ConfigurationError: it is no ASGI app.
        """
        return _Wrapped(_asgi(host), self)

    @asynccontextmanager
    async def _filled(self, host: Any) -> AsyncIterator[list[_Filled]]:
        if self._own is None:
            async with self._running(self._apps) as filled:
                yield filled
        else:
            async with self._own(host) as state, self._running(self._apps) as filled:
                yield [("lifespan=", state or {}), *filled]

    @asynccontextmanager
    async def _running(self, apps: Sequence[ASGIApp]) -> AsyncIterator[list[_Filled]]:
        lifespans = running_lifespans(
            apps, startup_timeout=self._startup_timeout, shutdown_timeout=self._shutdown_timeout
        )
        async with lifespans as states:
            yield [(name_of(app), states[id(app)]) for app in apps if id(app) in states]

    @asynccontextmanager
    async def _with_host(self, host: ASGIApp) -> AsyncIterator[dict[str, Any]]:
        async with self._running([host]) as own, self._filled(host) as filled:
            yield merged_state([*own, *filled])


class _Wrapped:
    """A host, its lifespan answered by a `ComposedLifespan`."""

    def __init__(self, host: ASGIApp, composed: ComposedLifespan) -> None:
        self.app = host
        self._composed = composed
        self._state: dict[str, Any] = {}  # where the server has no place for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            server_state = scope.get("state")
            keep = self._keep if server_state is None else server_state.update
            running = self._composed._with_host(self.app)
            await answer_lifespan(running, receive, send, keep)
            return
        if self._state:
            scope = {**scope, "state": {**self._state, **(scope.get("state") or {})}}
        await self.app(scope, receive, send)

    def _keep(self, state: dict[str, Any]) -> None:
        self._state = state


def _asgi(app: Any) -> ASGIApp:
    whole = TwoFaced.of(app)
    if whole is not None:
        return whole.asgi
    if not callable(app) or kind_of(app) in ("wsgi", "asgi2"):
        raise ConfigurationError(
            f"{name_of(app)} is not an ASGI 3 app; of a WSGI app, give the WSGIToASGI that serves it"
        )
    asgi: ASGIApp = app
    return asgi


def _checked(lifespan: LifespanFunction | None) -> LifespanFunction | None:
    if lifespan is None or (callable(lifespan) and not inspect.isasyncgenfunction(lifespan)):
        return lifespan
    raise ConfigurationError(
        f"lifespan={lifespan!r}: expected a function decorated with contextlib.asynccontextmanager"
    )
