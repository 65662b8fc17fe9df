"""Finds the mount of a request and calls it: once for each protocol, over the same mounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bridge._protocol.hosts import HostTable, host_name
from bridge._protocol.mounts import (
    MountTable,
    child_environ,
    child_scope,
    native_borders,
    slash_location,
    text_borders,
)
from bridge._protocol.not_found import not_found
from bridge._protocol.paths import native_from_text, split_prefix, text_from_native, trim_prefix
from bridge._runtime.fanout import StartOnce, answer_lifespan, running_lifespans
from bridge.adapt import TwoFaced
from bridge.stack import Stack
from bridge.types import Environ, Receive, Scope, Send, StartResponse

__all__ = ["Mount", "Router"]

_TEMPORARY_REDIRECT = 307  # as Starlette's router: the method and the body stay, and no browser remembers it


@dataclass(frozen=True, slots=True)
class Mount:
    """One app of a site.

    Attributes:
        host: a pattern; None for any host.
        prefix: text, in the form of `check_prefix`.
        keep: whether the app sees the path with the prefix, as its own.
        stack: the app in its middleware.
    """

    host: str | None
    prefix: str
    keep: bool
    stack: Stack


class Router(TwoFaced):
    """The mounts of one site.

    Args:
        redirect_slashes: see `Site`.
        startup_timeout: see `Site`.
        shutdown_timeout: see `Site`.

    Attributes:
        mounts: in the order of their coming.
    """

    def __init__(
        self, *, redirect_slashes: bool, startup_timeout: float | None, shutdown_timeout: float | None
    ) -> None:
        self.mounts: list[Mount] = []
        self.hosts: HostTable[Mount] = HostTable()
        self.texts: MountTable[Mount] = MountTable()
        self.natives: MountTable[Mount] = MountTable()
        self.redirect_slashes = redirect_slashes
        self.startup_timeout = startup_timeout
        self.shutdown_timeout = shutdown_timeout
        self._asgi = _ASGIRouter(self)
        self._wsgi = _WSGIRouter(self)

    @property
    def asgi(self) -> _ASGIRouter:
        """The mounts for ASGI requests."""
        return self._asgi

    @property
    def wsgi(self) -> _WSGIRouter:
        """The mounts for WSGI requests."""
        return self._wsgi

    def add(self, mount: Mount, exclude: Iterable[str] = ()) -> None:
        """Add a mount.

        Raises:
            ConfigurationError: its place is taken.
        """
        if mount.host is not None:
            self.hosts.add(mount.host, mount, exclude)
        else:
            self.texts.add(mount.prefix, mount)
            self.natives.add(native_from_text(mount.prefix), mount)
        self.mounts.append(mount)

    def stacks(self) -> list[Stack]:
        """Give each stack once, however often it is mounted."""
        return list({id(mount.stack): mount.stack for mount in self.mounts}.values())


class _ASGIRouter:
    def __init__(self, router: Router) -> None:
        self._router = router
        self._states: dict[int, dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._router.hosts and not isinstance(scope["headers"], list):
            scope = {
                **scope,
                "headers": list(scope["headers"]),
            }  # a generator: the app reads it again (AA-10)
        mount, prefix, rest = self._find(scope)
        if mount is None:
            await _answer_not_found(scope, send)
        elif not rest and prefix and self._router.redirect_slashes and scope["type"] == "http":
            await _redirect(scope, send)
        else:
            app = mount.stack.asgi
            state = self._states.get(id(app))
            if prefix or state or "router" in scope:
                scope = child_scope(scope, prefix, state)
            await app(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[Mount | None, str, str]:
        """Give the mount, the prefix that it takes off, and what that leaves of the path."""
        router = self._router
        if router.hosts:
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            mount = router.hosts.find(host_name(host.decode("latin-1")))
            if mount is not None:
                return mount, "", "/"
        path = text_borders(scope["path"], scope.get("raw_path"))
        root = trim_prefix(scope.get("root_path") or "")
        if root and split_prefix(scope["path"], root) is not None:
            path = path[len(root) :]
        return _taken(router.texts.find(path), path)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        router = self._router
        lifespans = running_lifespans(
            [stack.asgi for stack in router.stacks()],
            startup_timeout=router.startup_timeout,
            shutdown_timeout=router.shutdown_timeout,
        )
        await answer_lifespan(lifespans, receive, send, self._keep)

    def _keep(self, states: dict[int, dict[str, Any]]) -> None:
        self._states = states


class _WSGIRouter(StartOnce):
    def __init__(self, router: Router) -> None:
        super().__init__([])
        self._router = router

    def start(self) -> None:
        """Start the lifespans of all apps that have one."""
        self.children = self._router.stacks()
        super().start()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        mount, prefix, rest = self._find(environ)
        if mount is None:
            return _wsgi_not_found(environ, start_response)
        if not rest and prefix and self._router.redirect_slashes and "HTTP_UPGRADE" not in environ:
            return _wsgi_redirect(environ, start_response)
        if prefix:
            environ = child_environ(environ, prefix)
        return mount.stack.wsgi(environ, start_response)

    def _find(self, environ: Environ) -> tuple[Mount | None, str, str]:
        router = self._router
        if router.hosts:
            mount = router.hosts.find(host_name(environ.get("HTTP_HOST") or ""))
            if mount is not None:
                return mount, "", "/"
        uri = environ.get("REQUEST_URI") or environ.get("RAW_URI")
        path = native_borders(environ.get("SCRIPT_NAME") or "", environ.get("PATH_INFO") or "", uri)
        return _taken(router.natives.find(path), path)


def _taken(found: tuple[str, Mount] | None, path: str) -> tuple[Mount | None, str, str]:
    if found is None:
        return None, "", path
    prefix, mount = found
    return (mount, "", path) if mount.keep else (mount, prefix, path[len(prefix) :])


# ------------------------------------------------------------ answers of the site itself


async def _answer_not_found(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})  # before it is accepted: a 403
        return
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    content_type, body = not_found(accept.decode("latin-1"))
    headers = [
        (b"content-type", content_type.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
        (b"vary", b"accept"),
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _wsgi_not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    content_type, body = not_found(environ.get("HTTP_ACCEPT") or "")
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Vary", "Accept")]
    start_response("404 Not Found", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


async def _redirect(scope: Scope, send: Send) -> None:
    root = trim_prefix(scope.get("root_path") or "")
    path = scope["path"] if split_prefix(scope["path"], root) is not None else root + scope["path"]
    location = slash_location(path, (scope.get("query_string") or b"").decode("latin-1"))
    headers = [(b"location", location.encode("ascii")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": _TEMPORARY_REDIRECT, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _wsgi_redirect(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = text_from_native(trim_prefix(environ.get("SCRIPT_NAME") or "") + environ["PATH_INFO"])
    location = slash_location(path, environ.get("QUERY_STRING") or "")
    start_response("307 Temporary Redirect", [("Location", location), ("Content-Length", "0")])
    return []
