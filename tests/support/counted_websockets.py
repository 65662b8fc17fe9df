"""Apps of both kinds that say how many WebSockets their adapter has open."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import FastAPI, WebSocket
from flask import Flask
from flask_sock import Sock

import bridge
from bridge import ASGIToWSGI, WSGIToASGI


def count() -> str:
    return str(sum(stats.websockets for stats in bridge.stats()))


flask = Flask(__name__)
sock = Sock(flask)


@flask.get("/")
def page() -> str:
    return count()


@sock.route("/ws")  # type: ignore[untyped-decorator]
def serve_in_a_thread(ws: Any) -> None:
    while True:
        ws.receive()
        ws.send(f"{count()} in {threading.current_thread().name}")


fastapi = FastAPI()


@fastapi.get("/")
async def endpoint() -> int:
    return int(count())


@fastapi.websocket("/ws")
async def serve_on_the_loop(ws: WebSocket) -> None:
    await ws.accept()
    async for said in ws.iter_text():
        await ws.send_text(count())
        if said == "fail":
            raise ValueError("on purpose")


wsgi_as_asgi = WSGIToASGI(flask, websocket=True, name="shop")
asgi_as_wsgi = ASGIToWSGI(fastapi, name="shop")
