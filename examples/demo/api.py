"""A FastAPI app that knows nothing of where it is mounted, nor of the kind of server it runs on.

`books` are its routes, for a FastAPI site to include; `api` is the app, for any site to mount.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, Field


class Book(BaseModel):
    """What a client sends."""

    title: str = Field(min_length=1, max_length=200)
    pages: int = Field(gt=0)


class ShelvedBook(Book):
    """What a client gets."""

    id: int


class Digest(BaseModel):
    """What came of an upload."""

    size: int
    sha256: str


class RequestAsSeen(BaseModel):
    """What the app knows of a request."""

    root_path: str
    path: str
    url: str
    size: int
    headers: list[tuple[str, str]]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.shelf = {1: ShelvedBook(id=1, title="The Bridge on the Drina", pages=318)}
    yield
    app.state.shelf.clear()


books = APIRouter(lifespan=lifespan)
templates = Jinja2Templates(Path(__file__).parent / "templates")


def shelf_of(request: Request) -> dict[int, ShelvedBook]:
    shelf: dict[int, ShelvedBook] = request.app.state.shelf
    return shelf


Shelf = Annotated[dict[int, ShelvedBook], Depends(shelf_of)]
Count = Annotated[int, Query(ge=1, le=100)]
Pause = Annotated[float, Query(ge=0, le=5)]


@books.get("/", response_class=HTMLResponse, include_in_schema=False)
async def show_shelf(request: Request, shelf: Shelf) -> Response:
    return templates.TemplateResponse(request, "shelf.html", {"books": shelf.values()})


@books.get("/books")
async def list_books(shelf: Shelf) -> list[ShelvedBook]:
    return list(shelf.values())


@books.post("/books", status_code=201)
async def add_book(book: Book, shelf: Shelf, request: Request, response: Response) -> ShelvedBook:
    shelved = ShelvedBook(id=max(shelf, default=0) + 1, **book.model_dump())
    shelf[shelved.id] = shelved
    response.headers["Location"] = str(request.url_for("show_book", book_id=shelved.id))
    return shelved


@books.get("/books/{book_id}")
async def show_book(book_id: int, shelf: Shelf) -> ShelvedBook:
    if book_id not in shelf:
        raise HTTPException(404, f"there is no book {book_id}")
    return shelf[book_id]


@books.post("/digest")
async def digest_upload(request: Request) -> Digest:
    """Read the body as it comes, without keeping it."""
    size, sha256 = 0, hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        sha256.update(chunk)
    return Digest(size=size, sha256=sha256.hexdigest())


@books.get("/countdown", response_class=StreamingResponse)
async def count_down(start: Count = 10, pause: Pause = 0.2) -> StreamingResponse:
    """Stream one line at a time."""

    async def lines() -> AsyncIterator[str]:
        for number in range(start, 0, -1):
            yield f"{number}\n"
            await asyncio.sleep(pause)
        yield "done\n"

    return StreamingResponse(lines(), media_type="text/plain")


@books.get("/events", response_class=StreamingResponse)
async def send_events(count: Count = 10, pause: Pause = 0.5) -> StreamingResponse:
    """Send server-sent events, for a browser's EventSource."""

    async def events() -> AsyncIterator[str]:
        for number in range(1, count + 1):
            yield f"id: {number}\nevent: tick\ndata: {json.dumps({'number': number, 'of': count})}\n\n"
            await asyncio.sleep(pause)
        yield "event: end\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@books.get("/request/{rest:path}")
@books.post("/request/{rest:path}")
async def show_request(rest: str, request: Request) -> RequestAsSeen:
    """Tell what FastAPI sees of the request; /django/request/ tells what Django sees of it."""
    return RequestAsSeen(
        root_path=request.scope["root_path"],
        path=request.scope["path"],
        url=str(request.url),
        size=len(await request.body()),
        headers=list(request.headers.items()),
    )


api = FastAPI(title="Books")
api.include_router(books)
