"""The apps that are mounted in the project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from flask import Flask
from flask import request as flask_request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    print("the child starts", flush=True)
    yield {"started": "yes"}
    print("the child stops", flush=True)


api = FastAPI(lifespan=lifespan)


@api.get("/hello")
async def hello(request: Request) -> dict[str, object]:
    return {
        "root_path": request.scope["root_path"],
        "path": request.scope["path"],
        "url": str(request.url),
        "user": request.scope["django.user"].get_username(),
        "session": dict(request.scope["django.request"].session),
        "started": getattr(request.state, "started", None),
        "tenant": request.path_params.get("tenant"),
    }


@api.post("/echo")
async def echo(request: Request) -> StreamingResponse:
    async def blocks() -> AsyncIterator[bytes]:
        async for block in request.stream():
            yield block

    return StreamingResponse(blocks(), media_type=request.headers.get("content-type"))


@api.post("/back")
async def back(request: Request) -> Response:
    return Response(await request.body())


@api.get("/count-up")
async def count_up(request: Request) -> dict[str, int]:
    """Write Django's session, which Django saves."""
    session = request.scope["django.request"].session
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@api.get("/cookies")
async def cookies(response: Response) -> None:
    response.set_cookie("a", "1", path="/one")
    response.set_cookie("a", "2", path="/two", httponly=True)
    response.headers.append("Link", "</x>; rel=next")
    response.headers.append("Link", "</y>; rel=prev")


@api.get("/ticks")
async def ticks() -> StreamingResponse:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            number = 0
            while True:
                yield b"tick %d\n" % number
                number += 1
                await asyncio.sleep(0.05)
        finally:
            print("the ticks end", flush=True)

    return StreamingResponse(blocks(), media_type="text/event-stream")


@api.get("/fail")
async def fail() -> None:
    raise RuntimeError("on purpose")


@api.get("/empty", status_code=204)
async def empty() -> None:
    return None


legacy = Flask("legacy")


@legacy.get("/hello")
def legacy_hello() -> dict[str, object]:
    return {
        "script_name": flask_request.environ["SCRIPT_NAME"],
        "url": flask_request.url,
        "user": flask_request.environ["django.user"].get_username(),
    }


@legacy.post("/echo")
def legacy_echo() -> bytes:
    return flask_request.get_data()
