"""What the servers serve: factories, so that a server builds its own app only."""

from __future__ import annotations

import time
from typing import Any, cast

from bridge import ASGIToWSGI, WSGIToASGI
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


def flask_in_a2wsgi() -> ASGIApp:
    from a2wsgi import WSGIMiddleware

    return cast("ASGIApp", WSGIMiddleware(cast("Any", flask_native())))


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
