"""One request of an ASGI server to a WSGI app, in the task of the server: from the scope to the last byte.

    environ ──► body, if it comes at once ──► queue ──► thread: WSGIRun
                                                           │ parts, through the outlet
    end ◄── blocks, or a file ◄── head ◄── first part ◄────┘

All of this happens on the loop; what happens in the thread is in `wsgi_run`. These are functions, and no
object that holds what they share: one for each request would cost a twentieth of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from time import perf_counter
from typing import Final, TypeAlias

from bridge._protocol.early_hints import EARLY_HINT
from bridge._protocol.observation import Outcome, outcome_of
from bridge._protocol.refusal import refusal
from bridge._protocol.request import environ_from_scope
from bridge._protocol.trailers import SEND_TRAILERS, TRAILERS, asked_for
from bridge._runtime.body import BodyFeed
from bridge._runtime.body_receive import prefetch
from bridge._runtime.context import copy_changes
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge._runtime.desk import Desk
from bridge._runtime.early_hints import EarlyHints
from bridge._runtime.nesting import ANCESTORS
from bridge._runtime.observing import Exchange, Observing
from bridge._runtime.outlet import Outlet
from bridge._runtime.queueing import Place, queue
from bridge._runtime.sendfile import FilePiece
from bridge._runtime.trailers import ResponseTrailers
from bridge._runtime.wsgi_input import Input
from bridge._runtime.wsgi_run import Part, WSGIRun
from bridge._runtime.wsgi_settings import WSGISettings
from bridge.errors import ClientDisconnected, Overloaded, PeerProtocolError, ReceiveTimedOut, RequestTimedOut
from bridge.types import Environ, Receive, Scope, Send, StartResponse, WSGIApp

__all__ = ["serve_wsgi"]

_COMPLETED = Outcome.COMPLETED  # by a name of its own: see bridge._protocol.response

_Take: TypeAlias = Callable[[], Awaitable[Part]]

_REFUSED: Final = (PeerProtocolError, Overloaded, RequestTimedOut, ReceiveTimedOut)
"""What is answered in place of the app: each has a `status_hint`."""

_PIECE_BYTES = HIGH_WATER_BYTES
"""What is sent at once: a client that takes this much within `send_timeout` makes progress."""


async def serve_wsgi(
    settings: WSGISettings, desk: Desk, app: WSGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one request; ends with the response, with the client, or with the task.

    Args:
        settings: of the adapter.
        desk: of the loop.
        app: the WSGI app.
        scope: of the request.
        receive: of the server.
        send: of the server.

    Raises:
        Exception: what the app raised, unchanged.
    """
    meter, observing = settings.meter, settings.observing
    exchange = None if observing is None else _watched(observing, app, scope)
    arrived = exchange.arrived if exchange is not None else 0.0 if meter is None else perf_counter()
    mailbox, limits = desk.mailbox, settings.limits
    try:
        environ = environ_from_scope(
            scope, settings.template, limits, refuse_underscores=settings.refuse_underscores
        )
        outlet: Outlet[Part] = Outlet(mailbox)
        feed = BodyFeed(environ, receive, outlet, limits.max_body_bytes, settings.peer_timeouts)
    except PeerProtocolError as exc:
        await _refuse_at_once(settings, send, exc, exchange)
        return
    feed.task = asyncio.current_task(mailbox.loop)
    run = WSGIRun(app if exchange is None else exchange.call, environ, outlet, settings.host)
    extensions = scope.get("extensions")
    take, reply = outlet.take, send
    if extensions and EARLY_HINT in extensions:
        hints = EarlyHints(run, outlet, send, interim=scope.get("http_version") != "1.0")
        environ["wsgi.early_hints"] = hints
        take = hints.final_part
    if extensions and TRAILERS in extensions:
        run.trailing = True
        trailers = ResponseTrailers(run, send, asked=asked_for(environ.get("HTTP_TE", "")))
        environ[SEND_TRAILERS] = trailers
        reply = trailers.send
    outcome = _COMPLETED
    try:
        try:
            head, data, more = await _first_part(settings, desk, environ, feed, run, take)
        except _REFUSED as exc:
            feed.lose()  # what of the app still runs has nobody to answer
            outcome = await _refuse(settings, send, exc, exchange)
            return
        headers = head.headers if exchange is None else exchange.answer(head.status, head.headers)
        await reply({"type": "http.response.start", "status": head.status, "headers": headers})
        if more and more is not True:
            await _send_file(reply, feed, run, more, extensions or ())
            return
        if more:
            data = await _send_stream(reply, feed, outlet, data)
        if run.context:
            copy_changes(run.context)  # seen by the middleware outside as soon as all is complete
        if len(data) > _PIECE_BYTES:
            data = await _send_pieces(reply, outlet, data)
        await reply({"type": "http.response.body", "body": data, "more_body": False})
    except ClientDisconnected:
        feed.lose()  # ordinary life: the run is told, and ends in its thread (AA-11)
        outcome = settings.tally.count(Outcome.DISCONNECTED)
    except BaseException as exc:  # of the app; or the server cancels, or its send() fails
        feed.lose()
        outcome = settings.tally.count(outcome_of(exc))
        if not feed.stalled(exc):
            raise
    finally:
        desk.watchkeeper.remove(feed)
        outlet.close()
        if outcome is not _COMPLETED and (untaken := outlet.untaken()) is not None:
            run.untold(untaken)
        feed.close()
        if run.piece is not None:
            run.piece.close()
        if feed.stall is not None and feed.stall.reason is not None:
            run.log(logging.INFO, feed.stall.reason)
        if meter is not None or exchange is not None:
            now = perf_counter()
            if meter is not None:
                meter.count(now - arrived, feed.received, run.sent, completed=outcome is _COMPLETED)
            if exchange is not None:
                exchange.end(outcome, now, feed.received, run.sent)


