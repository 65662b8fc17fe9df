"""The same five pages in Flask, Django (both handlers) and FastAPI, each as it is and across the bridge.

Events between the client and an app are files: a server with one thread cannot serve a second request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request

from bridge import ASGIToWSGI, WSGIToASGI

FOLDER = Path(os.environ.get("MATRIX_FOLDER", "."))
BLOCK = b"x" * 16384


def note(name: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write("x")


def _until(name: str) -> Iterator[None]:
    end = time.monotonic() + 20
    while not (FOLDER / name).exists():
        if time.monotonic() > end:
            raise TimeoutError(name)
        yield


def wait(name: str) -> None:
    for _ in _until(name):
        time.sleep(0.01)  # there is no event for a file


async def wait_async(name: str) -> None:
    for _ in _until(name):
        await asyncio.sleep(0.01)


def two_blocks() -> Iterator[bytes]:
    yield b"first"
    wait("second")
    yield b"second"


def endless() -> Iterator[bytes]:
    try:
        while True:
            yield BLOCK
            time.sleep(0.005)
    finally:
        note("closed")


async def two_blocks_async() -> AsyncIterator[bytes]:
    yield b"first"
    await wait_async("second")
    yield b"second"


async def endless_async() -> AsyncIterator[bytes]:
    try:
        while True:
            yield BLOCK
            await asyncio.sleep(0.005)
    finally:
        note("closed")


def left() -> str:
    """Give what there is while this request is served, as JSON: {"threads": n, "tasks": n, "busy": [...]}.

    Busy is a thread, or a greenlet, with a function of this module on its stack, but for the one that asks.
    """
    objects = gc.get_objects()
    stacks: list[FrameType] = list(sys._current_frames().values())
    greenlet = sys.modules.get("greenlet")
    if greenlet is not None:
        stacks += [o.gr_frame for o in objects if isinstance(o, greenlet.greenlet) and o.gr_frame]
    here = [list(_functions_here(frame)) for frame in stacks]
    busy = [name for names in here if "left" not in names for name in names]
    tasks = sum(isinstance(o, asyncio.Task) and not o.done() for o in objects)
    stacks.clear()  # one is the frame of this call: a cycle, that would keep all of these objects
    return json.dumps({"threads": threading.active_count(), "tasks": tasks, "busy": busy})


def _functions_here(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        if frame.f_code.co_filename == __file__:
            yield frame.f_code.co_name
        frame = frame.f_back


flask = Flask(__name__)
flask.add_url_rule("/", "get", lambda: "hello")
flask.add_url_rule("/echo", "echo", lambda: flask_request.get_data(), methods=["POST"])
flask.add_url_rule("/stream", "stream", lambda: FlaskResponse(two_blocks()))
flask.add_url_rule("/left", "left", left)
flask.add_url_rule("/endless", "endless", lambda: FlaskResponse(endless()))


@flask.get("/slow")
def _slow() -> str:
    note("arrived")
    wait("go")
    return "done"


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    note("startup")
    yield
    note("shutdown")


fastapi = FastAPI(lifespan=_lifespan)


@fastapi.get("/")
async def _get() -> PlainTextResponse:
    return PlainTextResponse("hello")


@fastapi.get("/left")
async def _left() -> PlainTextResponse:
    return PlainTextResponse(left())


@fastapi.post("/echo")
async def _echo(request: Request) -> Response:
    return Response(await request.body())


@fastapi.get("/stream")
async def _stream() -> StreamingResponse:
    return StreamingResponse(two_blocks_async())


@fastapi.get("/endless")
async def _endless() -> StreamingResponse:
    return StreamingResponse(endless_async())


@fastapi.get("/slow")
async def _slow_async() -> PlainTextResponse:
    note("arrived")
    await wait_async("go")
    return PlainTextResponse("done")


def _django_slow(request: Any) -> HttpResponse:
    note("arrived")
    wait("go")
    return HttpResponse("done")


async def _django_slow_async(request: Any) -> HttpResponse:
    note("arrived")
    await wait_async("go")
    return HttpResponse("done")


urlpatterns = [
    path("", lambda request: HttpResponse("hello")),
    path("echo", lambda request: HttpResponse(request.read())),
    path("stream", lambda request: StreamingHttpResponse(two_blocks())),
    path("left", lambda request: HttpResponse(left())),
    path("endless", lambda request: StreamingHttpResponse(endless())),
    path("slow", _django_slow),
    path("async/stream", lambda request: StreamingHttpResponse(two_blocks_async())),
    path("async/endless", lambda request: StreamingHttpResponse(endless_async())),
    path("async/slow", _django_slow_async),
]
if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", MIDDLEWARE=[])
    django.setup()
django_wsgi = get_wsgi_application()
django_asgi = get_asgi_application()

flask_bridged = WSGIToASGI(flask)
django_wsgi_bridged = WSGIToASGI(django_wsgi)
fastapi_bridged = ASGIToWSGI(fastapi)
django_asgi_bridged = ASGIToWSGI(django_asgi)
