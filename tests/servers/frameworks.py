"""Flask, Django in both kinds and FastAPI, which note what they begin and what they clean up.

All are in one site: `/flask`, `/fastapi`, `/django` (its WSGI handler) and `/django-asgi`. Each has
`/whole`, `/stream`, `/endless`, `/fail`, and `/late`, which fails in its stream. The query is the key of
the notes; those of Django are under the name of the handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from flask import Flask, g
from flask import Response as FlaskResponse
from flask import request as flask_request

from bridge import Site
from tests.servers.apps import board

BLOCK = b"x" * 20_000


def blocks(kind: str) -> Iterator[bytes]:
    yield BLOCK
    if kind == "late":
        raise ValueError("late")
    while kind == "endless":
        yield BLOCK


async def blocks_async(kind: str) -> AsyncIterator[bytes]:
    for block in blocks(kind):
        yield block
        await asyncio.sleep(0)  # uvicorn's send() does not wait for a client that has left


flask_app = Flask(__name__)


@flask_app.get("/<kind>")
def flask_page(kind: str) -> Any:
    g.key = flask_request.query_string.decode()
    board.note(g.key, "began")
    if kind == "fail":
        raise ValueError("at once")
    if kind == "whole":
        return "whole"
    return FlaskResponse(blocks(kind))


@flask_app.teardown_appcontext
def flask_teardown(error: BaseException | None) -> None:
    if "key" in g:
        board.note(g.key, "cleaned up")


fastapi_app = FastAPI()


async def session(request: Request) -> AsyncIterator[None]:
    board.note(request.url.query, "began")
    try:
        yield
    finally:
        board.note(request.url.query, "cleaned up")


@fastapi_app.get("/{kind}", dependencies=[Depends(session)])
async def fastapi_page(kind: str) -> Response:
    if kind == "fail":
        raise ValueError("at once")
    if kind == "whole":
        return PlainTextResponse("whole")
    return StreamingResponse(blocks_async(kind))


def django_page(request: Any, kind: str) -> Any:
    if kind == "fail":
        raise ValueError("at once")
    if kind == "whole":
        return HttpResponse("whole")
    return StreamingHttpResponse(blocks(kind))


async def django_page_async(request: Any, kind: str) -> Any:
    response = django_page(request, kind)
    return StreamingHttpResponse(blocks_async(kind)) if response.streaming else response


urlpatterns = [path("django/<kind>", django_page), path("django-asgi/<kind>", django_page_async)]

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="not a secret", LOGGING_CONFIG=None, DATABASES={}
)
django.setup()


def _note(what: str) -> Callable[..., None]:
    def receiver(sender: type, **words: Any) -> None:
        board.note(sender.__name__, what)

    return receiver


_began, _cleaned_up = _note("began"), _note("cleaned up")
request_started.connect(_began)
request_finished.connect(_cleaned_up)

site = Site()
site.mount("/", lambda environ, start_response: (start_response("200 OK", []), [b"hello"])[1])
site.mount("/flask", flask_app)
site.mount("/fastapi", fastapi_app)
site.mount("/django", get_wsgi_application(), prefix="keep")
site.mount("/django-asgi", get_asgi_application(), prefix="keep")
wsgi_bridged = site.asgi
asgi_bridged = site.wsgi
