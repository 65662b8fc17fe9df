"""The WebSockets of one `WSGIToASGI`.

A WSGI app writes frames to a socket, and an ASGI server exchanges events. So the bridge is the client of the
app, on a socket pair: a `Channel`. The rules are those of `WebSocketCycle`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import replace

from bridge._protocol.handshake import check_origins, origin_allowed
from bridge._protocol.websocket import NORMAL
from bridge._runtime.hooks import Hook
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.websocket_set import WebSocketSet
from bridge._runtime.worker_pool import WorkerPool
from bridge._runtime.wsgi_settings import WSGISettings
from bridge._runtime.wsgi_websocket import DENIAL, WSGIWebSocket
from bridge.errors import Overloaded, PeerProtocolError
from bridge.types import RawHeaders, Receive, Scope, Send, WSGIApp

__all__ = ["WSGIWebSockets", "deny"]


async def deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    """Refuse a WebSocket before it is accepted: with a response where the server offers that, else by 403."""
    if DENIAL not in (scope.get("extensions") or ()):
        await send({"type": "websocket.close", "code": NORMAL})
        return
    await send({"type": f"{DENIAL}.start", "status": status, "headers": headers})
    await send({"type": f"{DENIAL}.body", "body": body, "more_body": False})


class WSGIWebSockets:
    """The WebSockets of one `WSGIToASGI`; the arguments are its own.

    Args:
        app: the WSGI app.
        settings: of the adapter.
        most: how many may be open at once.
        origins: which pages may connect; None for any.
        on_worker_start: see `WSGIToASGI`.
        on_worker_stop: see `WSGIToASGI`.

    Raises:
        ConfigurationError: an argument is wrong.
        ImportError: wsproto is not installed.
    """

    def __init__(
        self,
        app: WSGIApp,
        settings: WSGISettings,
        *,
        most: int,
        origins: Collection[str] | None,
        on_worker_start: Hook | None,
        on_worker_stop: Hook | None,
    ) -> None:
        import bridge._protocol.frames  # noqa: F401 - a missing wsproto is found here, not by a client

        self._app = app
        # A denial goes by blocks: the events of files are not for it.
        template = {key: value for key, value in settings.template.items() if key != "wsgi.file_wrapper"}
        self._settings = replace(settings, template=template)
        self._threads = most
        self._origins = check_origins(origins)
        self._on_worker_start = on_worker_start
        self._on_worker_stop = on_worker_stop
        self._open = WebSocketSet(most)
        self._pool = self._new_pool()

    def __len__(self) -> int:
        return len(self._open)

    def _new_pool(self) -> WorkerPool:
        return WorkerPool(  # starts nothing
            self._threads,
            self._threads,  # a thread may have told the end of its session, and not be free yet
            name=f"bridge-ws-{self._settings.host.name}",
            on_start=self._on_worker_start,
            on_stop=self._on_worker_stop,
        )

    async def serve(self, scope: Scope, receive: Receive, send: Send, mailbox: Mailbox) -> None:
        """Serve one, whose `websocket.connect` has been received.

        Raises:
            PeerProtocolError: the request cannot be translated safely, or its Origin is not allowed.
            Overloaded: there is no place for one more.
            RequestTimedOut: the app neither accepted nor denied in time.
            Exception: what the app raised, unchanged.
        """
        if not origin_allowed(_origin(scope), self._origins):
            raise PeerProtocolError("the Origin is not allowed", status_hint=403)
        session = WSGIWebSocket(self._app, scope, mailbox, self._settings)
        try:
            self._open.add(session, mailbox)
        except Overloaded:
            session.close()
            raise
        # Counted until its thread is free: one more must not wait for a thread that may never be.
        session.call.on_end = functools.partial(self._open.discard, session)
        await session.serve(self._pool.submit, receive, send)

    def close(self, timeout: float | None) -> bool:
        """Close all with 1001 and end the threads; tell whether they ended within `timeout` seconds."""
        pool, self._pool = self._pool, self._new_pool()
        self._open.shut(timeout)
        self._open.reopen()  # what comes later has threads of its own
        return pool.close(timeout)


def _origin(scope: Scope) -> str | None:
    values = [value for name, value in scope.get("headers") or () if bytes(name).lower() == b"origin"]
    return None if not values else b", ".join(values).decode("latin-1")  # two are none that is allowed
