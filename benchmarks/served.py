"""What the servers serve: factories, so that a server builds its own app only."""

from __future__ import annotations

from typing import Any, cast

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import ASGIApp, Environ, StartResponse, WSGIApp

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
