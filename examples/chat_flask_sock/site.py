"""A chat that was written for Flask and flask-sock, mounted unchanged in a FastAPI site."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import flask
import flask_sock
import simple_websocket
from fastapi import FastAPI

from bridge import WSGIToASGI

# ---------------------------------------------------------------- the old app: it knows nothing of ASGI

chat = flask.Flask(__name__)
sock = flask_sock.Sock(chat)
people: set[simple_websocket.Server] = set()
lock = threading.Lock()


@chat.get("/")
def page() -> flask.Response:
    return flask.send_file(Path(__file__).parent / "chat.html")


@sock.route("/room")
def room(ws: simple_websocket.Server) -> None:
    with lock:
        people.add(ws)
    try:
        while True:
            say(str(ws.receive()))
    finally:
        with lock:
            people.discard(ws)


def say(line: str) -> None:
    with lock:
        present = list(people)
    for ws in present:
        with suppress(simple_websocket.ConnectionClosed, OSError):
            ws.send(line)


# ---------------------------------------------------------------- the new site around it

app = FastAPI()


@app.get("/people")
def count() -> dict[str, int]:
    return {"people": len(people)}


app.mount("/chat", WSGIToASGI(chat, websocket=True))
