"""Starts several apps as one, in order, and stops them in reverse: at once if one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from bridge._runtime.fork import LateLock, reset_in_child
from bridge._runtime.lifespan import Lifespan
from bridge._runtime.loop import asyncio_loop
from bridge.errors import ConfigurationError, LifespanFailed
from bridge.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["StartOnce", "Startable", "StartsInside", "answer_lifespan", "running_lifespans"]

T = TypeVar("T")


class Startable(Protocol):
    """What has to be started before it serves WSGI requests: an `ASGIToWSGI`, or a site full of them."""

    def start(self) -> None:
        """Start, once; blocks until it is done."""

    def close(self) -> None:
        """Stop; blocks until it is done. It may be started again."""


class StartOnce:
    """Starts several, each once and in order; a failure closes those that have started (L-16).

    Attributes:
        children: in the order of their start.
        started: whether `start()` has nothing left to do.
    """

    def __init__(self, children: Sequence[Startable]) -> None:
        self.children = children
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child: each worker starts its own (L-15)."""
        self._lock = LateLock()
        self._failure: BaseException | None = None
        self.started = False

    def start(self) -> None:
        """Start all; concurrent callers wait for the same start.

        Raises:
            LifespanFailed: one did not start; every later call raises the same.
        """
        if self.started:
            return
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self.started:
                self._start_all()
                self.started = True

    def _start_all(self) -> None:
        try:
            with ExitStack() as undo:
                for child in self.children:
                    child.start()
                    undo.callback(child.close)
                undo.pop_all()
        except LifespanFailed as exc:  # anything else is the moment's: a signal, the wrong thread
            self._failure = exc
            raise

    def close(self) -> None:
        """Close all, the last first, also if one raises. The next `start()` starts them again."""
        with self._lock:
            self.started = False
            self._failure = None
        with ExitStack() as closing:
            for child in self.children:
                closing.callback(child.close)


@asynccontextmanager
async def running_lifespans(
    apps: Sequence[ASGIApp], *, startup_timeout: float | None, shutdown_timeout: float | None
) -> AsyncIterator[dict[int, dict[str, Any]]]:
    """Run the lifespans of several ASGI apps as one: all start in order, and stop in reverse.

    If one does not start, those before it are stopped.

    Args:
        apps: in the order of their start.
        startup_timeout: what each has to start in, in seconds; None for as long as it takes.
        shutdown_timeout: what each has to stop in.

    Yields:
        What each app that supports lifespan filled in, by the `id()` of the app (L-08).

    Raises:
        LifespanFailed: one did not start.
    """
    states: dict[int, dict[str, Any]] = {}
    async with AsyncExitStack() as started:
        for app in apps:
            lifespan = Lifespan(app, required=False)
            # Before it has started: one that is cancelled while it starts is stopped too.
            started.push_async_callback(lifespan.shutdown, shutdown_timeout)
            await lifespan.startup(startup_timeout)
            if lifespan.state is not None:
                states[id(app)] = lifespan.state
        yield states


async def answer_lifespan(
    running: AbstractAsyncContextManager[T],
    receive: Receive,
    send: Send,
    started: Callable[[T], object] | None = None,
) -> None:
    """Answer one lifespan connection: what it means to run is an async context manager.

    Args:
        running: entered at startup, left at shutdown, also where the server cancels instead.
        receive: of the connection.
        send: of the connection.
        started: called with what was entered, before the server hears that the startup is complete.

    Raises:
        Exception: what `running` raised, after the server was told; LifespanFailed is told only.
    """
    await receive()
    phase = "startup"
    try:
        async with running as value:
            if started is not None:
                started(value)
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
    except LifespanFailed as exc:
        await send({"type": f"lifespan.{phase}.failed", "message": str(exc)})
    except Exception as exc:
        await send({"type": f"lifespan.{phase}.failed", "message": f"{type(exc).__name__}: {exc}"})
        raise
    else:
        await send({"type": "lifespan.shutdown.complete"})


class StartsInside:
    """A `WSGIToASGI` whose app has ASGI apps inside: their lifespans cannot come through WSGI.

    They start when the server starts the adapter, and stop when it has stopped.

    Args:
        adapter: the `WSGIToASGI`.
        inside: what to start, each with a lifespan of its own.
    """

    def __init__(self, adapter: ASGIApp, inside: Sequence[Startable]) -> None:
        self.adapter = adapter
        self._inside = StartOnce(inside)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "lifespan":
            await self.adapter(scope, receive, send)
            return

        async def receive_and_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                asyncio_loop()  # the answer to another kind of server is below
                await asyncio.to_thread(self._inside.start)
            return message

        async def close_and_send(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":  # no request runs any more
                await asyncio.to_thread(self._inside.close)
            await send(message)

        try:
            await self.adapter(scope, receive_and_start, close_and_send)
        except (LifespanFailed, ConfigurationError) as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
