"""A chat written for FastAPI, served by gunicorn's ordinary worker with threads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse

from bridge import ASGIToWSGI

api = FastAPI()
people: set[WebSocket] = set()


@api.get("/chat/")
def page() -> FileResponse:
    return FileResponse(Path(__file__).parent / "chat.html")


@api.get("/people")
async def count() -> dict[str, int]:
    return {"people": len(people)}


@api.websocket("/chat/room")
async def room(ws: WebSocket) -> None:
    await ws.accept()
    people.add(ws)
    try:
        while True:
            await say(await ws.receive_text())
    except WebSocketDisconnect:
        pass
    finally:
        people.discard(ws)


async def say(line: str) -> None:
    for ws in list(people):
        with suppress(WebSocketDisconnect, RuntimeError):
            await ws.send_text(line)


application = ASGIToWSGI(api)
