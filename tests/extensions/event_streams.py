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

from bridge import ASGIToWSGI, WSGIToASGI

STREAMS = 200
KEEP_ALIVE_SECONDS = 0.5

KEEP_ALIVE = ": keep-alive\n\n"


def event() -> str:
    return f"data: {time.monotonic_ns()}\n\n"


class Streams:
    """Knows which streams have not ended, and the last time that each has made a block or has ended.

    Attributes:
        made: when the blocks that say nothing were made, by stream; in nanoseconds.
        ended: when each stream ended.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0
        self.made: dict[str, list[int]] = defaultdict(list)
        self.ended: dict[str, int] = {}

    def begin(self) -> None:
        with self._changed:
            self._open += 1

    def nothing_to_say(self, stream: str) -> str:
        self.made[stream].append(time.monotonic_ns())
        return KEEP_ALIVE

    def end(self, stream: str) -> None:
        with self._changed:
            self._open -= 1
            self.ended[stream] = time.monotonic_ns()
            self._changed.notify_all()

    def all_ended(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, 20)

    def end_of(self, stream: str) -> list[int]:
        """Wait until it has ended; give when, and when each silent block was made."""
        with self._changed:
            self._changed.wait_for(lambda: stream in self.ended, 20)
            return [self.ended[stream], *self.made[stream]]


streams = Streams()

# ---------------------------------------------------------------- WSGI

flask = Flask(__name__)
queues: dict[str, SimpleQueue[None]] = defaultdict(SimpleQueue)


@flask.get("/events/<stream>")
def events(stream: str) -> Response:
    def stream_events() -> Iterator[str]:
        streams.begin()
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    queues[stream].get(timeout=KEEP_ALIVE_SECONDS)
                except Empty:
                    yield streams.nothing_to_say(stream)
                else:
                    yield event()
        finally:
            streams.end(stream)

    return Response(stream_events(), mimetype="text/event-stream")


@flask.get("/say/<stream>")
def say(stream: str) -> str:
    queues[stream].put(None)
    return "said"


@flask.get("/all-ended")
def flask_all_ended() -> str:
    return str(streams.all_ended())


@flask.get("/end/<stream>")
def flask_end(stream: str) -> list[int]:
    return streams.end_of(stream)


# ---------------------------------------------------------------- ASGI

fastapi = FastAPI()
async_queues: dict[str, asyncio.Queue[None]] = defaultdict(asyncio.Queue)


@fastapi.get("/events/{stream}")
async def async_events(stream: str) -> StreamingResponse:
    async def stream_events() -> AsyncIterator[str]:
        streams.begin()
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await async_queues[stream].get()
                except TimeoutError:
                    yield streams.nothing_to_say(stream)
                else:
                    yield event()
        finally:
            streams.end(stream)

    return StreamingResponse(stream_events(), media_type="text/event-stream")


@fastapi.get("/say/{stream}")
async def async_say(stream: str) -> str:
    async_queues[stream].put_nowait(None)
    return "said"


@fastapi.get("/all-ended")
def fastapi_all_ended() -> str:
    return str(streams.all_ended())


@fastapi.get("/end/{stream}")
def fastapi_end(stream: str) -> list[int]:
    return streams.end_of(stream)


wsgi_bridged = WSGIToASGI(flask, threads=STREAMS + 4)
asgi_bridged = ASGIToWSGI(fastapi)
