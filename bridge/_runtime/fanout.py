"""Starts several apps as one, in order, and stops them in reverse: at once if one of them fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from bridge._runtime.fork import reset_in_child
from bridge._runtime.lifespan import Lifespan
from bridge.errors import LifespanFailed
from bridge.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Lifespans", "StartOnce", "Startable", "StartsInside"]


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
        self._lock = threading.Lock()
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
        started: list[Startable] = []
        try:
            for child in self.children:
                child.start()
                started.append(child)
        except BaseException as exc:
            if isinstance(exc, LifespanFailed):  # anything else is the moment's: a signal, the wrong thread
                self._failure = exc
            _close_all(started)
            raise

    def close(self) -> None:
        """Close all, the last first. The next `start()` starts them again."""
        with self._lock:
            self.started = False
            self._failure = None
        _close_all(self.children)


def _close_all(children: Sequence[Startable]) -> None:
    for child in reversed(children):
        child.close()


class Lifespans:
    """The lifespans of several ASGI apps, served as one.

    Args:
        apps: in the order of their start.
        startup_timeout: what each has to start in, in seconds; None for as long as it takes.
        shutdown_timeout: what each has to stop in.

    Attributes:
        states: what each app that supports lifespan filled in, by the `id()` of the app (L-08).
    """

    def __init__(
        self, apps: Sequence[ASGIApp], *, startup_timeout: float | None, shutdown_timeout: float | None
    ) -> None:
        self._apps = apps
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout
        self.states: dict[int, dict[str, Any]] = {}

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve one lifespan connection: start all, wait for the shutdown, stop all."""
        await receive()
        started: list[Lifespan] = []
        try:
            try:
                await self._start(started)
            except LifespanFailed as exc:
                await self._stop(started)
                await send({"type": "lifespan.startup.failed", "message": str(exc)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._stop(started)
            await send({"type": "lifespan.shutdown.complete"})
        finally:
            await self._stop(started)  # also where the server cancels; a second stop does nothing

    async def _start(self, started: list[Lifespan]) -> None:
        for app in self._apps:
            lifespan = Lifespan(app, required=False)
            started.append(lifespan)  # one that is cancelled while it starts is stopped too
            await lifespan.startup(self._startup_timeout)
            if lifespan.state is not None:
                self.states[id(app)] = lifespan.state

    async def _stop(self, started: list[Lifespan]) -> None:
        while started:
            await started.pop().shutdown(self._shutdown_timeout)
        self.states.clear()


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
                await asyncio.to_thread(self._inside.start)
            return message

        async def close_and_send(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":  # no request runs any more
                await asyncio.to_thread(self._inside.close)
            await send(message)

        try:
            await self.adapter(scope, receive_and_start, close_and_send)
        except LifespanFailed as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
