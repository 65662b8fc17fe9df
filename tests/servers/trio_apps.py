"""What a server may be given that does not run on asyncio."""

from __future__ import annotations

from flask import Flask

from bridge import Site, WSGIToASGI
from bridge.types import Receive, Scope, Send

flask = Flask(__name__)
adapter = WSGIToASGI(flask, websocket=True)
_site = Site()
_site.mount("/", flask)
site = _site.asgi


async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep the startup from the adapter, as Starlette does with what is mounted."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await adapter(scope, receive, send)
