"""A watched request of an ASGI server: what `WSGIToASGI` calls in place of the app and of the server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from bridge._protocol.sendfile import PATHSEND, ZEROCOPYSEND
from bridge._runtime.observing import Exchange, Observing
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp

__all__ = ["ObservedASGIExchange"]


class ObservedASGIExchange(Exchange):
    """Stands for the app, for `receive()` and for `send()` of one request.

    Args:
        observing: of the adapter.
        app: the WSGI app.
        scope: of the request.
        receive: of the server.
        send: of the server.
    """

    __slots__ = ("_app", "_receive", "_send")

    def __init__(
        self, observing: Observing, app: WSGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        super().__init__(observing, scope["method"], scope["path"], scope.get("root_path") or "")

    def app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the app, in its thread."""
        self.called = perf_counter()
        return self._app(environ, start_response)

    async def receive(self) -> Message:
        """Receive from the server."""
        message = await self._receive()
        self.received += len(message.get("body") or b"")
        return message

    async def send(self, message: Message) -> None:
        """Send to the server; with the head go the durations, if that is wanted."""
        if message["type"] == "http.response.start":
            timing = self.answer(message["status"])
            if timing is not None:
                field = (b"server-timing", timing.encode("ascii"))
                message = {**message, "headers": [*message["headers"], field]}
            await self._send(message)
        else:
            await self._send(message)
            self.sent += _sent_bytes(message)


def _sent_bytes(message: Message) -> int:
    """Tell how many bytes of the body an event has sent."""
    kind = message["type"]
    if kind == PATHSEND:
        try:
            return Path(message["path"]).stat().st_size
        except OSError:  # gone, now that it is sent
            return 0
    if kind == ZEROCOPYSEND:
        count: int = message["count"]
        return count
    return len(message.get("body") or b"")
