"""Sites with a native route and a slow app of the other kind, whose calls stay until `/open` is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import Environ, Receive, Scope, Send, StartResponse

THREADS, BACKLOG = 10, 20
CONCURRENCY = 3
QUEUE_TIMEOUT = 0.2

_opened = threading.Event()


def _legacy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _opened.wait(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"legacy"]


_bridged = WSGIToASGI(_legacy, threads=THREADS, backlog=BACKLOG)
_impatient = WSGIToASGI(_legacy, threads=1, queue_timeout=QUEUE_TIMEOUT)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] == "/legacy":
        await _bridged(scope, receive, send)
        return
    if scope["path"] == "/impatient":
        await _impatient(scope, receive, send)
        return
    if scope["path"] == "/open":
        _opened.set()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"native"})


async def _slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.to_thread(_opened.wait, 60)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"slow"})


_slow_bridged = ASGIToWSGI(_slow, lifespan="off", max_concurrency=CONCURRENCY)


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Serve the slow ASGI app beside native routes."""
    if environ["PATH_INFO"] == "/slow":
        return _slow_bridged(environ, start_response)
    if environ["PATH_INFO"] == "/open":
        _opened.set()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"native"]
