"""An app that says when its lifespan begins and ends, and in which process: `LIFESPAN=fails` has it fail."""

from __future__ import annotations

import asyncio
import os

from bridge import ASGIToWSGI
from bridge.types import Receive, Scope, Send


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("LIFESPAN") == "fails":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        print(f"[up {os.getpid()}]", flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(print, f"[down {os.getpid()}]", flush=True)  # needs a thread
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        print("[entered]", flush=True)
        await asyncio.sleep(float(scope["query_string"]))  # a server that stops must not wait for a sign
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


application = ASGIToWSGI(asgi_app)

if os.environ.get("START") == "at import":  # what docs/how-to/lifespan.md says for uWSGI with lazy-apps
    application.start()
