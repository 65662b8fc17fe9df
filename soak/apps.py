"""What is served: a Flask and a FastAPI app that answer the same paths, each across the bridge.

| path | answers |
|---|---|
| `/hello?seed=` | `payload(seed, 200)` |
| `/down?seed=&size=` | `payload(seed, size)` in one piece |
| `/stream?seed=&blocks=` | `block(seed, n)` for each n |
| `/up` | length and SHA-256 of the body |
| `/slow` | after a tenth of a second |
| `/fail`, `/late` | raise, before or in the middle of the response |
| `/ws` | each message, sent back |
| `/held` | what the process holds: tasks of the loop, and `bridge.stats()` |
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from flask import Flask, request
from flask import Response as FlaskResponse
from flask_sock import Sock

import bridge
from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import ASGIApp, Receive, Scope, Send, WSGIApp

THREADS = 16
SLOW_SECONDS = 0.1
BLOCK_BYTES = 1024
LATE_BLOCKS = 3


def payload(seed: int, size: int) -> bytes:
    """Make a body that only its seed gives."""
    return random.Random(seed).randbytes(size)


def block(seed: int, number: int) -> bytes:
    """Make one block of a stream."""
    return f"{seed}:{number}".encode().ljust(BLOCK_BYTES, b".")


def digest(length: int, sha256: str) -> bytes:
    """Say what was received."""
    return f"{length} {sha256}".encode()


def held() -> dict[str, Any]:
    """Tell what the process holds; called on the loop."""
    return {"tasks": len(asyncio.all_tasks()), "adapters": [asdict(stats) for stats in bridge.stats()]}


def flask_app() -> WSGIApp:
    """Make the Flask app."""
    app = Flask("soak")
    app.config["PROPAGATE_EXCEPTIONS"] = True  # the bridge is to see them
    sock = Sock(app)

    def number(name: str) -> int:
        return int(request.args[name])

    @app.get("/hello")
    def hello() -> bytes:
        return payload(number("seed"), 200)

    @app.get("/down")
    def down() -> bytes:
        return payload(number("seed"), number("size"))

    @app.get("/stream")
    def stream() -> FlaskResponse:
        seed, blocks = number("seed"), number("blocks")
        return FlaskResponse(block(seed, n) for n in range(blocks))

    @app.post("/up")
    def up() -> bytes:
        length, sha256 = 0, hashlib.sha256()
        while data := request.stream.read(65536):
            length += len(data)
            sha256.update(data)
        return digest(length, sha256.hexdigest())

    @app.get("/slow")
    def slow() -> bytes:
        time.sleep(SLOW_SECONDS)
        return b"slow"

    @app.get("/fail")
    def fail() -> bytes:
        raise ValueError("on purpose")

    @app.get("/late")
    def late() -> FlaskResponse:
        def blocks() -> Iterator[bytes]:
            for n in range(LATE_BLOCKS):
                yield block(0, n)
            raise ValueError("on purpose")

        return FlaskResponse(blocks())

    @sock.route("/ws")  # type: ignore[untyped-decorator]
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    wsgi: WSGIApp = app
    return wsgi


def fastapi_app() -> ASGIApp:
    """Make the FastAPI app."""
    app = FastAPI()

    @app.get("/hello")
    async def hello(seed: int) -> Response:
        return Response(payload(seed, 200))

    @app.get("/down")
    async def down(seed: int, size: int) -> Response:
        return Response(payload(seed, size))

    @app.get("/stream")
    async def stream(seed: int, blocks: int) -> StreamingResponse:
        async def made() -> AsyncIterator[bytes]:
            for n in range(blocks):
                yield block(seed, n)

        return StreamingResponse(made())

    @app.post("/up")
    async def up(request: Request) -> Response:
        length, sha256 = 0, hashlib.sha256()
        async for data in request.stream():
            length += len(data)
            sha256.update(data)
        return Response(digest(length, sha256.hexdigest()))

    @app.get("/slow")
    async def slow() -> Response:
        await asyncio.sleep(SLOW_SECONDS)
        return Response(b"slow")

    @app.get("/fail")
    async def fail() -> Response:
        raise ValueError("on purpose")

    @app.get("/late")
    async def late() -> StreamingResponse:
        async def made() -> AsyncIterator[bytes]:
            for n in range(LATE_BLOCKS):
                yield block(0, n)
            raise ValueError("on purpose")

        return StreamingResponse(made())

    @app.websocket("/ws")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await ws.send_text(await ws.receive_text())

    @app.get("/held")
    async def held_now() -> dict[str, Any]:
        return held()

    asgi: ASGIApp = app
    return asgi


def bridged_flask() -> ASGIApp:
    """Make what uvicorn serves: `/held` on its loop, all else by Flask in threads."""
    adapter = WSGIToASGI(flask_app(), threads=THREADS, websocket=True, measure=True, name="soak")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/held":
            await adapter(scope, receive, send)
            return
        body = json.dumps(held()).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def bridged_fastapi() -> WSGIApp:
    """Make what gunicorn serves."""
    return ASGIToWSGI(fastapi_app(), measure=True, name="soak")
