"""A site with a native route and a slow legacy app, whose calls stay until `/open` is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from bridge import WSGIToASGI
from bridge.types import Environ, Receive, Scope, Send, StartResponse

THREADS, BACKLOG = 10, 20

_opened = threading.Event()


def _legacy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _opened.wait(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"legacy"]


_bridged = WSGIToASGI(_legacy, threads=THREADS, backlog=BACKLOG)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] == "/legacy":
        await _bridged(scope, receive, send)
        return
    if scope["path"] == "/open":
        _opened.set()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"native"})
