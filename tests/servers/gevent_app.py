"""A FastAPI app for gunicorn's gevent worker, imported before gevent patches where `--preload` is given."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import time
from collections.abc import AsyncIterator, Iterable

from asgiref.sync import sync_to_async
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from bridge import ASGIToWSGI
from bridge.types import Environ, StartResponse

_here = 0
_all_here: asyncio.Event | None = None


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    print("startup", flush=True)
    yield
    await asyncio.to_thread(print, "shutdown", flush=True)


api = FastAPI(lifespan=_lifespan)


@api.get("/meet/{number}")
async def meet(number: int) -> str:
    """Answer when so many are here at once."""
    global _here, _all_here
    _all_here = _all_here or asyncio.Event()
    _here += 1
    if _here == number:
        _all_here.set()
    async with asyncio.timeout(20):
        await _all_here.wait()
    return "met"


@api.get("/meet-in-threads/{number}")
def meet_in_threads(number: int) -> str:
    """The same in the threads of the app: greenlets of the loop's thread."""
    global _here
    _here += 1
    end = time.monotonic() + 20
    while _here < number:
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)  # as gevent has it
    return "met"


@api.get("/reset")
async def reset() -> None:
    global _here, _all_here
    _here, _all_here = 0, None


@api.get("/compute")
async def compute() -> str:
    """Keep the loop until `/release`, as a long computation or a driver in C does."""
    print("computing", flush=True)
    end = time.monotonic() + 20
    while not _released:
        if time.monotonic() > end:
            raise TimeoutError
        ctypes.CDLL(None).usleep(1000)  # gevent cannot see this wait
    return "computed"


_released: list[bool] = []


@api.post("/echo")
async def echo(request: Request) -> StreamingResponse:
    return StreamingResponse(request.stream())


@api.get("/running-loop")
async def running_loop() -> bool:
    """Tell whether code in a thread of the app is taken for a coroutine, as by Django's `async_unsafe`."""

    def has_loop() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    found: bool = await sync_to_async(has_loop, thread_sensitive=False)()
    return found


_bridged = ASGIToWSGI(api)


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer `/release` in the hub, all else through the bridge."""
    if environ["PATH_INFO"] == "/release":
        _released.append(True)
        start_response("200 OK", [("Content-Length", "8")])
        return [b"released"]
    return _bridged(environ, start_response)
