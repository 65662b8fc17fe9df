"""The two views of a mounted app: one for Django's WSGI handler, one for its ASGI handler."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf

from bridge._protocol.paths import native_from_text
from bridge._runtime.asgi_call import ASGICall
from bridge.integrations.django._answer import streamed, whole
from bridge.integrations.django._lifespan import LoopLifespan
from bridge.integrations.django._login import csrf_failure, load_user
from bridge.integrations.django._request import current_request
from bridge.integrations.django._wsgi_call import call_wsgi
from bridge.types import ASGIApp, Environ, Scope, WSGIApp

__all__ = ["Mounted"]

_READ_BYTES = 64 * 1024


class Mounted:
    """An app with its faces of both kinds, and the views that serve it.

    Args:
        wsgi: its face for the WSGI handler.
        asgi: its face for the ASGI handler.
        csrf: whether to check unsafe requests of a user who is logged in.

    Attributes:
        app: one of the faces.
    """

    def __init__(self, wsgi: WSGIApp, asgi: ASGIApp, *, csrf: bool) -> None:
        self.app = asgi
        self.csrf = csrf
        self._wsgi = wsgi
        self._asgi = asgi
        self.lifespan = LoopLifespan(asgi)
        self.view = _view(self._serve)
        self.async_view = _async_view(self._serve_async)

    # ------------------------------------------------------------ under the WSGI handler

    def _serve(self, request: HttpRequest, path: str, **captured: Any) -> HttpResponse:
        root, rest = _split(request, path)
        if (refusal := self._admit(request)) is not None:
            return refusal
        environ: Environ = {
            **request.environ,
            "SCRIPT_NAME": native_from_text(request.META["SCRIPT_NAME"].rstrip("/") + root),
            "PATH_INFO": native_from_text(rest),
        }
        if request._read_started:
            environ["wsgi.input"] = io.BytesIO(_body_read(request))
        request.bridge_captured = captured
        current_request.set(request)
        prefix, urlconf = get_script_prefix(), get_urlconf()
        try:
            status, headers, blocks = call_wsgi(self._wsgi, environ)
        finally:  # a Django inside has set its own in this thread
            set_script_prefix(prefix)
            set_urlconf(urlconf)
        if isinstance(blocks, list):
            return whole(status, headers, b"".join(blocks))
        return streamed(status, headers, blocks)

    def _admit(self, request: HttpRequest) -> HttpResponse | None:
        user = load_user(request)
        request.csrf_processing_done = not self.csrf  # for django_user(), which asks for the token too
        return csrf_failure(request) if self.csrf and user is not None else None

    # ------------------------------------------------------------ under the ASGI handler

    async def _serve_async(self, request: HttpRequest, path: str, **captured: Any) -> HttpResponse:
        root, rest = _split(request, path)
        refusal = await sync_to_async(self._admit)(request)
        if refusal is not None:
            return refusal
        request.bridge_captured = captured
        state = await self.lifespan.start()
        script: str = request.META["SCRIPT_NAME"].rstrip("/") + root
        scope: Scope = {
            **request.scope,
            "asgi": {"version": "3.0", "spec_version": "2.4"},  # ASGICall's, whatever the server's
            "root_path": script,
            "path": script + rest,
            "query_string": _raw(request.scope["query_string"]),
            "state": state,
        }
        if scope["path"] != request.scope["path"]:  # FORCE_SCRIPT_NAME
            scope.pop("raw_path", None)
        current_request.set(request)
        call = ASGICall(self._asgi, scope, _reader(request))
        head, block, more = await call.start()
        if not more:
            return whole(head.status, head.headers, block)
        return streamed(head.status, head.headers, _Blocks(call, block))


class _Blocks:
    """The blocks of a response under the ASGI handler, which closes them from another thread."""

    def __init__(self, call: ASGICall, first: bytes) -> None:
        self._call = call
        self._first = first
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        async for block in self._call.blocks():
            yield block

    def close(self) -> None:
        """Tell the app that its client has left, if the response is not complete."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call.leave)


def _view(serve: Callable[..., HttpResponse]) -> Any:
    """Make a function of a bound method: Django sets attributes on views."""

    def view(request: HttpRequest, **captured: Any) -> HttpResponse:
        return serve(request, **captured)

    return _marked(view)


def _async_view(serve: Callable[..., Awaitable[HttpResponse]]) -> Any:
    async def view(request: HttpRequest, **captured: Any) -> HttpResponse:
        return await serve(request, **captured)

    return _marked(view)


def _marked(view: Any) -> Any:
    view.csrf_exempt = True  # or the middleware would read the form, which the app then misses
    # The app's work is not Django's: no transaction around it, and none can be around an async view.
    view._non_atomic_requests = set(connections)
    return view


def _split(request: HttpRequest, tail: str) -> tuple[str, str]:
    """Split the path of a request where the app is mounted.

    Returns:
        The prefix without trailing slash, and the rest with a leading one.

    Raises:
        Http404: the route ends within a segment ("api" and a request of "/apix").
    """
    path: str = request.path_info
    prefix = path[: len(path) - len(tail)]
    if prefix.endswith("/"):
        return prefix[:-1], "/" + tail
    if tail and not tail.startswith("/"):
        raise Http404
    return prefix, tail


def _raw(query: bytes | str) -> bytes:
    """Django's AsyncClient gives a str (5.2), where ASGI has bytes."""
    return query.encode("latin-1") if isinstance(query, str) else query


def _body_read(request: HttpRequest) -> bytes:
    try:
        body: bytes = request.body
    except RawPostDataException as exc:
        raise ImproperlyConfigured(
            "a middleware has read the uploaded form (request.POST) before the mounted app could; let it "
            "read request.body first, or leave the mounted paths alone"
        ) from exc
    return body


def _reader(request: HttpRequest) -> Any:
    """Give a coroutine function that reads what the ASGI handler has kept of the request body."""
    stream = io.BytesIO(_body_read(request)) if request._read_started else request._stream

    async def read() -> tuple[bytes, bool]:
        # A large body lies on the disk (FILE_UPLOAD_MAX_MEMORY_SIZE).
        on_disk = getattr(stream, "_rolled", False)
        block = await asyncio.to_thread(stream.read, _READ_BYTES) if on_disk else stream.read(_READ_BYTES)
        return block, len(block) == _READ_BYTES

    return read
