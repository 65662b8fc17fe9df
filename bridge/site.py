"""One site of several apps, of both kinds, for a server of either kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from bridge._layers import Core, core_of, started_with, wrap
from bridge._protocol.entry import Entry, entry_from
from bridge._protocol.hosts import check_host
from bridge._protocol.limits import check_seconds
from bridge._protocol.mounts import check_prefix
from bridge._protocol.routes import Route, routes_of
from bridge._router import Mount, Router
from bridge._runtime.context import forget_changes
from bridge._runtime.fanout import StartOnce
from bridge.adapt import TwoFaced
from bridge.errors import ConfigurationError
from bridge.stack import Stack
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp

__all__ = ["Route", "Site"]


class Site(TwoFaced):
    """Apps of both kinds under one roof: by path prefix, by host, or both, in sites within sites.

    An app of the server's kind is reached without an adapter, from either face. A host wins over a path; of
    the paths the longest prefix of whole segments wins. Nothing is started here: the lifespans of all apps
    start with the server's lifespan on the ASGI face, and before the first request on the WSGI face.

    Args:
        redirect_slashes: send a request for `/legacy` to `/legacy/`, where an app is mounted there and its
            prefix is taken off. Otherwise the app gets an empty path.
        startup_timeout: what each ASGI app on the ASGI face has to start in, in seconds; None for as long as
            it takes. On the WSGI face the `startup_timeout` of its `ASGIToWSGI` counts.
        shutdown_timeout: what each has to stop in.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(
        self,
        *,
        redirect_slashes: bool = True,
        startup_timeout: float | None = 60.0,
        shutdown_timeout: float | None = 30.0,
    ) -> None:
        check_seconds(startup_timeout=startup_timeout, shutdown_timeout=shutdown_timeout)
        self._router = Router(
            redirect_slashes=redirect_slashes,
            startup_timeout=startup_timeout,
            shutdown_timeout=shutdown_timeout,
        )
        self._core: Core = core_of(self._router)
        self._asgi = _ASGIFace(self, self._router.asgi)
        self._wsgi = _WSGIFace(self, self._router.wsgi, (self._router.wsgi,))
        self._started = False

    @property
    def asgi(self) -> ASGIApp:
        """The site for an ASGI server: `app = site.asgi`."""
        return self._asgi

    @property
    def wsgi(self) -> WSGIApp:
        """The site for a WSGI server: `application = site.wsgi`."""
        return self._wsgi

    # ------------------------------------------------------------ building

    def mount(
        self,
        path: str,
        app: Any,
        *,
        prefix: Literal["strip", "keep"] = "strip",
        middleware: Iterable[Any] = (),
    ) -> None:
        """Mount an app below a path; at "/" it is the app for all that no other has.

        Args:
            path: literal and decoded: `/legacy`. It takes `/legacy` and all below it, but not `/legacyx`.
            app: of either kind; a `Stack` or another `Site` too, or an adapter with options of its own.
            prefix: "strip" moves the prefix to SCRIPT_NAME or `root_path`, from which frameworks build their
                URLs; "keep" is for an app that expects the prefix in its path, and puts it in its URLs.
            middleware: around this app alone, as `Stack` takes it, the outermost first.

        Raises:
            ConfigurationError: an argument is wrong, the path is taken, or the site has started.
        """
        taken_off = check_prefix(path)
        if prefix not in ("strip", "keep"):
            raise ConfigurationError(f"prefix={prefix!r}: expected 'strip' or 'keep'")
        stack = self._stack(app, middleware)
        self._router.add(Mount(None, taken_off, prefix == "keep", stack))

    def host(
        self, pattern: str, app: Any, *, exclude: Iterable[str] = (), middleware: Iterable[Any] = ()
    ) -> None:
        """Mount an app on a host, for all paths; another `Site` gives it several.

        Args:
            pattern: `admin.example.org`, or `*.example.org` for every name below a domain.
            app: as for `mount()`.
            exclude: hosts or patterns within this one that it leaves to others.
            middleware: around this app alone, the outermost first.

        Raises:
            ConfigurationError: an argument is wrong, the pattern overlaps with another, or the site has
                started.
        """
        checked = check_host(pattern)
        excluded = [check_host(other) for other in exclude]
        stack = self._stack(app, middleware)
        self._router.add(Mount(checked, "", keep=True, stack=stack), excluded)

    def use(self, middleware: Any, /, *args: Any, **kwargs: Any) -> None:
        """Put a middleware, of either kind, around the whole site: the last one is the outermost.

        Args:
            middleware: an entry as `Stack` takes it.
            args: what a class or a function is made with, after the app.
            kwargs: the same.

        Raises:
            ConfigurationError: it is none, its kind cannot be told, it made an app of the other kind, or the
                site has started.
        """
        self._check_open()
        entry = entry_from(middleware)
        if args or kwargs:
            entry = Entry(entry.factory, (*entry.args, *args), {**(entry.kwargs or {}), **kwargs}, entry.kind)
        self._core = core = wrap(self._core, entry)
        self._asgi.app = core.asgi()
        self._wsgi.app = wsgi = core.wsgi()
        self._wsgi.children = started_with(core, wsgi)

    def _stack(self, app: Any, middleware: Iterable[Any]) -> Stack:
        self._check_open()
        app = TwoFaced.of(app) or app  # a site's face stands for the site
        if self in _sites_in(app):
            raise ConfigurationError("app: a site cannot be mounted in itself")
        entries = list(middleware)
        for mount in self._router.mounts:
            if not entries and mount.stack.app is app:
                return mount.stack  # the same app again: it has one pool, and starts once
        if isinstance(app, Stack) and not entries:
            return app
        return Stack(app, entries)

    def _check_open(self) -> None:
        if self._started:
            raise ConfigurationError(
                "the site has started: mount apps and use middleware before it serves its first request"
            )

    # ------------------------------------------------------------ looking at it

    def routes(self) -> list[Route]:
        """List every route of every app, in the order of the mounts, with the app that owns it.

        Flask, Django, FastAPI and Starlette tell theirs; any other app is one route, which owns all below it.
        """
        found: list[Route] = []
        for mount in self._router.mounts:
            found += routes_of(mount.stack, mount.prefix, mount.host, keep=mount.keep)
        return found

    # ------------------------------------------------------------ lifecycle of the WSGI face

    def start(self) -> None:
        """Start the lifespans of all apps for the WSGI face, once; the first request does it otherwise.

        Raises:
            LifespanFailed: an app did not start; those before it have been closed.
        """
        self._wsgi.start()

    def close(self) -> None:
        """Close what `start()` or the first request has started, the last first; blocks until it is done."""
        self._wsgi.close()

    def _begin(self) -> None:
        self._started = True


def _sites_in(app: Any) -> set[Site]:
    while isinstance(app, Stack):
        app = app.app
    if not isinstance(app, Site):
        return set()
    return {app}.union(*(_sites_in(mount.stack) for mount in app._router.mounts))


class _ASGIFace:
    def __init__(self, site: Site, app: ASGIApp) -> None:
        self.whole = site
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.whole._begin()
        await self.app(scope, receive, send)


class _WSGIFace(StartOnce):
    def __init__(self, site: Site, app: WSGIApp, children: Iterable[Any]) -> None:
        super().__init__(list(children))
        self.whole = site
        self.app = app

    def start(self) -> None:
        self.whole._begin()
        super().start()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # What an ASGI app set in the request before is left in the server's thread, for middleware to see;
        # the next request may be for a WSGI app, which has no adapter to take it away (SEC-31).
        forget_changes()
        if not self.started:
            self.start()
        return self.app(environ, start_response)
