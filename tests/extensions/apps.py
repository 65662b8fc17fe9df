"""Apps of both kinds that use what servers offer beyond the two protocols."""

from __future__ import annotations

import os
import threading

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from flask import Flask, Response, send_file
from flask import request as flask_request

from bridge import ASGIToWSGI, WSGIToASGI

LINK = "</style.css>; rel=preload; as=style"

fastapi = FastAPI()
flask = Flask(__name__)


@fastapi.get("/hints")
async def hints(request: Request) -> str:
    await request.send_early_hints(LINK)
    return "offered" if "http.response.early_hint" in request.scope["extensions"] else "not offered"


@flask.get("/hints")
def flask_hints() -> str:
    early_hints = flask_request.environ.get("wsgi.early_hints")
    if early_hints is None:
        return "not offered"
    early_hints([("Link", LINK)])
    return "offered"


@flask.get("/file")
def flask_file() -> Response:
    return send_file(os.environ["SENT_FILE"], mimetype="application/octet-stream")


@flask.get("/extensions")
def flask_extensions() -> list[str]:
    return sorted(flask_request.environ["bridge.scope"].get("extensions") or ())


@flask.get("/thread")
def flask_thread() -> str:
    return threading.current_thread().name


@fastapi.api_route("/file", methods=["GET", "HEAD"])
async def file() -> FileResponse:
    return FileResponse(os.environ["SENT_FILE"])


@fastapi.get("/extensions")
async def extensions(request: Request) -> list[str]:
    return sorted(request.scope["extensions"])


asgi_bridged = ASGIToWSGI(fastapi)
wsgi_bridged = WSGIToASGI(flask, threads=2)
