"""The same event stream in both kinds: each says what it is told to, and the time at which it does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from queue import Empty, SimpleQueue

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response
from flask import request as flask_request

from bridge import ASGIToWSGI, WSGIToASGI

STREAMS = 200
KEEP_ALIVE_SECONDS = 0.5

KEEP_ALIVE = ": keep-alive\n\n"


def event() -> str:
    return f"data: {time.monotonic_ns()}\n\n"


class Open:
    """Counts the streams whose generators have not ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def add(self, number: int) -> None:
        with self._changed:
            self.count += number
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count == count, 20)


still_open = Open()

# ---------------------------------------------------------------- WSGI

flask = Flask(__name__)
queues: dict[str, SimpleQueue[None]] = defaultdict(SimpleQueue)


@flask.get("/events/<stream>")
def events(stream: str) -> Response:
    def stream_events() -> Iterator[str]:
        still_open.add(1)
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    queues[stream].get(timeout=KEEP_ALIVE_SECONDS)
                except Empty:
                    yield KEEP_ALIVE
                else:
                    yield event()
        finally:
            still_open.add(-1)

    return Response(stream_events(), mimetype="text/event-stream")


@flask.get("/say/<stream>")
def say(stream: str) -> str:
    queues[stream].put(None)
    return "said"


@flask.get("/open")
def flask_open() -> str:
    return str(still_open.wait_for(int(flask_request.args["count"])))


# ---------------------------------------------------------------- ASGI

fastapi = FastAPI()
async_queues: dict[str, asyncio.Queue[None]] = defaultdict(asyncio.Queue)


@fastapi.get("/events/{stream}")
async def async_events(stream: str) -> StreamingResponse:
    async def stream_events() -> AsyncIterator[str]:
        still_open.add(1)
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await async_queues[stream].get()
                except TimeoutError:
                    yield KEEP_ALIVE
                else:
                    yield event()
        finally:
            still_open.add(-1)

    return StreamingResponse(stream_events(), media_type="text/event-stream")


@fastapi.get("/say/{stream}")
async def async_say(stream: str) -> str:
    async_queues[stream].put_nowait(None)
    return "said"


@fastapi.get("/open")
def fastapi_open(count: int) -> str:
    return str(still_open.wait_for(count))


wsgi_bridged = WSGIToASGI(flask, threads=STREAMS + 4)
asgi_bridged = ASGIToWSGI(fastapi)
