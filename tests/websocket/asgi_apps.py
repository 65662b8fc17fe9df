"""A FastAPI app with WebSockets, and a bare ASGI app, as WSGI."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import psutil
from fastapi import FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bridge import ASGIToWSGI, Limits
from bridge.types import Receive, Scope, Send

MAX_MESSAGE_BYTES = 2 * 1024 * 1024

api = FastAPI()
events: list[str] = []


@api.get("/")
def index() -> str:
    return "hello"


@api.get("/census")
async def census() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "fds": process.num_fds(),
        "threads": threading.active_count(),
        "os_threads": process.num_threads(),
        "tasks": len(asyncio.all_tasks()),
        "sockets": len(app._websockets),
        "rss": process.memory_info().rss,
        "pid": os.getpid(),
    }


@api.get("/events")
def seen() -> list[str]:
    return events


@api.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    while True:
        message = await ws.receive()
        if message["type"] == "websocket.disconnect":
            events.append(f"{message['code']} {message.get('reason')}")
            return
        if message.get("text") is not None:
            await ws.send_text(message["text"])
        else:
            await ws.send_bytes(message["bytes"])


@api.websocket("/scope")
async def scope_of(ws: WebSocket) -> None:
    await ws.accept(subprotocol=ws.scope["subprotocols"][-1], headers=[(b"x-one", b"1"), (b"x-two", b"2")])
    wanted = (
        "type",
        "scheme",
        "path",
        "root_path",
        "subprotocols",
        "http_version",
        "extensions",
        "asgi",
        "state",
    )
    await ws.send_json({key: ws.scope.get(key) for key in wanted})
    await ws.close()


@api.websocket("/late")
async def late(ws: WebSocket) -> None:
    await asyncio.sleep(0.5)
    await ws.accept()
    await ws.send_text("accepted")


@api.websocket("/refuse")
async def refuse(ws: WebSocket) -> None:
    await ws.close()


@api.websocket("/denied")
async def denied(ws: WebSocket) -> None:
    await ws.send_denial_response(PlainTextResponse("log in first", 401, {"x-reason": "no session"}))


@api.websocket("/close/{code}/{reason}")
async def close(ws: WebSocket, code: int, reason: str) -> None:
    await ws.accept()
    await ws.close(code, reason)


@api.websocket("/returns")
async def returns(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("bye")


@api.websocket("/fails")
async def fails(ws: WebSocket) -> None:
    raise ValueError("raised before accept")


@api.websocket("/raises")
async def raises(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("about to fail")
    raise ValueError("raised after accept")


@api.websocket("/flood")
async def flood(ws: WebSocket) -> None:
    await ws.accept()
    for _ in range(400):
        await ws.send_bytes(b"x" * 1_000_000)


@api.websocket("/deaf")
async def deaf(ws: WebSocket) -> None:
    await ws.accept()
    await asyncio.sleep(30)


@api.websocket("/sends-on")
async def sends_on(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text("tick")
            await asyncio.sleep(0.01)
    except Exception as exc:
        events.append(f"send raised {type(exc.__cause__ or exc.__context__ or exc).__name__}")


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    await api(scope, receive, send)


app = ASGIToWSGI(api, limits=Limits(max_message_bytes=MAX_MESSAGE_BYTES), shutdown_timeout=10.0)
mounted = DispatcherMiddleware(app, {"/api": app})
two = ASGIToWSGI(api, max_websockets=2, websocket_origins=["https://good.example"])
impatient = ASGIToWSGI(api, websocket_ping_interval=0.3)
