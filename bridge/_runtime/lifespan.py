"""Runs the lifespan of an ASGI app on the loop that serves its requests."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bridge._protocol.lifespan import LifespanCycle, LifespanState
from bridge._runtime.lineage import keep
from bridge._runtime.loop import asyncio_loop
from bridge._runtime.naming import name_of
from bridge.errors import LifespanFailed
from bridge.types import ASGIApp, Message

__all__ = ["Lifespan"]

_log = logging.getLogger("bridge.lifespan")


class Lifespan:
    """One lifespan of one app: `startup()` once, then `shutdown()` once, both on the same loop.

    Args:
        app: the ASGI app.
        required: an app without lifespan support is an error instead of a fact.
        name: of the app, in log lines and errors; None for that of its class or function.

    Attributes:
        state: the dict that the app fills at startup; None if it does not support lifespan (L-08, L-09).
    """

    def __init__(self, app: ASGIApp, *, required: bool, name: str | None = None) -> None:
        self._app = app
        self._name = name or name_of(app)
        self._required = required
        self._cycle = LifespanCycle()
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._filled: dict[str, Any] = {}

    @property
    def state(self) -> dict[str, Any] | None:
        """What the app filled in, or None without lifespan support."""
        return None if self._cycle.state is LifespanState.UNSUPPORTED else self._filled

    async def startup(self, timeout: float | None) -> None:
        """Start the app.

        Args:
            timeout: how long it may take, in seconds; None for as long as it likes.

        Raises:
            LifespanFailed: the app said so, took too long, or has no lifespan though one is required.
            ConfigurationError: there is no asyncio loop to run it on.
        """
        loop = asyncio_loop()
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run())
        # An adapter may be dropped without a close: the garbage collector must not tear an app down, in
        # whatever thread that runs.
        keep(self._task)
        if not await self._settled(timeout):
            self._task.cancel()
            raise LifespanFailed(f"{self._name} did not start within {timeout} s")
        cycle = self._cycle
        if cycle.state is LifespanState.FAILED:
            _log.error("startup of %s failed: %s", self._name, cycle.message)
            raise LifespanFailed(f"{self._name} failed to start: {cycle.message}")
        if cycle.state is LifespanState.UNSUPPORTED:
            if self._required:
                raise LifespanFailed(
                    f"{self._name} does not support lifespan, which is 'on'"
                ) from cycle.error
            _log.info("%s does not support lifespan", self._name)

    async def shutdown(self, timeout: float | None) -> None:
        """Stop the app; a failure or a timeout is logged and no obstacle (L-06, L-07)."""
        if not self._cycle.stop():
            return
        self._changed.clear()
        self._events.put_nowait({"type": "lifespan.shutdown"})
        if not await self._settled(timeout):
            _log.error("%s did not stop within %s s", self._name, timeout)
        elif self._cycle.message:
            _log.error("shutdown of %s failed: %s", self._name, self._cycle.message)
        if self._task is not None and not self._task.done():
            _, pending = await asyncio.wait([self._task], timeout=1.0)  # let it return after its last word
            for task in pending:
                task.cancel()

    async def _settled(self, timeout: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._filled,
        }
        error: BaseException | None = None
        try:
            await self._app(scope, self._events.get, self._send)
        except BaseException as exc:  # the loop survives its apps
            error = exc
        before = self._cycle.state
        self._cycle.left(error)
        self._changed.set()
        if error is None or isinstance(error, asyncio.CancelledError):
            return
        if before is LifespanState.STARTING:
            _log.info("%s raised %s at lifespan startup", self._name, type(error).__name__)
            _log.debug("lifespan of %s", self._name, exc_info=error)
        elif before in (LifespanState.RUNNING, LifespanState.STOPPING):
            _log.error("the lifespan of %s failed", self._name, exc_info=error)

    async def _send(self, message: Message) -> None:
        self._cycle.sent(message)
        self._changed.set()
