"""What the servers serve: factories, so that a server builds its own app only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.observation import RequestBegan, RequestEnded
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp

BODY = b'{"message":"Hello, world!"}'


def flask_native() -> WSGIApp:
    """Make a Flask app with one page."""
    from flask import Flask

    app = Flask("hello")

    @app.get("/")
    def hello() -> str:
        return "Hello, world!"

    wsgi: WSGIApp = app
    return wsgi


def flask_bridged() -> ASGIApp:
    return WSGIToASGI(flask_native())


def flask_measured() -> ASGIApp:
    return WSGIToASGI(flask_native(), measure=True)


def flask_observed() -> ASGIApp:
    return WSGIToASGI(flask_native(), measure=True, observers=[_observer])


def _observer(began: RequestBegan) -> Callable[[RequestEnded], object]:
    return lambda ended: None


def flask_in_a2wsgi() -> ASGIApp:
    from a2wsgi import WSGIMiddleware

    return cast("ASGIApp", WSGIMiddleware(cast("Any", flask_native())))


def sock_native() -> WSGIApp:
    """Make a Flask app with a WebSocket of flask-sock."""
    from flask import Flask
    from flask_sock import Sock

    app = Flask("echo")

    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    Sock(app).route("/echo")(echo)
    wsgi: WSGIApp = app
    return wsgi


def sock_bridged() -> ASGIApp:
    return WSGIToASGI(sock_native(), websocket=True)


def fastapi_echo_native() -> ASGIApp:
    """Make a FastAPI app with a WebSocket."""
    from fastapi import FastAPI, WebSocket
    from starlette.routing import WebSocketRoute

    app = FastAPI()

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_bytes():
            await websocket.send_bytes(message)

    app.router.routes.append(WebSocketRoute("/echo", echo))  # FastAPI would look the annotation up
    return app


def fastapi_echo_bridged() -> WSGIApp:
    return ASGIToWSGI(fastapi_echo_native())


def fastapi_native() -> ASGIApp:
    """Make a FastAPI app with one page."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"message": "Hello, world!"}

    return app


def fastapi_bridged() -> WSGIApp:
    return ASGIToWSGI(fastapi_native())


def fastapi_measured() -> WSGIApp:
    return ASGIToWSGI(fastapi_native(), measure=True)


def fastapi_observed() -> WSGIApp:
    return ASGIToWSGI(fastapi_native(), measure=True, observers=[_observer])


def fastapi_in_a2wsgi() -> WSGIApp:
    from a2wsgi import ASGIMiddleware

    return cast("WSGIApp", ASGIMiddleware(cast("Any", fastapi_native())))


def wsgi_native() -> WSGIApp:
    """Make a plain WSGI app with the answer of the FastAPI app."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
        return [BODY]

    return app


def slow_native(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer after half a second."""
    time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


def slow_bridged() -> ASGIApp:
    return _beside_health(WSGIToASGI(slow_native))


def slow_in_a2wsgi() -> ASGIApp:
    from a2wsgi import WSGIMiddleware

    return _beside_health(cast("ASGIApp", WSGIMiddleware(cast("Any", slow_native))))


def _beside_health(slow: ASGIApp) -> ASGIApp:
    """Answer /health on the loop, and all else by the slow app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != "/health":
            await slow(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    return app


def wsgi_transfer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Send so many blocks of so many KiB (`/down?1024,64`), or count what comes (`/up`).

    Each block is a new one, and written to: pages that nobody has touched would not count as memory.
    """
    if environ["PATH_INFO"] == "/up":
        read = environ["wsgi.input"].read
        size = 0
        while data := read(65536):
            size += len(data)
        answer = str(size).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
        return [answer]
    count, size = map(int, environ["QUERY_STRING"].split(","))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(count * size * 1024))])
    return (b"x" * (size * 1024) for _ in range(count))


async def asgi_transfer(scope: Scope, receive: Receive, send: Send) -> None:
    """Do the same as `wsgi_transfer`."""
    if scope["type"] != "http":
        raise ValueError("http only")
    if scope["path"] == "/up":
        length, more = 0, True
        while more:
            event = await receive()
            length += len(event.get("body", b""))
            more = event.get("more_body", False)
        answer = str(length).encode()
        await send({"type": "http.response.start", "status": 200, "headers": plain(len(answer))})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
        return
    count, size = map(int, scope["query_string"].split(b","))
    await send({"type": "http.response.start", "status": 200, "headers": plain(count * size * 1024)})
    for left in reversed(range(count)):
        block = b"x" * (size * 1024)
        await send({"type": "http.response.body", "body": block, "more_body": left > 0})


def plain(length: int) -> list[tuple[bytes, bytes]]:
    """Make the head of a plain response."""
    return [(b"content-type", b"text/plain"), (b"content-length", b"%d" % length)]


def transfer_wsgi() -> WSGIApp:
    return wsgi_transfer


def transfer_asgi() -> ASGIApp:
    return asgi_transfer


def transfer_wsgi_bridged() -> ASGIApp:
    return WSGIToASGI(wsgi_transfer)


def transfer_asgi_bridged() -> WSGIApp:
    return ASGIToWSGI(asgi_transfer)


def transfer_wsgi_in_a2wsgi() -> ASGIApp:
    from a2wsgi import WSGIMiddleware

    return cast("ASGIApp", WSGIMiddleware(cast("Any", wsgi_transfer)))


def transfer_asgi_in_a2wsgi() -> WSGIApp:
    from a2wsgi import ASGIMiddleware

    return cast("WSGIApp", ASGIMiddleware(cast("Any", asgi_transfer)))
