"""Middleware of both kinds that does nothing but tell, and a probe that counts crossings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from bridge import ASGIToWSGI, WSGIToASGI
from bridge._protocol.kind import Side
from bridge.types import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp

way: ContextVar[str] = ContextVar("way", default="")
"""Each layer adds its name on the way in."""

back: ContextVar[str] = ContextVar("back", default="")
"""Each layer adds its name as soon as the app has set it, on the way out."""


class ASGILayer:
    """Tells its name on both ways, and what passes as an exception."""

    def __init__(self, app: ASGIApp, name: str = "a", seen: list[Any] | None = None) -> None:
        self.app = app
        self.name = name
        self.seen = [] if seen is None else seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        way.set(way.get() + self.name)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-layer", self.name.encode())]
            await send(message)

        try:
            await self.app(scope, receive, told)
        except BaseException as exc:
            self.seen.append((self.name, exc))
            raise
        self.seen.append((self.name, back.get()))


class WSGILayer:
    """The same for WSGI."""

    def __init__(self, app: WSGIApp, name: str = "w", seen: list[Any] | None = None) -> None:
        self.app = app
        self.name = name
        self.seen = [] if seen is None else seen

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        way.set(way.get() + self.name)

        def told(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            return start_response(status, [*headers, ("X-Layer", self.name)], exc_info)

        try:
            blocks = self.app(environ, told)
        except BaseException as exc:
            self.seen.append((self.name, exc))
            raise
        return _Blocks(self, blocks)


class _Blocks:
    def __init__(self, layer: WSGILayer, blocks: Iterable[bytes]) -> None:
        self._layer = layer
        self._blocks = blocks
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._blocks)
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException as exc:
            self._layer.seen.append((self._layer.name, exc))
            raise

    def close(self) -> None:
        getattr(self._blocks, "close", lambda: None)()
        self._layer.seen.append((self._layer.name, back.get()))


class WSGITold:
    """An app that answers with the way of the request, or raises; `/stream` goes on until it is told."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.go_on = threading.Event()
        self.closed = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        back.set("told")
        if self.failure is not None:
            raise self.failure
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._stream() if environ["PATH_INFO"] == "/stream" else [way.get().encode()]

    def _stream(self) -> Iterator[bytes]:
        try:
            yield b"first"
            while not self.go_on.wait(0.02):
                yield b"more"
            yield b"last"
        finally:
            self.closed.set()


class ASGITold:
    """The same for ASGI."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.go_on = threading.Event()
        self.closed = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("no lifespan here")
        back.set("told")
        if self.failure is not None:
            raise self.failure
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/stream":
            await self._stream(send)
        else:
            await send({"type": "http.response.body", "body": way.get().encode()})

    async def _stream(self, send: Send) -> None:
        try:
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            while not self.go_on.is_set():
                await asyncio.sleep(0.02)
                await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await send({"type": "http.response.body", "body": b"last"})
        finally:
            self.closed.set()


LAYERS: dict[Side, Callable[..., Any]] = {"asgi": ASGILayer, "wsgi": WSGILayer}
APPS: dict[Side, Callable[..., Any]] = {"asgi": ASGITold, "wsgi": WSGITold}


class Probe:
    """Counts the calls of the adapters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crossings: list[str] = []
        to_asgi, to_wsgi = WSGIToASGI.__call__, ASGIToWSGI.__call__

        async def counted_asgi(adapter: WSGIToASGI, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.crossings.append("WSGIToASGI")
            await to_asgi(adapter, scope, receive, send)

        def counted_wsgi(
            adapter: ASGIToWSGI, environ: Environ, start_response: StartResponse
        ) -> Iterable[bytes]:
            self.crossings.append("ASGIToWSGI")
            return to_wsgi(adapter, environ, start_response)

        monkeypatch.setattr(WSGIToASGI, "__call__", counted_asgi)
        monkeypatch.setattr(ASGIToWSGI, "__call__", counted_wsgi)
