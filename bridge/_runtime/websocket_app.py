"""A WSGI app that takes a WebSocket over: one call in a worker thread, with a real socket in its environ."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable, Iterable

from bridge._runtime.outlet import Outlet
from bridge._runtime.wsgi_host import WSGIHost
from bridge._runtime.wsgi_run import Part, WSGIRun
from bridge.errors import Overloaded
from bridge.types import Environ, ExcInfo, StartResponse, Write, WSGIApp

__all__ = ["WebSocketCall", "means_closed"]


class WebSocketCall:
    """The job of one WebSocket; owns the app's end of the socket pair, and closes it at the end.

    Args:
        app: the WSGI app.
        environ: the upgrade request; the app's from now on.
        outlet: takes an ordinary response in place of the upgrade, and the end of the app.
        host: of the app.

    Attributes:
        host: the same.
        sock: the bridge's end.
        accepted: set on the loop when the app has answered the handshake on its socket; from then on what it
            returns means nothing.
        failure: what the app raised after that, unless it only says that the client has left.
        handed_on: whether the app has said by a status of 101 that something else serves the socket now, such
            as an `ASGIToWSGI` inside; the handshake comes, and the return of the app is no end.
        on_end: told when the thread is free, or was never taken; called in any thread.
    """

    __slots__ = ("_app", "_app_sock", "_run", "accepted", "failure", "handed_on", "host", "on_end", "sock")

    def __init__(
        self,
        app: WSGIApp,
        environ: Environ,
        outlet: Outlet[Part],
        host: WSGIHost,
    ) -> None:
        try:
            self.sock, self._app_sock = socket.socketpair()
        except OSError as exc:
            raise Overloaded("the process has no descriptor for another WebSocket") from exc
        self._app = app
        environ["wsgi.input"] = io.BytesIO()
        # simple-websocket 1.1 looks here first. Its gunicorn mode would raise StopIteration in the app.
        environ["werkzeug.socket"] = self._app_sock
        self.host = host
        self._run = WSGIRun(self._call, environ, outlet, host)
        self.accepted = False
        self.handed_on = False
        self.failure: BaseException | None = None
        self.on_end: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Run the app; called by a worker thread. Never raises."""
        try:
            self._run()
        finally:
            self.close()

    def close(self) -> None:
        """Close the app's end, as the server would that it believes to run on; a second call does nothing."""
        with contextlib.suppress(OSError):  # its own thread that reads is woken by this, not by a close alone
            self._app_sock.shutdown(socket.SHUT_RDWR)
        self._app_sock.close()
        if self.on_end is not None:
            self.on_end()

    def _call(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /) -> Write:
            nonlocal started
            started = True
            if status[:4] == "101 ":
                self.handed_on = True
                status, headers = "200 OK", []  # goes nowhere
            return start_response(status, headers, exc_info)

        try:
            result = self._app(environ, start)
        except BaseException as exc:
            if not self.accepted:
                raise
            if not means_closed(exc):
                self.failure = exc
            result = []
        if self.accepted and not started:  # it goes nowhere, and most apps do not bother
            start_response("200 OK", [])
        return result


def means_closed(exc: BaseException) -> bool:
    """Tell whether an error only says that the socket has ended; two libraries have names of their own."""
    return isinstance(exc, (OSError, StopIteration)) or type(exc).__name__ in (
        "ConnectionClosed",
        "LocalProtocolError",
    )
