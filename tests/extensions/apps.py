"""Apps of both kinds that use what servers offer beyond the two protocols."""

from __future__ import annotations

from fastapi import FastAPI, Request
from flask import Flask
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


asgi_bridged = ASGIToWSGI(fastapi)
wsgi_bridged = WSGIToASGI(flask)
