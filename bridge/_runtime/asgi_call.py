"""Calls an ASGI app from a coroutine on the same loop: its response as a head and the blocks that follow.

What `ASGIRun` is for a thread, this is for a coroutine, for a host that has its own kind of response.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

from bridge._protocol.head import Head, head_from_asgi
from bridge._protocol.response import ResponseCycle, block_of
from bridge._runtime.app_errors import Loss, means_gone
from bridge._runtime.changes import Changes
from bridge._runtime.naming import name_of
from bridge._runtime.request_log import log_request
from bridge.errors import AppProtocolError, ClientDisconnected
from bridge.types import ASGIApp, Message, Scope

__all__ = ["ASGICall"]

_log = logging.getLogger("bridge.asgi")

_CANCEL_TIMEOUT = 5.0  # seconds that an app has to see that its client left

_running: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly


class ASGICall:
    """One request to an ASGI app. All of it belongs to one loop.

    The app is at most one block ahead of its reader. Work that it does after its last block goes on.

    Args:
        app: the ASGI app.
        scope: of this request, of type "http"; the app's from now on.
        read: gives the next block of the request body and whether more will come.
    """

    def __init__(self, app: ASGIApp, scope: Scope, read: Callable[[], Awaitable[tuple[bytes, bool]]]) -> None:
        self._app = app
        self._scope = scope
        self._read = read
        self._body_done = False
        self._cycle = ResponseCycle()
        self._block: bytes | None = None
        self._error: BaseException | None = None
        self._changed = Changes()
        self._over = asyncio.Event()  # the exchange, as the app sees it through receive()
        self._loss = Loss(heard=False)
        self._returned = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> tuple[Head, bytes, bool]:
        """Run the app until its response begins.

        Returns:
            The head, the first block, and whether more will come.

        Raises:
            AppProtocolError: the app broke ASGI.
            Exception: what the app raised.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)
        try:
            block, more = await self._next()
        except BaseException:
            self.leave()
            raise
        return self._cycle.held, block, more

    async def blocks(self) -> AsyncIterator[bytes]:
        """Give the blocks after the first."""
        try:
            more = True
            while more:
                block, more = await self._next()
                if block:
                    yield block
        finally:
            self.leave()

    def leave(self) -> None:
        """Tell the app that the exchange is over; end it if it does not care. On the loop only."""
        self._over.set()
        if self._error is not None:
            error, self._error = self._error, ClientDisconnected()
            self._tell(error)
        task = self._task
        if task is None or task.done() or self._cycle.done:
            return
        self._changed.announce()
        handle = asyncio.get_running_loop().call_later(_CANCEL_TIMEOUT, task.cancel)
        task.add_done_callback(lambda _: handle.cancel())

    async def _next(self) -> tuple[bytes, bool]:
        while self._block is None and not self._returned:
            await self._changed.next()
        block, self._block = self._block, None
        self._changed.announce()
        if block is not None:
            return block, not self._cycle.done
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # it is told
        raise AppProtocolError(f"{name_of(self._app)} returned before its response was complete")

    # ------------------------------------------------------------ in the app's task

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as exc:  # nothing of an app may be lost with its task
            self._failed(exc)
        self._returned = True
        self._changed.announce()

    def _failed(self, exc: BaseException) -> None:
        if self._over.is_set():
            # Not kept: its traceback holds the app's generators, which close when nothing holds them.
            self._error = ClientDisconnected()
            self._tell(exc)
            traceback.clear_frames(exc.__traceback__)  # the app may keep it
        elif isinstance(exc, Exception):
            self._error = exc
        else:
            self._error = AppProtocolError(f"the ASGI app {name_of(self._app)} raised {type(exc).__name__}")
            self._error.__cause__ = exc

    def _tell(self, error: BaseException) -> None:
        """Log what nobody is there to have raised, unless it only says that the client left."""
        if not means_gone(error):
            log_request(
                _log,
                logging.ERROR,
                "failed after its exchange was over",
                app=name_of(self._app),
                method=self._scope["method"],
                path=str(self._scope.get("path", "")),
                state=self._cycle.state.name.lower(),
                error=error,
            )

    async def _receive(self) -> Message:
        if not self._body_done:
            block, more = await self._read()
            self._body_done = not more
            return {"type": "http.request", "body": block, "more_body": more}
        self._loss.heard = True
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        if kind not in ("http.response.start", "http.response.body"):
            raise AppProtocolError(f"send() got an event of type {kind!r}, which was not offered")
        if self._cycle.done:
            return  # what comes after the end is ignored (D-02)
        if kind == "http.response.body":
            await self._send_body(message)
            return
        method: str = self._scope["method"]
        self._cycle.start(head_from_asgi(message.get("status"), message.get("headers") or (), method))

    async def _send_body(self, message: Message) -> None:
        block = block_of(message)
        while self._block is not None and not self._over.is_set():
            await self._changed.next()
        if self._over.is_set():
            await self._loss.at_send()
            return
        self._take(block, more=message.get("more_body", False))

    def _take(self, block: bytes, *, more: bool) -> None:
        if more and not block:
            return  # the start stays held back
        self._cycle.check(len(block), last=not more)
        self._block = self._cycle.data(block) if more else self._cycle.whole(block)
        if not more:
            self._over.set()
        self._changed.announce()
