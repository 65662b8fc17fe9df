"""A site whose apps tell what they are asked, and when they start and stop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from flask import Flask, request
from flask_sock import Sock
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.websockets import WebSocket
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge import Site, WSGIToASGI, wsgi
from bridge.types import Environ, Receive, Scope, Send, StartResponse


def wsgi_app(name: str) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]

    return app


def living(name: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        print(f"{name} up {os.getpid()}", flush=True)
        yield {"name": name}
        print(f"{name} down {os.getpid()}", flush=True)

    def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.state.name} {request.scope['root_path']} {request.url.path}")

    return Starlette(routes=[Route("/{rest:path}", show)], lifespan=lifespan)


async def echo_anywhere(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        raise ValueError("only WebSockets here")
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    await websocket.send_text(f"{websocket.scope['root_path']} {await websocket.receive_text()}")
    await websocket.close()


sock_app = Flask("sock")


@Sock(sock_app).route("/echo")  # type: ignore[untyped-decorator]
def flask_echo(ws: Any) -> None:
    ws.send(f"{request.script_root} {ws.receive()}")


inner = Site()
inner.mount("/", living("inner"))
inner.mount("/deep", wsgi_app("deep"))

site = Site()
site.mount("/", wsgi_app("root"))
site.mount("/legacy", wsgi_app("legacy"))
site.mount("/api", living("api"))
site.mount("/inner", inner)
site.mount("/ws", echo_anywhere)
site.mount("/sock", WSGIToASGI(sock_app, websocket=True))
site.host("other.test", living("host"), middleware=[wsgi(ProxyFix, x_for=1)])

app = site.asgi
application = site.wsgi
