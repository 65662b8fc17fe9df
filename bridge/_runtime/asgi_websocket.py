"""One WebSocket of an ASGI app: a task on the loop; a server's thread waits until it accepts or denies."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import socket
import time
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from bridge._protocol.denial import Denial, Part, forbidden
from bridge._protocol.handshake import Handshake, switch_response
from bridge._protocol.websocket import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL_ERROR,
    NORMAL,
    Close,
    WebSocketCycle,
    WebSocketState,
)
from bridge._runtime.app_errors import error_for_server, means_gone
from bridge._runtime.client_probe import client_has_left
from bridge._runtime.context import adopt_locals
from bridge._runtime.inlet import Inlet
from bridge._runtime.life import Life, TurnedAway
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.request_log import log_request
from bridge._runtime.websocket_channel import Channel, open_channel
from bridge.errors import AppProtocolError, ClientDisconnected, RequestTimedOut
from bridge.types import ASGIApp, Environ, Message, Scope

if TYPE_CHECKING:
    from bridge._protocol.frames import Frames

__all__ = ["ASGIWebSocket", "Verdict"]

_log = logging.getLogger("bridge.websocket")


class Verdict(Enum):
    """What the app decided, where it is no response."""

    ACCEPTED = "accepted"


_Step: TypeAlias = "Verdict | Part | BaseException"


class ASGIWebSocket:
    """The exchange between an app, a server's thread that has the socket, and then the socket itself.

    Args:
        app: the ASGI app.
        scope: of the connection; the app's from now on.
        handshake: the client's.
        frames: the endpoint of the server.
        mailbox: of the loop that runs the app.
        name: of the app, in log lines and errors.
        ping_interval: see `Channel`.
        cancel_timeout: how long the app may go on after the connection has ended, in seconds.
        accept_timeout: how long the app may take to accept or to deny, in seconds.
        on_begin: told the app's task, on the loop.
        on_end: told when all is over, on the loop.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        handshake: Handshake,
        frames: Frames,
        mailbox: Mailbox,
        *,
        name: str,
        ping_interval: float | None,
        cancel_timeout: float | None,
        accept_timeout: float | None,
        on_begin: Callable[[asyncio.Task[None]], None],
        on_end: Callable[[ASGIWebSocket], None],
    ) -> None:
        self._app = app
        self._name = name
        self._scope = scope
        self._handshake = handshake
        self._frames = frames
        self._mailbox = mailbox
        self._ping_interval = ping_interval
        self._cancel_timeout = cancel_timeout
        self._deadline = None if accept_timeout is None else time.monotonic() + accept_timeout
        self._on_begin = on_begin
        self._on_end = on_end
        self._inlet: Inlet[_Step] = Inlet(mailbox)
        self._cycle = WebSocketCycle(handshake.subprotocols)
        self._denial = Denial(self._cycle)
        self._context = contextvars.copy_context()
        self._connected = False
        self._channel: Channel | None = None
        self._socket: asyncio.Future[tuple[socket.socket, bytes]] | None = None
        self._changed: asyncio.Event | None = None
        self._end: Close | None = None  # of a connection that was not open by then
        self._task: asyncio.Task[None] | None = None  # while the app runs
        self._grace: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ in the server's thread

    def begin(self, life: Life) -> None:
        """Start the app's task, unless this life of it is over: `next_step()` says so."""
        self._mailbox.post(lambda: self._begin(life))

    def next_step(self, environ: Environ) -> Verdict | Part:
        """Wait for what the app decides, or for the next part of its denial.

        Raises:
            ClientDisconnected: the client, or the loop, is gone.
            RequestTimedOut: the app took too long.
            TurnedAway: the life of the app is over, and nothing has begun.
            BaseException: what the app raised.
        """

        def look_up() -> None:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise RequestTimedOut(f"{self._name} did not answer the handshake in time")
            if client_has_left(environ, body_read=True):
                raise ClientDisconnected

        step = self._inlet.get(look_up)
        if isinstance(step, BaseException):
            raise step
        self._deadline = None  # it is for the beginning of an answer
        return step

    def give(self, sock: socket.socket, early: bytes) -> None:
        """Hand the socket to the loop, and what the client has sent already."""
        try:
            self._mailbox.post(lambda: self._given(sock, early))
        except ClientDisconnected:
            sock.close()
            raise

    def leave(self) -> None:
        """Tell the app that the client has gone before it was accepted."""
        with contextlib.suppress(ClientDisconnected):  # the loop is closed: there is no app to tell
            self._mailbox.post(self._left)

    # ------------------------------------------------------------ on the loop

    def shut(self) -> None:
        """End with 1001: the adapter is being closed."""
        if self._channel is not None:
            self._channel.close(GOING_AWAY)
        else:
            self._end = Close(GOING_AWAY)
            self._left()

    def _begin(self, life: Life) -> None:
        if life.over:
            self._inlet.put(TurnedAway())
            self._on_end(self)
            return
        self._changed = asyncio.Event()
        self._socket = self._mailbox.loop.create_future()
        self._task = self._mailbox.loop.create_task(self._serve(), context=self._context)
        self._on_begin(self._task)

    def _given(self, sock: socket.socket, early: bytes) -> None:
        if self._socket is None or self._socket.done():
            sock.close()
        else:
            self._socket.set_result((sock, early))

    def _left(self) -> None:
        self._cycle.lost()
        self._end = self._end or Close(ABNORMAL)
        if self._socket is not None and not self._socket.done():
            self._socket.set_exception(ClientDisconnected())
            self._socket.exception()  # read: nobody may wait for it
        self._inlet.put(ClientDisconnected())
        self._inlet.wake()
        self._ended()

    def _ended(self) -> None:
        """Have `receive()` say so, and do not let an app run on for ever that does not listen."""
        if self._changed is not None:
            self._changed.set()
        task = self._task
        if task is not None and self._cancel_timeout is not None and self._grace is None:
            self._grace = self._mailbox.loop.call_later(self._cancel_timeout, task.cancel)

    async def _serve(self) -> None:
        if self._context:
            adopt_locals()
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as exc:  # the loop survives its apps
            self._failed(exc)
        else:
            self._returned()
        finally:
            self._app_ended()
            try:
                if self._channel is not None:
                    await self._channel.closed()
                elif self._socket is not None and not self._socket.cancel():
                    self._drop_socket(self._socket)
            finally:
                self._on_end(self)

    def _app_ended(self) -> None:
        """Cancel the task no more: it waits for the socket to close, which has a deadline of its own."""
        self._task = None
        if self._grace is not None:
            self._grace.cancel()

    @staticmethod
    def _drop_socket(future: asyncio.Future[tuple[socket.socket, bytes]]) -> None:
        if not future.cancelled() and future.exception() is None:
            future.result()[0].close()  # it came for an app that had given up; a second close does nothing

    def _returned(self) -> None:
        state = self._cycle.state
        if state is WebSocketState.OPEN and self._channel is not None:
            self._channel.close(NORMAL)
        elif state in (WebSocketState.CONNECTING, WebSocketState.DENYING):
            self._inlet.put(
                AppProtocolError(f"the ASGI app {self._name} returned without an answer to a WebSocket")
            )

    def _failed(self, exc: BaseException) -> None:
        if self._channel is not None:
            if self._channel.ended is None or not means_gone(exc):
                self._log(logging.ERROR, "failed in a WebSocket", exc)
            self._channel.close(INTERNAL_ERROR)
        elif self._cycle.state is WebSocketState.GONE:
            if not means_gone(exc):
                self._log(logging.WARNING, "failed after its client had left", exc)
        elif self._cycle.state is WebSocketState.CLOSED:
            self._log(logging.ERROR, "failed after it had refused a WebSocket", exc)
        else:
            self._inlet.put(error_for_server(exc, self._name))

    def _log(self, level: int, what: str, error: BaseException) -> None:
        log_request(
            _log,
            level,
            what,
            app=self._name,
            method="WEBSOCKET",
            path=str(self._scope.get("path", "")),
            state=self._cycle.state.name.lower(),
            error=error,
        )

    # ------------------------------------------------------------ the app's side

    async def _receive(self) -> Message:
        """ASGI www "Connect", "Receive", "Disconnect"; cancelling it loses nothing."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while self._channel is None:  # nothing comes before it is accepted (S-03)
            if self._end is not None:
                return _disconnect(self._end)
            if self._changed is not None:
                self._changed.clear()
                await self._changed.wait()
        item = await self._channel.receive()
        if isinstance(item, Close):
            return _disconnect(item)
        if isinstance(item, str):
            return {"type": "websocket.receive", "text": item}
        return {"type": "websocket.receive", "bytes": item}

    async def _send(self, message: Message) -> None:
        """ASGI www "Accept", "Send", "Close"; extension "Websocket Denial Response"."""
        channel = self._channel
        if channel is not None and channel.ended is not None and self._cycle.state is WebSocketState.OPEN:
            self._cycle.lost()
        kind = message.get("type")
        if kind == "websocket.send":
            data = self._cycle.message(message)
            if channel is not None:
                await channel.send(data)
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            close = self._cycle.close(message.get("code"), message.get("reason"))
            if channel is not None:
                channel.close(close.code, close.reason)
            else:
                self._inlet.put(forbidden())
        elif kind == "websocket.http.response.start":
            self._denial.start(message)
        elif kind == "websocket.http.response.body":
            await self._put_denial(self._denial.body(message))
        else:
            raise AppProtocolError(f"send() got an event of type {kind!r}, which a WebSocket does not have")

    async def _accept(self, message: Message) -> None:
        subprotocol = message.get("subprotocol")
        headers = self._cycle.accept(subprotocol, message.get("headers") or ())
        self._inlet.put(Verdict.ACCEPTED)
        if self._socket is None:
            raise ClientDisconnected
        sock, early = await asyncio.shield(self._socket)
        channel = Channel(self._frames, ping_interval=self._ping_interval, on_end=self._ended)
        await open_channel(sock, channel)
        self._channel = channel
        channel.write_head(switch_response(self._handshake, subprotocol, headers))
        if early:
            channel.data_received(early)
        if self._end is not None:  # shut while the socket was on its way here
            channel.close(self._end.code)
        if self._changed is not None:
            self._changed.set()

    async def _put_denial(self, part: Part) -> None:
        _, data, more = part
        self._inlet.put(part, len(data))
        if more and self._inlet.crowded:
            await self._inlet.room()


def _disconnect(end: Close) -> Message:
    return {"type": "websocket.disconnect", "code": end.code, "reason": end.reason}
