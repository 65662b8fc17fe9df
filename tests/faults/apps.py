"""The specimens behind adapters with short limits, which say when their threads and lifespans end."""

from __future__ import annotations

import os

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import Message, Receive, Scope, Send
from tests.servers.apps import THREADS, asgi_app, wsgi_app

BACKLOG = 2
"""How many requests may wait for a thread of the WSGI app."""

LIMIT_SECONDS = 0.5
"""How long an app may go on after its client has left, or its worker is to stop."""

_request_timeout = float(os.environ["REQUEST_TIMEOUT"]) if "REQUEST_TIMEOUT" in os.environ else None


async def telling(scope: Scope, receive: Receive, send: Send) -> None:
    """Say when the lifespan begins and ends: on standard output, which is there to the last."""

    async def tell(message: Message) -> None:
        print(f"[{message['type']}]", flush=True)
        await send(message)

    await asgi_app(scope, receive, tell if scope["type"] == "lifespan" else send)


wsgi_bridged = WSGIToASGI(
    wsgi_app,
    threads=THREADS,
    backlog=BACKLOG,
    request_timeout=_request_timeout,
    on_worker_start=lambda: print("[thread begins]", flush=True),
    on_worker_stop=lambda: print("[thread ends]", flush=True),
)
asgi_bridged = ASGIToWSGI(
    telling,
    request_timeout=_request_timeout,
    cancel_timeout=LIMIT_SECONDS,
    task_timeout=LIMIT_SECONDS,
)
