"""The WebSockets of one `ASGIToWSGI`.

An ASGI app exchanges events, and a WSGI server has nothing for that. So the bridge is the server of the
client, on the socket that the WSGI server hands out: a `Channel`. The rules are those of `WebSocketCycle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Collection
from socket import socket
from typing import TYPE_CHECKING

from bridge._protocol.denial import Part
from bridge._protocol.handshake import (
    Handshake,
    check_origins,
    handshake_from_environ,
    origin_allowed,
    scope_of_websocket,
)
from bridge._protocol.head import status_line
from bridge._protocol.limits import Limits
from bridge._protocol.request import scope_from_environ
from bridge._protocol.response_headers import native_from_raw_headers
from bridge._runtime.asgi_websocket import ASGIWebSocket, Verdict
from bridge._runtime.blocks import Stream, Whole
from bridge._runtime.life import Life, TurnedAway
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.websocket_set import WebSocketSet
from bridge._runtime.websocket_takeover import Taken, socket_of, take_over
from bridge.errors import AppProtocolError, ConfigurationError, Overloaded, PeerProtocolError
from bridge.types import ASGIApp, Environ, Scope, StartResponse

if TYPE_CHECKING:
    from bridge._protocol.frames import Frames

__all__ = ["ASGIWebSockets"]

_log = logging.getLogger("bridge.websocket")


class ASGIWebSockets:
    """The WebSockets of one `ASGIToWSGI`; the arguments are its own.

    Args:
        app: the ASGI app.
        limits: what of a request, and of a message, is refused.
        name: of the app, in log lines and errors.
        most: how many may be open at once; 0 for none.
        origins: which pages may connect; None for any.
        ping_interval: see `Channel`.
        cancel_timeout: how long the app may go on after a connection has ended, in seconds.
        accept_timeout: how long the app may take to accept or to deny, in seconds; None for no limit.
        on_begin: told the task of each, on the loop.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        *,
        name: str,
        most: int,
        origins: Collection[str] | None,
        ping_interval: float | None,
        cancel_timeout: float | None,
        accept_timeout: float | None,
        on_begin: Callable[[asyncio.Task[None]], None],
    ) -> None:
        if type(most) is not int or most < 0:
            raise ConfigurationError(f"max_websockets={most!r}: expected a number, 0 or more")
        self._app = app
        self._name = name
        self._limits = limits
        self._most = most
        self._origins = check_origins(origins)
        self._ping_interval = ping_interval
        self._cancel_timeout = cancel_timeout
        self._accept_timeout = accept_timeout
        self._on_begin = on_begin
        self._open = WebSocketSet(most)

    def __len__(self) -> int:
        return len(self._open)

    def serve(
        self,
        environ: Environ,
        start_response: StartResponse,
        enter: Callable[[], tuple[Mailbox, Life]],
    ) -> Whole | Stream:
        """Serve one: in this thread until the app has decided, then without it if possible.

        Args:
            environ: of the upgrade request, which may be out of order.
            start_response: of the server.
            enter: starts the app if need be; gives the mailbox of its loop, and its life.

        Returns:
            The blocks for the server: none for a connection that it has lost.

        Raises:
            PeerProtocolError: the request is refused; `status_hint` is 501 where there is no socket (S-31).
            RequestTimedOut: the app neither accepted nor denied in time.
            Overloaded: there is no place for one more.
            ClientDisconnected: the client, or the loop, is gone.
            ConnectionResetError: the connection is over, and there is nothing to answer.
            Exception: what the app raised, unchanged.
        """
        handshake = handshake_from_environ(environ)
        if not origin_allowed(environ.get("HTTP_ORIGIN"), self._origins):
            raise PeerProtocolError("the Origin is not allowed", status_hint=403)
        scope = scope_of_websocket(scope_from_environ(environ, self._limits), handshake)
        sock = socket_of(environ)
        if sock is None or not self._most:
            raise PeerProtocolError("there is no socket for a WebSocket", status_hint=501)
        try:
            from bridge._protocol.frames import Frames
        except ImportError as exc:
            _log.error("%s: a WebSocket was refused: %s", self._name, exc)
            raise PeerProtocolError("WebSockets are not installed", status_hint=501) from exc
        while True:
            mailbox, life = enter()
            if life.state is not None:
                scope["state"] = life.state.copy()
            frames = Frames(
                client=False, max_message_bytes=self._limits.max_message_bytes, deflate=handshake.deflate
            )
            session = self._session(scope, handshake, frames, mailbox)
            self._open.add(session, mailbox)
            with contextlib.suppress(TurnedAway):  # the app was closed in between: as if it came now
                return _decided(session, life, sock, environ, start_response)

    def _session(self, scope: Scope, handshake: Handshake, frames: Frames, mailbox: Mailbox) -> ASGIWebSocket:
        return ASGIWebSocket(
            self._app,
            scope,
            handshake,
            frames,
            mailbox,
            name=self._name,
            ping_interval=self._ping_interval,
            cancel_timeout=self._cancel_timeout,
            accept_timeout=self._accept_timeout,
            on_begin=self._on_begin,
            on_end=self._open.discard,
        )

    def reopen(self) -> None:
        """Accept more after a `close()`."""
        self._open.reopen()

    def close(self, timeout: float | None) -> bool:
        """Close all with 1001, refuse more; tell whether they ended within `timeout` seconds."""
        return self._open.shut(timeout)


def _decided(
    session: ASGIWebSocket, life: Life, sock: socket, environ: Environ, start_response: StartResponse
) -> Whole | Stream:
    """Wait for the app's answer; take the connection over, or give the server a response of the app's."""
    try:
        session.begin(life)
        step = session.next_step(environ)
        if step is Verdict.ACCEPTED:
            taken = _taken(sock, environ)
            session.give(taken.sock, taken.early)
        elif not isinstance(step, Verdict):
            return _denial(session, step, environ, start_response)
    except BaseException:
        session.leave()
        raise
    if taken.relay is not None:
        taken.relay.run()
        raise ConnectionResetError(errno.ECONNRESET, "the WebSocket is over")  # and no response follows it
    # It goes to a socket that has ended; the server notes it in its log.
    start_response("101 Switching Protocols", [])
    return Whole()


def _taken(sock: socket, environ: Environ) -> Taken:
    try:
        return take_over(sock, environ)
    except OSError as exc:
        raise Overloaded("the process has no descriptor for another WebSocket") from exc


def _denial(
    session: ASGIWebSocket, part: Part, environ: Environ, start_response: StartResponse
) -> Whole | Stream:
    """Give the app's response in place of the upgrade to the server, its blocks as they come (S-07)."""
    head, data, more = part
    if head is not None:
        start_response(status_line(head.status), native_from_raw_headers(head.headers))
    if more:
        return Stream(_Denying(session, environ), data, lambda _: None)
    return Whole([data] if data else [])


class _Denying:
    """The parts of a denial after the first."""

    def __init__(self, session: ASGIWebSocket, environ: Environ) -> None:
        self._session = session
        self._environ = environ

    def next_part(self) -> Part:
        step = self._session.next_step(self._environ)
        if isinstance(step, Verdict):  # the cycle of the session lets nothing of the kind through
            raise AppProtocolError("the app accepted a WebSocket that it had denied")
        return step

    def leave(self) -> None:
        self._session.leave()
