"""What is served over real servers: one app of each kind, which answer the same paths.

| path | does |
|---|---|
| `/quick` | answers at once |
| `/endless` | streams until it is ended, and counts itself as open |
| `/large` | gives 8 MiB in one piece |
| `/many` | streams 64 MiB, as fast as it may |
| `/slow` | answers after half a second |
| `/before`, `/middle`, `/exit` | raise: before the response, in the middle of it, SystemExit |
| `/silent` | ends without a response |
| `/up` | reads the body, and notes whether it came to an end or to an error |
| `/background` | goes on for three seconds after its response, where its protocol allows that |
| `/noted` | what is open, and what was noted |
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp
from robustness.contestants import bridged
from soak.apps import fastapi_app, flask_app

LARGE_BYTES = 8 * 2**20
BLOCK = b"x" * 65536
MANY_BLOCKS = 1024
SLOW_SECONDS = 0.5
BACKGROUND_SECONDS = 3.0

_noted: dict[str, Any] = {"open": 0, "upload": "nothing"}


def new_block() -> bytes:
    """Make a block of its own, written to: pages that nobody has touched would not count as memory."""
    return b"x" * len(BLOCK)


def _report() -> bytes:
    return json.dumps({**_noted, "pid": os.getpid()}).encode()


# ------------------------------------------------------------ WSGI


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/before":
        raise ValueError("on purpose")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/silent":
        return []
    if path == "/slow":
        time.sleep(SLOW_SECONDS)
    if path == "/up":
        _noted["upload"] = "cut"
        try:
            while environ["wsgi.input"].read(65536):
                pass
        except Exception:
            _noted["upload"] = "error"
            raise
        _noted["upload"] = "whole"
    start_response("200 OK", headers)
    if path == "/endless":
        return _endless()
    if path == "/middle":
        return _middle()
    if path == "/large":
        return [b"x" * LARGE_BYTES]
    if path == "/many":
        return (new_block() for _ in range(MANY_BLOCKS))
    return [_report() if path == "/noted" else b"ok"]


def _endless() -> Iterator[bytes]:
    _noted["open"] += 1
    try:
        while True:
            yield BLOCK[:1024]
            time.sleep(0.01)  # what it streams comes bit by bit
    finally:
        _noted["open"] -= 1


def _middle() -> Iterator[bytes]:
    yield b"begun"
    raise ValueError("on purpose")


# ------------------------------------------------------------ ASGI


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError("http only")
    path = scope["path"]
    if path == "/before":
        raise ValueError("on purpose")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/silent":
        return
    if path == "/slow":
        await asyncio.sleep(SLOW_SECONDS)
    if path == "/up":
        await _read(receive)
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/endless":
        await _send_endless(send)
    elif path == "/many":
        for _ in range(MANY_BLOCKS):
            await send({"type": "http.response.body", "body": new_block(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/middle":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise ValueError("on purpose")
    else:
        body = {"/noted": _report(), "/large": b"x" * LARGE_BYTES}.get(path, b"ok")
        await send({"type": "http.response.body", "body": body})
    if path == "/background":
        await asyncio.sleep(BACKGROUND_SECONDS)


async def _read(receive: Receive) -> None:
    _noted["upload"] = "cut"
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            _noted["upload"] = "error"
            raise OSError("cut short")
        more = message.get("more_body", False)
    _noted["upload"] = "whole"


async def _send_endless(send: Send) -> None:
    _noted["open"] += 1
    try:
        while True:
            await send({"type": "http.response.body", "body": BLOCK[:1024], "more_body": True})
            await asyncio.sleep(0.01)
    finally:
        _noted["open"] -= 1


# ------------------------------------------------------------ as the servers take them


def served_asgi() -> ASGIApp:
    """Bridge the WSGI app by the contestant that BRIDGE_CONTESTANT names; `/native` is beside it."""
    inner: ASGIApp = bridged("wsgi_to_asgi", os.environ["BRIDGE_CONTESTANT"], wsgi_app)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/native", "/noted"):
            body = _report() if scope["path"] == "/noted" else b"ok"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        elif scope["type"] != "lifespan":
            await inner(scope, receive, send)

    return app


def soaked_asgi() -> ASGIApp:
    """Bridge the Flask app of the soak."""
    app: ASGIApp = bridged("wsgi_to_asgi", os.environ["BRIDGE_CONTESTANT"], flask_app())
    return app


def soaked_wsgi() -> WSGIApp:
    """Bridge the FastAPI app of the soak."""
    app: WSGIApp = bridged("asgi_to_wsgi", os.environ["BRIDGE_CONTESTANT"], fastapi_app())
    return app


def served_wsgi() -> WSGIApp:
    """Bridge the ASGI app by the contestant that BRIDGE_CONTESTANT names; `/native` is beside it."""
    inner: WSGIApp = bridged("asgi_to_wsgi", os.environ["BRIDGE_CONTESTANT"], asgi_app)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ("/native", "/noted"):
            start_response("200 OK", [])
            return [_report() if environ["PATH_INFO"] == "/noted" else b"ok"]
        return inner(environ, start_response)

    return app
