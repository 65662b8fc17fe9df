"""The FastAPI child."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.middleware.sessions import SessionMiddleware
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"


def make_app() -> FastAPI:
    """Build the app."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        print("the child starts", flush=True)
        yield {"started": "yes"}
        print("the child stops", flush=True)

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key="for tests")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    gate = threading.Event()

    @app.get("/", response_class=PlainTextResponse)
    async def index() -> str:
        return "index"

    @app.get("/items/{item}")
    async def show_item(item: int, q: Annotated[list[str] | None, Query()] = None) -> dict[str, object]:
        return {"item": item, "q": q}

    @app.get("/url")
    async def show_url(request: Request) -> dict[str, str]:
        url = request.url_for("show_item", item=3)
        return {"self": str(request.url), "path": url.path, "absolute": str(url)}

    @app.get("/go")
    async def go(request: Request) -> RedirectResponse:
        return RedirectResponse(request.url_for("show_item", item=3))

    @app.get("/slash/")
    async def slash() -> str:
        return "slash"

    @app.get("/path/{rest:path}")
    async def show_path(rest: str) -> dict[str, str]:
        return {"rest": rest}

    @app.get("/cookie/set")
    async def set_cookie(request: Request, response: Response) -> None:
        root = request.scope["root_path"]
        response.set_cookie("a", "1", path=f"{root}/cookie/show", httponly=True)
        response.set_cookie("b", "2", path=f"{root}/elsewhere")

    @app.get("/cookie/show")
    async def show_cookies(request: Request) -> dict[str, str]:
        return {name: value for name, value in request.cookies.items() if name in "ab"}

    @app.post("/form")
    async def form(name: Annotated[list[str], Form()]) -> dict[str, list[str]]:
        return {"name": name}

    @app.post("/upload")
    async def upload(file: UploadFile) -> dict[str, object]:
        content = await file.read()
        return {"name": file.filename, "size": len(content), "sha256": sha256(content).hexdigest()}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        gate.clear()

        async def blocks() -> AsyncIterator[str]:
            yield "first\n"
            await asyncio.to_thread(gate.wait, 20)
            yield "last\n"

        return StreamingResponse(blocks(), media_type="text/plain")

    @app.get("/release")
    async def release() -> str:
        gate.set()
        return "released"

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("on purpose")

    @app.get("/count")
    async def count(request: Request) -> dict[str, int]:
        request.session["count"] = request.session.get("count", 0) + 1
        return {"count": request.session["count"]}

    @app.get("/forget")
    async def forget(request: Request) -> str:
        request.session.clear()
        return "forgotten"

    @app.get("/started")
    async def started(request: Request) -> dict[str, str | None]:
        return {"started": getattr(request.state, "started", None)}

    return app
