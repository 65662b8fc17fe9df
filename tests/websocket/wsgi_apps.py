# mypy: disable-error-code=untyped-decorator
"""A Flask app with flask-sock, Flask-SocketIO and a plain simple-websocket app, unchanged, as ASGI."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import flask
import flask_sock
import flask_socketio
import psutil
import simple_websocket
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bridge import ASGIToWSGI, Limits, WSGIToASGI
from bridge._protocol.handshake import accept_key
from bridge.types import Environ, StartResponse
from tests.websocket import asgi_apps

MAX_MESSAGE_BYTES = 2 * 1024 * 1024

flask_app = flask.Flask(__name__)
flask_app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["chat.v2", "chat.v1"]}
sock = flask_sock.Sock(flask_app)
socketio = flask_socketio.SocketIO(flask_app, async_mode="threading", cors_allowed_origins="*")


@flask_app.get("/")
def index() -> str:
    return "hello"


@flask_app.get("/census")
def census() -> dict[str, Any]:
    """What could leak; the threads of HTTP itself are left out."""
    process = psutil.Process()
    threads = [t.name for t in threading.enumerate()]
    return {
        "fds": process.num_fds(),
        "websocket_jobs": sum(name.startswith("bridge-ws-") for name in threads),
        "os_threads": process.num_threads(),
        "tasks": sum(isinstance(found, asyncio.Task) and not found.done() for found in gc.get_objects()),
        "sockets": app.stats().websockets,
        "readers": sum("simple_websocket" in name for name in threads),
        "rss": process.memory_info().rss,
        "pid": os.getpid(),
    }


@sock.route("/echo")
def echo(ws: Any) -> None:
    while True:
        ws.send(ws.receive())


@sock.route("/subprotocol")
def subprotocol(ws: Any) -> None:
    ws.send(str(ws.subprotocol))


@sock.route("/close/<int:code>/<reason>")
def close(ws: Any, code: int, reason: str) -> None:
    ws.close(code, reason)


closes: list[str] = []


@sock.route("/last-close")
def last_close(ws: Any) -> None:
    ws.send("ready")
    try:
        ws.receive()
    except simple_websocket.ConnectionClosed as closed:
        closes.append(f"{int(closed.reason)} {closed.message}")


@flask_app.get("/last-close-seen")
def last_close_seen() -> str:
    return closes[-1] if closes else ""


@sock.route("/returns")
def returns(ws: Any) -> None:
    ws.send("bye")


@sock.route("/raises")
def raises(ws: Any) -> None:
    ws.send("about to fail")
    raise ValueError("raised after accept")


@sock.route("/flood/<int:count>/<int:size>")
def flood(ws: Any, count: int, size: int) -> None:
    block = b"x" * size
    for _ in range(count):
        ws.send(block)


@sock.route("/slow")
def slow(ws: Any) -> None:
    while ws.receive() is not None:
        time.sleep(0.2)


@flask_app.route("/denied", websocket=True)
def denied() -> Any:
    return flask.Response("log in first", 401, {"X-Reason": "no session"})


@flask_app.route("/fails", websocket=True)
def fails() -> Any:
    raise ValueError("raised before accept")


@socketio.on("message")
def on_message(data: str) -> None:
    flask_socketio.send(f"echo {data}")


def plain(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI app without a framework: it leaves the socket open when it returns."""
    ws = simple_websocket.Server.accept(environ)
    ws.send(repr(sorted(key for key in environ if key.startswith("HTTP_SEC_WEBSOCKET"))))
    ws.send(ws.receive())
    return []


def generator(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An app whose WebSocket lives in the iteration of its response, where it fails."""
    ws = simple_websocket.Server.accept(environ)
    ws.send(ws.receive())
    yield b""
    raise ValueError("raised in the iteration")


def brief(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An app that is over before its handshake is read."""
    simple_websocket.Server.accept(environ)
    if environ["QUERY_STRING"]:
        raise ValueError("raised at once")
    return []


def deaf(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An app that answers the handshake by hand and reads no frame, where simple-websocket reads ahead."""
    connection: socket.socket = environ["werkzeug.socket"]
    accept = accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"]).decode()
    connection.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    time.sleep(5.0)
    return []


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    apps = {"/plain": plain, "/deaf": deaf, "/brief": brief, "/generator": generator}
    app = apps.get(environ["PATH_INFO"], flask_app)
    return app(environ, start_response)


app = WSGIToASGI(
    wsgi,
    threads=4,
    websocket=True,
    max_websockets=120,
    limits=Limits(max_message_bytes=MAX_MESSAGE_BYTES),
    shutdown_timeout=5.0,
)


@sock.route("/stubborn")
def stubborn(ws: Any) -> None:
    """A view that does not notice that its client has left."""
    ws.send("here")
    time.sleep(4.0)


nested = WSGIToASGI(DispatcherMiddleware(wsgi, {"/api": ASGIToWSGI(asgi_apps.api)}), websocket=True)
two = WSGIToASGI(wsgi, websocket=True, max_websockets=2, websocket_origins=["https://good.example"])
without = WSGIToASGI(wsgi)
