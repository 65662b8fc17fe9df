"""WSGI apps as ASGI: the app runs in a thread, its response crosses to the loop in one piece if it is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import TextIO
from weakref import WeakSet

from bridge._protocol.kind import kind_of
from bridge._protocol.limits import Limits, check_patience, check_seconds
from bridge._protocol.observation import AdapterStats, Observer
from bridge._protocol.refusal import refusal
from bridge._runtime.desk import Desk
from bridge._runtime.errors_stream import ErrorsStream
from bridge._runtime.hooks import check_hooks
from bridge._runtime.loop import asyncio_loop
from bridge._runtime.naming import name_of
from bridge._runtime.observing import Meter, Observing, Tally, observed_adapters
from bridge._runtime.server_options import check_asked_server
from bridge._runtime.stall import PeerTimeouts
from bridge._runtime.thread_pool import BACKLOG, THREADS, ThreadPool
from bridge._runtime.wsgi_exchange import serve_wsgi
from bridge._runtime.wsgi_host import WSGIHost
from bridge._runtime.wsgi_run import serves
from bridge._runtime.wsgi_settings import WSGISettings, environ_template
from bridge._runtime.wsgi_websockets import WSGIWebSockets, deny
from bridge.errors import ConfigurationError, Overloaded, PeerProtocolError, RequestTimedOut
from bridge.types import Receive, Scope, Send, WSGIApp

__all__ = ["WSGIToASGI"]

_log = logging.getLogger("bridge.wsgi")


class WSGIToASGI:
    """Serve a WSGI app as an ASGI app.

    Nothing is started here: the first request starts the first thread, in the process that serves it.
    The same instance works under any number of event loops, one after the other or side by side.

    Args:
        app: the WSGI app: a Flask object, a Django WSGI handler, any callable of environ and
            start_response.
        threads: how many requests the app serves at once. 1 is for apps that are not thread-safe: calls
            never overlap, but for those that the app makes of itself through bridges, and waits for.
        backlog: how many requests may wait for a thread; they are served in the order in which they came,
            and one more is answered 503.
        queue_timeout: how long a request waits for a thread, in seconds; then it is answered 503 and the app
            never sees it. None for as long as it takes.
        pool: threads to share with other apps. None for threads of its own, so that a slow app leaves the
            others alone. With it `threads`, `backlog` and the hooks of threads are those of the pool, which
            ends with its owner.
        limits: what of a request is refused; see `Limits`.
        strict: raise from `start_response` where the app sets a hop-by-hop header, instead of dropping it
            and logging that once (D-05).
        refuse_underscores: answer 400 to a header name with an underscore, which could pass for one
            with a dash, instead of dropping the field (D-06).
        errors: where `wsgi.errors` goes; None for standard error.
        multiprocess: the value of `wsgi.multiprocess`; None to tell by whether this process is a child
            of Python's `multiprocessing`, as the workers of uvicorn, hypercorn and granian are.
        websocket: call the app for WebSockets too: one with flask-sock, Flask-SocketIO or simple-websocket.
            Without it each is refused. Needs the extra `asgi-wsgi-bridge[websocket]`.
        max_websockets: how many WebSockets the app serves at once, each in a thread of its own beside
            `threads`; one more is answered 503.
        websocket_origins: the values of Origin that may open a WebSocket, such as "https://example.org";
            another is answered 403. None for any, which leaves it to the app.
        on_worker_start: called without arguments in each thread of the app before its first request. What one
            of these three hooks raises is logged.
        on_worker_stop: called in each thread after its last request.
        after_request: called in the thread of each request when it is over, in its context, also if it failed
            or was abandoned: to give a database session or a connection back.
        shutdown_timeout: how long `lifespan.shutdown` and `close()` wait for running requests, in
            seconds; None for as long as they take.
        request_timeout: how long the app may take to begin its response, in seconds; then the client gets a
            504, and the thread is free when the app returns or uses the bridge again. None for as long as it
            likes.
        send_timeout: how long a client may take nothing of what waits for it, in seconds and to the next
            quarter; then the response is cut, and its thread is free. A slow client takes 256 KiB in that
            time; an app that has nothing to send may take as long as it likes. None for no limit.
        receive_timeout: how long a client may send nothing of a request body that is waited for, in
            seconds; then it is answered 408, and the app's read raises `ReceiveTimedOut`. None for no limit.
        name: what the adapter is called in logs, threads and figures; None for the name of the app's class
            or function.
        observers: told of each request and of its end; see `bridge.observation`.
        measure: count bytes and durations, for `stats()`.
        server_timing: add a Server-Timing field with what the queue and the app took to each response.

    Raises:
        ConfigurationError: an argument is wrong.
        ImportError: `websocket` is set and wsproto is not installed.

    Spec:
        PEP 3333; ASGI www 2.5 "WSGI Compatibility"; ASGI lifespan 2.0.
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        threads: int = THREADS,
        backlog: int = BACKLOG,
        queue_timeout: float | None = 30.0,
        pool: ThreadPool | None = None,
        limits: Limits | None = None,
        strict: bool = False,
        refuse_underscores: bool = False,
        errors: TextIO | None = None,
        multiprocess: bool | None = None,
        websocket: bool = False,
        max_websockets: int = 100,
        websocket_origins: Collection[str] | None = None,
        on_worker_start: Callable[[], object] | None = None,
        on_worker_stop: Callable[[], object] | None = None,
        after_request: Callable[[], object] | None = None,
        shutdown_timeout: float | None = 30.0,
        request_timeout: float | None = None,
        send_timeout: float | None = 60.0,
        receive_timeout: float | None = 60.0,
        name: str | None = None,
        observers: Collection[Observer] = (),
        measure: bool = False,
        server_timing: bool = False,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(
                f"app={app!r}: expected a WSGI app, a callable of environ and start_response"
            )
        if kind_of(app) in ("asgi", "asgi2"):
            raise ConfigurationError(f"app={name_of(app)}: not a WSGI app; as_asgi(app) takes any kind")
        if type(max_websockets) is not int or max_websockets < 1:
            raise ConfigurationError(f"max_websockets={max_websockets!r}: expected a number, 1 or more")
        check_seconds(
            queue_timeout=queue_timeout, shutdown_timeout=shutdown_timeout, request_timeout=request_timeout
        )
        check_patience(send_timeout=send_timeout, receive_timeout=receive_timeout)
        if not isinstance(limits, Limits | None):
            raise ConfigurationError(f"limits={limits!r}: expected a Limits, or None")
        limits = limits or Limits()
        check_asked_server(limits)
        if errors is not None and not hasattr(errors, "write"):
            raise ConfigurationError(f"errors={errors!r}: expected a text stream, or None for standard error")
        check_hooks(after_request=after_request)
        own = ThreadPool(
            threads,
            backlog=backlog,
            name=f"bridge-{name or name_of(app)}",
            on_worker_start=on_worker_start,
            on_worker_stop=on_worker_stop,
        )
        self.app = app
        self.name = name or name_of(app)
        self._owns_pool = pool is None
        self._shutdown_timeout = shutdown_timeout
        observing = Observing("wsgi_to_asgi", self.name, observers=observers, server_timing=server_timing)
        threads_used = own if pool is None else _shared(pool, own, on_worker_start, on_worker_stop)
        self._settings = settings = WSGISettings(
            host=WSGIHost(self.name, strict=strict, after_request=after_request),
            pool=threads_used,
            template=environ_template(ErrorsStream(errors), threads_used.threads > 1, multiprocess),
            limits=limits,
            refuse_underscores=refuse_underscores,
            queue_timeout=queue_timeout,
            request_timeout=request_timeout,
            peer_timeouts=PeerTimeouts(send_timeout, receive_timeout),
            tally=Tally(),
            meter=Meter() if measure else None,
            observing=observing if observing.wanted else None,
        )
        self._websockets: WSGIWebSockets | None = None
        if websocket:
            self._websockets = WSGIWebSockets(
                app,
                settings,
                most=max_websockets,
                origins=websocket_origins,
                on_worker_start=on_worker_start,
                on_worker_stop=on_worker_stop,
            )
        self._desk: Desk | None = None
        self._desks: WeakSet[Desk] = WeakSet()
        observed_adapters.add(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            ValueError: the scope is of a type that a WSGI app cannot serve.
            ConfigurationError: the server does not run on asyncio; its startup has failed, if it has one.
            Exception: what the app raised, unchanged, for the server or the middleware to handle.
        """
        kind = scope["type"]
        if kind == "http":
            await serve_wsgi(self._settings, self._desk_here(), self.app, scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        else:
            raise ValueError(f"a WSGI app cannot serve a scope of type {kind!r}")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, or refuse it cleanly before anything is accepted (AA-03, S-30)."""
        desk = self._desk_here()
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            if self._websockets is None:
                raise PeerProtocolError("WebSockets are not enabled", status_hint=403)
            await self._websockets.serve(scope, receive, send, desk.mailbox)
        except (PeerProtocolError, Overloaded, RequestTimedOut) as exc:
            body, headers = refusal(exc.status_hint)
            await deny(scope, send, exc.status_hint, headers, body)

    def _desk_here(self) -> Desk:
        loop = asyncio_loop()
        desk = self._desk
        if desk is None or desk.mailbox.loop is not loop:
            # Another loop than last time: the requests of the former keep what they have (AA-15).
            desk = self._desk = Desk(loop)
            self._desks.add(desk)
        return desk

    def stats(self) -> AdapterStats:
        """Tell what the adapter does now; from any thread."""
        settings, desks = self._settings, list(self._desks)
        workers = settings.pool.workers
        idle = workers.idle
        return AdapterStats(
            app=self.name,
            direction="wsgi_to_asgi",
            in_flight=sum(len(desk.watchkeeper) for desk in desks),
            waiting=workers.admission.waiting,
            busy_threads=max(workers.alive - idle, 0),
            idle_threads=idle,
            websockets=0 if self._websockets is None else len(self._websockets),
            background_tasks=0,
            outcomes=settings.tally.read(),
            crossings=sum(desk.mailbox.delivered for desk in desks),
            wakeups=sum(desk.mailbox.wakeups for desk in desks),
            measured=None if settings.meter is None else settings.meter.read(),
        )

    # ------------------------------------------------------------ lifecycle

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Answer lifespan; at shutdown let the running requests end and give the threads back (L-13)."""
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                try:
                    asyncio_loop()
                except ConfigurationError as exc:
                    await send({"type": "lifespan.startup.failed", "message": str(exc)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif kind == "lifespan.shutdown":
                await asyncio.to_thread(self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return
            else:
                raise ValueError(f"receive() gave {kind!r} to a lifespan scope")

    def close(self) -> None:
        """Close WebSockets with 1001, let requests end, for `shutdown_timeout` at most, and end the threads.

        The threads of a `pool` stay. ASGI apps that the app has started, by calling them through bridges, are
        shut down. Blocks: not to be called on the event loop. A request that comes later starts all anew.
        """
        settings, timeout = self._settings, self._shutdown_timeout
        ended = self._websockets is None or self._websockets.close(timeout)
        if self._owns_pool:
            ended = settings.pool.end(timeout) and ended
        else:
            ended = settings.pool.workers.drain(lambda job: serves(job, settings.host), timeout) and ended
        settings.host.begun.close()
        if not ended:
            _log.warning("%s: requests still run after a shutdown timeout of %s s", self.name, timeout)


def _shared(pool: ThreadPool, own: ThreadPool, *hooks: object) -> ThreadPool:
    """Check a pool that is given, beside what only an own one would need."""
    if not isinstance(pool, ThreadPool):
        raise ConfigurationError(f"pool={pool!r}: expected a ThreadPool, or None for threads of its own")
    if (own.threads, own.backlog) != (THREADS, BACKLOG) or any(hook is not None for hook in hooks):
        raise ConfigurationError(
            f"pool={pool!r}: with a pool, expected threads, backlog, on_worker_start and on_worker_stop to "
            "be given to the ThreadPool"
        )
    return pool
