"""ASGI apps as WSGI: the app is a task on the loop of the process; the server's thread waits for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal

from bridge._protocol.handshake import is_handshake
from bridge._protocol.kind import kind_of
from bridge._protocol.limits import Limits, check_count, check_patience, check_seconds
from bridge._protocol.observation import AdapterStats, Observer
from bridge._runtime.app_life import AppLife
from bridge._runtime.asgi_exchange import refuse, serve_asgi, serve_observed_asgi
from bridge._runtime.asgi_settings import ASGISettings
from bridge._runtime.asgi_websockets import ASGIWebSockets
from bridge._runtime.concurrency import Concurrency
from bridge._runtime.life import Life
from bridge._runtime.loop import LoopThread, shared_loop_thread
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.naming import name_of
from bridge._runtime.observing import Meter, Observing, Tally, observed_adapters
from bridge._runtime.server_options import check_asked_server
from bridge._runtime.tasks import TaskSet
from bridge.errors import ConfigurationError, Overloaded, PeerProtocolError, RequestTimedOut
from bridge.types import ASGIApp, Environ, StartResponse

__all__ = ["ASGIToWSGI"]

_MODES: Final = ("auto", "on", "off")


class ASGIToWSGI:
    """Serve an ASGI app as a WSGI app.

    Nothing is started here: the first request starts the loop, and the lifespan of the app, in the process
    that serves it; forking after import is safe.

    Args:
        app: the ASGI app: FastAPI, Starlette, a Django ASGI handler, any coroutine callable of scope, receive
            and send.
        lifespan: "auto" runs the app's lifespan if it has one, "on" insists on it, "off" leaves it out.
        max_concurrency: how many requests the app serves at once; one more is answered 503, without a wait:
            what could wait holds a thread of the server. A request counts until its response is complete or
            the app has ended; WebSockets and background work do not. None for as many as come.
        limits: what of a request is refused; see `Limits`.
        loop_thread: the loop to run on; None for the one that all adapters of the process share.
        startup_timeout: how long the app may take to start, in seconds; None for as long as it likes.
        task_timeout: how long `close()` waits for requests and background work to end, in seconds, before it
            cancels them; None for as long as they take.
        shutdown_timeout: how long `close()` then waits for the app's shutdown, and before all for WebSockets
            to end, in seconds; None for as long as they take.
        cancel_timeout: how long the app may go on after its client has left before it is cancelled, in
            seconds; None for as long as it likes.
        request_timeout: how long the app may take to begin its response, in seconds and to the next half;
            then the client gets a 504 and the app is told that it left. None for as long as it likes.
        max_websockets: how many WebSockets may be open at once; one more is answered 503. 0 answers each with
            501, as a server does that hands out no socket. Needs the extra `asgi-wsgi-bridge[websocket]`.
        websocket_ping_interval: how often each client is asked for a sign of life, in seconds; one that has
            given none by the next time is taken for lost. None never to ask.
        websocket_origins: the values of Origin that may open a WebSocket, such as "https://example.org";
            another is answered 403. None for any, which leaves it to the app.
        name: what the adapter is called in logs and figures; None for the name of the app's class or
            function.
        observers: told of each request and of its end; see `bridge.observation`.
        measure: count bytes and durations, for `stats()`.
        server_timing: add a Server-Timing field with what the queue and the app took to each response.

    Raises:
        ConfigurationError: an argument is wrong.

    Spec:
        PEP 3333; ASGI 3.0; ASGI www 2.5; ASGI lifespan 2.0.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        lifespan: Literal["auto", "on", "off"] = "auto",
        max_concurrency: int | None = None,
        limits: Limits | None = None,
        loop_thread: LoopThread | None = None,
        startup_timeout: float | None = 60.0,
        task_timeout: float | None = 10.0,
        shutdown_timeout: float | None = 10.0,
        cancel_timeout: float | None = 5.0,
        request_timeout: float | None = None,
        max_websockets: int = 10_000,
        websocket_ping_interval: float | None = 20.0,
        websocket_origins: Collection[str] | None = None,
        name: str | None = None,
        observers: Collection[Observer] = (),
        measure: bool = False,
        server_timing: bool = False,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(
                f"app={app!r}: expected an ASGI app, a coroutine callable of scope, receive, send"
            )
        if kind_of(app) in ("wsgi", "asgi2"):
            raise ConfigurationError(f"app={name_of(app)}: not an ASGI 3 app; as_wsgi(app) takes any kind")
        if lifespan not in _MODES:
            raise ConfigurationError(f"lifespan={lifespan!r}: expected one of {', '.join(_MODES)}")
        if max_concurrency is not None:
            check_count("requests", 1, max_concurrency=max_concurrency)
        check_seconds(
            startup_timeout=startup_timeout,
            task_timeout=task_timeout,
            shutdown_timeout=shutdown_timeout,
            cancel_timeout=cancel_timeout,
            request_timeout=request_timeout,
        )
        check_patience(websocket_ping_interval=websocket_ping_interval)
        if not isinstance(limits, Limits | None):
            raise ConfigurationError(f"limits={limits!r}: expected a Limits, or None")
        limits = limits or Limits()
        check_asked_server(limits)
        if not isinstance(loop_thread, LoopThread | None):
            raise ConfigurationError(f"loop_thread={loop_thread!r}: expected a LoopThread, or None")
        self.app = app
        self.name = name or name_of(app)
        self._loop_thread = loop_thread or shared_loop_thread()
        self._tasks = TaskSet(self.name)
        self._websockets = ASGIWebSockets(
            app,
            limits,
            name=self.name,
            most=max_websockets,
            origins=websocket_origins,
            ping_interval=websocket_ping_interval,
            cancel_timeout=cancel_timeout,
            accept_timeout=request_timeout,
            on_begin=self._tasks.adopt,
        )
        self._life = AppLife(
            app,
            self._loop_thread,
            self._tasks,
            self._websockets,
            name=self.name,
            mode=lifespan,
            startup_timeout=startup_timeout,
            task_timeout=task_timeout,
            shutdown_timeout=shutdown_timeout,
        )
        observing = Observing("asgi_to_wsgi", self.name, observers=observers, server_timing=server_timing)
        self._settings = ASGISettings(
            name=self.name,
            limits=limits,
            loop_thread=self._loop_thread,
            life=self._life,
            tasks=self._tasks,
            concurrency=None if max_concurrency is None else Concurrency(max_concurrency),
            cancel_timeout=cancel_timeout,
            request_timeout=request_timeout,
            tally=Tally(),
            meter=Meter() if measure else None,
            observing=observing if observing.wanted else None,
        )
        observed_adapters.add(self)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one WSGI request.

        Returns:
            The blocks; a list if the response is whole.

        Raises:
            LifespanFailed: the app did not start.
            Exception: what the app raised before its response began, unchanged.
        """
        if ("HTTP_UPGRADE" in environ or "HTTP_SEC_WEBSOCKET_KEY" in environ) and is_handshake(environ):
            return self._websocket(environ, start_response)
        settings = self._settings
        if settings.observing is not None:
            return serve_observed_asgi(settings.observing, settings, self.app, environ, start_response)
        return serve_asgi(settings, self.app, environ, start_response)

    def _websocket(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self._websockets.serve(environ, start_response, self._enter)
        except (PeerProtocolError, Overloaded, RequestTimedOut) as exc:
            return refuse(self._settings, start_response, exc)

    def _enter(self) -> tuple[Mailbox, Life]:
        mailbox = self._loop_thread.start()
        life = self._tasks.life
        return mailbox, self._life.start() if life.over else life

    def stats(self) -> AdapterStats:
        """Tell what the adapter does now; from any thread."""
        mailbox, settings = self._loop_thread.mailbox, self._settings
        return AdapterStats(
            app=self.name,
            direction="asgi_to_wsgi",
            in_flight=self._tasks.in_flight,
            waiting=0,
            busy_threads=0,
            idle_threads=0,
            websockets=len(self._websockets),
            background_tasks=self._tasks.background,
            outcomes=settings.tally.read(),
            crossings=0 if mailbox is None else mailbox.delivered,
            wakeups=0 if mailbox is None else mailbox.wakeups,
            measured=None if settings.meter is None else settings.meter.read(),
        )

    # ------------------------------------------------------------ lifecycle

    @property
    def background_tasks(self) -> int:
        """How many tasks of the app go on though the response that they belong to is complete.

        Starlette's background tasks, and what a request has started with `asyncio.create_task`, or these in
        turn; not what the lifespan has started.
        """
        return self._tasks.background

    def start(self) -> None:
        """Start the app's lifespan, once; concurrent callers wait for the same startup (L-16).

        Raises:
            LifespanFailed: the app did not start; every later call raises the same.
            Overloaded: the process is about to end.
            BridgeError: called on the loop itself.
        """
        if self._tasks.life.over:
            self._life.start()

    def close(self) -> None:
        """Close WebSockets with 1001, let requests and background work end, and shut the app down.

        The loop stays. Blocks: not to be called on the loop. It runs by itself at the end of the process. A
        request that comes later starts the app again.

        Raises:
            BridgeError: called on the loop itself.
        """
        self._life.close()
