"""A watched request of a WSGI server: what `ASGIToWSGI` calls in place of the app and of the server."""

from __future__ import annotations

from time import perf_counter

from bridge._protocol.paths import text_from_native
from bridge._runtime.observing import Exchange, Observing
from bridge.types import ASGIApp, Environ, ExcInfo, Message, Receive, Scope, Send, StartResponse, Write

__all__ = ["ObservedWSGIExchange"]


class ObservedWSGIExchange(Exchange):
    """Stands for the app and for `start_response` of one request.

    Args:
        observing: of the adapter.
        app: the ASGI app.
        environ: of the request.
        start_response: of the server.
    """

    __slots__ = ("_app", "_start_response")

    def __init__(
        self, observing: Observing, app: ASGIApp, environ: Environ, start_response: StartResponse
    ) -> None:
        self._app = app
        self._start_response = start_response
        prefix = text_from_native(environ.get("SCRIPT_NAME", ""))
        path = prefix + text_from_native(environ.get("PATH_INFO", ""))
        super().__init__(observing, environ["REQUEST_METHOD"], path, prefix)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, in its task."""
        self.called = perf_counter()

        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body") or b"")
            return message

        await self._app(scope, counted, send)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Write:
        """Start the response at the server; with the head go the durations, if that is wanted."""
        timing = self.answer(int(status[:3]))
        if timing is not None:
            headers = [*headers, ("Server-Timing", timing)]
        return self._start_response(status, headers, exc_info)
