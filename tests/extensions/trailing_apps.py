"""An app of each kind whose response ends with trailers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.types import Environ, Receive, Scope, Send, StartResponse

BLOCKS = [b"one ", b"two ", b"three"]


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Stream blocks with their digest behind; at /forgets announce it in vain."""
    start_response("200 OK", [("Content-Length", "13"), ("Trailer", "X-Digest")])
    digest = hashlib.sha256()
    for block in BLOCKS:
        digest.update(block)
        yield block
    if environ["PATH_INFO"] != "/forgets":
        environ["gunicorn.http2.send_trailers"]([("X-Digest", digest.hexdigest())])


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Do the same; at /forgets end without the trailers."""
    assert "http.response.trailers" in scope["extensions"]
    headers = [(b"content-length", b"13"), (b"trailer", b"x-digest")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    for block in BLOCKS:
        await send({"type": "http.response.body", "body": block, "more_body": block is not BLOCKS[-1]})
    digest = hashlib.sha256(b"".join(BLOCKS)).hexdigest().encode()
    if scope["path"] != "/forgets":
        await send({"type": "http.response.trailers", "headers": [(b"x-digest", digest)]})


wsgi_bridged = WSGIToASGI(wsgi)
asgi_bridged = ASGIToWSGI(asgi, lifespan="off")
