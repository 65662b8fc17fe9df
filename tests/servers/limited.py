"""Apps whose limit of a body comes from the environment, and one that measures WebSocket messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from bridge import ASGIToWSGI, Limits, ServerLimits, WSGIToASGI
from bridge.errors import ConfigurationError
from bridge.types import Environ, Receive, Scope, Send, StartResponse


async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer each message with its length; serve no lifespan."""
    if scope["type"] != "websocket":
        raise ValueError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(message["bytes"]))})


def _nothing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def _problem_inside(limits: Limits) -> str | None:
    """Give why a WSGI app in this process cannot have these limits."""
    try:
        WSGIToASGI(_nothing, limits=limits)
    except ConfigurationError as exc:
        return str(exc)
    return None


async def _length(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    above = MOST + 1
    answer = {
        "size": size,
        "above": _problem_inside(Limits(max_body_bytes=above)),
        "above, server named": _problem_inside(Limits(max_body_bytes=above, server=ServerLimits("a test"))),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


MOST = int(os.environ.get("MAX_BODY_BYTES", "0"))
asgi_bridged = ASGIToWSGI(_length, lifespan="off", limits=Limits(max_body_bytes=MOST))