class _Watched(Exchange[WSGIApp]):
    __slots__ = ()

    def call(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the app, in its thread, and note when."""
        self.called = perf_counter()
        return self.app(environ, start_response)


def _watched(observing: Observing, app: WSGIApp, scope: Scope) -> _Watched:
    return _Watched(observing, app, scope["method"], scope["path"], scope.get("root_path") or "")


async def _refuse_at_once(
    settings: WSGISettings, send: Send, error: PeerProtocolError, exchange: Exchange[WSGIApp] | None
) -> None:
    """Answer a request that goes no further; observers hear of its end even if the server takes no answer."""
    outcome = Outcome.DISCONNECTED
    try:
        outcome = await _refuse(settings, send, error, exchange)
    except ClientDisconnected:
        settings.tally.count(outcome)
    finally:
        if exchange is not None:
            exchange.end(outcome, perf_counter())


async def _refuse(
    settings: WSGISettings,
    send: Send,
    error: PeerProtocolError | Overloaded | RequestTimedOut | ReceiveTimedOut,
    exchange: Exchange[WSGIApp] | None,
) -> Outcome:
    """Answer in place of the app.

    Raises:
        ClientDisconnected: the client did not take the answer in time: behind others, pipelined, it waits.
    """
    body, headers = refusal(error.status_hint)
    if exchange is not None:
        headers = exchange.answer(error.status_hint, headers)
    try:
        async with asyncio.timeout(settings.peer_timeouts.send) as limit:
            await send({"type": "http.response.start", "status": error.status_hint, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
    except TimeoutError:
        if not limit.expired():
            raise  # it is the server's own
        raise ClientDisconnected from None
    return settings.tally.count(outcome_of(error))


# ---------------------------------------------------------------- until the response begins


async def _first_part(
    settings: WSGISettings, desk: Desk, environ: Environ, feed: BodyFeed, run: WSGIRun, take: _Take
) -> Part:
    """Have a thread run the app; give the first part of its response.

    Raises:
        PeerProtocolError: the body is too large, or is not what was declared.
        Overloaded: there was no thread for it, at once or in time.
        RequestTimedOut: the app did not begin in time.
        ReceiveTimedOut: the body did not come in time.
        BaseException: what the app raised.
    """
    environ["bridge.client_disconnected"] = feed.client_disconnected
    workers = settings.pool.workers
    if feed.wanted:
        if not ANCESTORS.get():
            workers.check_room()  # before a body is waited for
        desk.watchkeeper.add(feed)
        whole = await prefetch(feed)
        environ["wsgi.input"] = Input(feed) if whole is None else whole
    else:
        environ["wsgi.input"] = Input(feed)
    place = queue(workers, run, run.outlet, desk.worker, settings.queue_timeout)
    desk.watchkeeper.add(feed)
    if settings.request_timeout is not None:
        take = _in_time(take, settings)
    part = await take() if place is None else await _from(place, take)
    if feed.refusal is not None:
        raise feed.refusal  # 413 or 408, whatever the app made of it
    return part


async def _from(place: Place, take: _Take) -> Part:
    """Wait in the queue, and then for the first part; what nobody waits for any more never runs."""
    try:
        part = await take()
    except BaseException:
        place.leave()
        raise
    place.begun()
    return part


def _in_time(take: _Take, settings: WSGISettings) -> _Take:
    """Limit the time that the first part may take."""

    async def take_in_time() -> Part:
        try:
            async with asyncio.timeout(settings.request_timeout) as limit:
                return await take()
        except TimeoutError:
            if not limit.expired():
                raise  # it is the app's own
            # The thread cannot be stopped; it ends at the next thing that it asks of the bridge.
            raise RequestTimedOut(f"{settings.host.name} did not answer in time") from None

    return take_in_time


# ---------------------------------------------------------------- the body of the response


async def _send_stream(send: Send, feed: BodyFeed, outlet: Outlet[Part], data: bytes) -> bytes:
    """Send blocks as they come; give the last one, unsent."""
    feed.watch()  # learn of a lost client (AA-12)
    more: object = True
    while more:
        if len(data) > _PIECE_BYTES:
            data = await _send_pieces(send, outlet, data)
        await send({"type": "http.response.body", "body": data, "more_body": True})
        size, data = len(data), b""  # the block is gone before the app makes the next one
        outlet.sent(size + BLOCK_OVERHEAD_BYTES)
        _, data, more = await outlet.take()
    return data


async def _send_pieces(send: Send, outlet: Outlet[Part], data: bytes) -> bytes:
    """Send a large block piece by piece, so that progress can be seen; give the last one, unsent."""
    rest = memoryview(data)
    while len(rest) > _PIECE_BYTES:
        await send({"type": "http.response.body", "body": bytes(rest[:_PIECE_BYTES]), "more_body": True})
        rest = rest[_PIECE_BYTES:]
        outlet.sent(_PIECE_BYTES)
    return bytes(rest)


async def _send_file(
    send: Send, feed: BodyFeed, run: WSGIRun, piece: FilePiece, offered: Collection[str]
) -> None:
    def watch() -> None:
        feed.watch()
        if feed.lost:
            raise ClientDisconnected

    feed.leave_to_server()
    await piece.send(send, offered, watch)
    if run.context:
        copy_changes(run.context)
