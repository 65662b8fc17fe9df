"""One request of a WSGI server to an ASGI app, in the server's thread: from the environ to the iterable.

    scope ──► place ──► task on the loop: ASGIRun
                                             │ parts, through the inlet
    iterable ◄── start_response ◄── first part

What happens on the loop is in `asgi_run`; the blocks after the first are in `blocks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial
from time import perf_counter

from bridge._protocol.head import status_line
from bridge._protocol.observation import Outcome, outcome_of
from bridge._protocol.paths import text_from_native
from bridge._protocol.refusal import refusal
from bridge._protocol.request import scope_from_environ
from bridge._protocol.request_body import RequestBodyCycle, body_length, has_body
from bridge._protocol.response_headers import native_from_raw_headers
from bridge._protocol.sendfile import FILE_BLOCK_BYTES, PATHSEND
from bridge._runtime.asgi_run import ASGIRun
from bridge._runtime.asgi_settings import ASGISettings
from bridge._runtime.blocks import Stream, Whole
from bridge._runtime.context import forget_changes
from bridge._runtime.life import TurnedAway
from bridge._runtime.nesting import note_ancestor
from bridge._runtime.observing import Exchange, Observing
from bridge.errors import Overloaded, PeerProtocolError, RequestTimedOut
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse

__all__ = ["refuse", "serve_asgi", "serve_observed_asgi"]

_COMPLETED = Outcome.COMPLETED  # by a name of its own: see bridge._protocol.response


def serve_observed_asgi(
    observing: Observing,
    settings: ASGISettings,
    app: ASGIApp,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Serve one request, and tell observers of it; the other arguments are those of `serve_asgi`."""
    forget_changes()  # before observers see them
    prefix = environ.get("SCRIPT_NAME", "")
    if prefix:
        prefix = text_from_native(prefix)
    path = prefix + text_from_native(environ.get("PATH_INFO", ""))
    exchange = _Watched(observing, app, environ["REQUEST_METHOD"], path, prefix)
    try:
        return serve_asgi(settings, exchange.call, environ, start_response, exchange)
    except BaseException as exc:  # where there was nothing to count yet
        exchange.end(outcome_of(exc), perf_counter())
        raise


class _Watched(Exchange[ASGIApp]):
    __slots__ = ()

    def call(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the app, in its task, and note when."""
        self.called = perf_counter()
        return self.app(scope, receive, send)


def serve_asgi(
    settings: ASGISettings,
    app: ASGIApp,
    environ: Environ,
    start_response: StartResponse,
    exchange: Exchange[ASGIApp] | None = None,
) -> Iterable[bytes]:
    """Serve one request; ends with the first part of its response.

    Args:
        settings: of the adapter.
        app: the ASGI app.
        environ: of the request.
        start_response: of the server.
        exchange: is told what happens; None for nobody.

    Returns:
        The blocks; a list if the response is whole.

    Raises:
        LifespanFailed: the app did not start.
        Exception: what the app raised before its response began, unchanged.
    """
    arrived = exchange.arrived if exchange is not None else 0.0 if settings.meter is None else perf_counter()
    try:
        scope = scope_from_environ(environ, settings.limits)
        length = body_length(environ)
        body = RequestBodyCycle(length, settings.limits.max_body_bytes)
        readable = has_body(environ, length)
        mailbox = settings.loop_thread.start()
        tasks = settings.tasks
        life = tasks.life
        if life.over:
            life = settings.life.start()
        place = None if settings.concurrency is None else settings.concurrency.enter(app)
    except (PeerProtocolError, Overloaded) as exc:
        return refuse(settings, start_response, exc, exchange)
    if life.state is not None:
        scope["state"] = life.state.copy()
    if "wsgi.file_wrapper" in environ:
        scope["extensions"][PATHSEND] = {}
    run = ASGIRun(
        place or app,
        scope,
        environ,
        body,
        mailbox,
        name=settings.name,
        has_body=readable,
        cancel_timeout=settings.cancel_timeout,
        request_timeout=settings.request_timeout,
    )
    note_ancestor(run.context)
    begun = True
    try:
        mailbox.post(lambda: tasks.begin(run, life))
        head, data, more = run.next_part()
        if head is not None:
            headers = head.headers if exchange is None else exchange.answer(head.status, head.headers)
            start_response(status_line(head.status), native_from_raw_headers(headers))
    except TurnedAway:
        begun = False
    except BaseException as exc:
        run.leave()  # also if the server raised: in start_response (WA-08), or here by a signal
        if place is not None and run.task is None:
            place.leave()  # the loop is gone, and the app will never run
        if run.refusal is not None:
            return refuse(settings, start_response, run.refusal, exchange, run, arrived)
        _ended(settings, exchange, run, arrived, outcome_of(exc))
        raise
    if not begun:  # the app was closed in between: as if the request came now
        if place is not None:
            place.leave()
        return serve_asgi(settings, app, environ, start_response, exchange)
    if more is True:
        return Stream(run, data, partial(_ended, settings, exchange, run, arrived))
    _ended(settings, exchange, run, arrived, _COMPLETED)
    if more:
        file: Iterable[bytes] = environ["wsgi.file_wrapper"](more, FILE_BLOCK_BYTES)
        return file
    return Whole([data] if data else [])


def refuse(
    settings: ASGISettings,
    start_response: StartResponse,
    error: PeerProtocolError | Overloaded | RequestTimedOut,
    exchange: Exchange[ASGIApp] | None = None,
    run: ASGIRun | None = None,
    arrived: float = 0.0,
) -> Whole:
    """Answer in place of the app.

    Args:
        settings: of the adapter.
        start_response: of the server.
        error: what is wrong with the request, or with its time.
        exchange: is told what happens; None for nobody.
        run: what has been begun of it; None for nothing.
        arrived: when it came, if that is measured.
    """
    body, headers = refusal(error.status_hint)
    if exchange is not None:
        headers = exchange.answer(error.status_hint, headers)
    _ended(settings, exchange, run, arrived, outcome_of(error))
    start_response(status_line(error.status_hint), native_from_raw_headers(headers))
    return Whole([body])


def _ended(
    settings: ASGISettings,
    exchange: Exchange[ASGIApp] | None,
    run: ASGIRun | None,
    arrived: float,
    outcome: Outcome,
) -> None:
    """Count a request that has ended; of one that was refused at once nothing is measured."""
    if outcome is not _COMPLETED:
        settings.tally.count(outcome)
    meter = settings.meter
    if meter is None and exchange is None:
        return
    now = perf_counter()
    received, sent = (0, 0) if run is None else (run.received, run.sent)
    if meter is not None and run is not None:
        meter.count(now - arrived, received, sent, completed=outcome is _COMPLETED)
    if exchange is not None:
        exchange.end(outcome, now, received, sent)
