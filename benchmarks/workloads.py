"""The apps and requests that every contestant is given."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bridge.types import ASGIApp, Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp

BODY = b"Hello, world!"
BLOCK = b"x" * 100

# What a browser sends with a plain GET.
_FIELDS = [
    ("host", "example.org"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("referer", "https://example.org/start"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ("connection", "keep-alive"),
]

_SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/hello",
    "raw_path": b"/hello",
    "query_string": b"a=1",
    "root_path": "",
    "headers": [(name.encode(), value.encode()) for name, value in _FIELDS],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
    "state": {},
}

_ENVIRON: Environ = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/hello",
    "QUERY_STRING": "a=1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "50000",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in _FIELDS},
}

_NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
_END: Message = {"type": "http.response.body", "body": BODY, "more_body": False}


def new_scope(headers: int | None = None) -> dict[str, Any]:
    """Make the scope of one request, as a server does for each.

    Args:
        headers: how many header fields; None for those of a browser.
    """
    scope = _SCOPE.copy()
    if headers is not None:
        scope["headers"] = [(b"x-field-%d" % i, b"value %d" % i) for i in range(headers)]
    return scope


def new_environ(headers: int | None = None) -> Environ:
    """Make the environ of one request, as a server does for each."""
    environ = _ENVIRON.copy()
    environ["wsgi.input"] = io.BytesIO()
    if headers is not None:
        for key in [key for key in environ if key.startswith("HTTP_")]:
            del environ[key]
        environ.update((f"HTTP_X_FIELD_{i}", f"value {i}") for i in range(headers))
    return environ


# ---------------------------------------------------------------- apps


def wsgi_hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer at once, in one block."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


async def asgi_hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, in one event."""
    if scope["type"] != "http":
        raise ValueError("http only")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(_END)


def wsgi_stream(blocks: int, block: bytes = BLOCK) -> WSGIApp:
    """Make an app that streams so many blocks."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(blocks):
            yield block

    return app


def asgi_stream(blocks: int, block: bytes = BLOCK) -> ASGIApp:
    """Make an app that streams so many blocks."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("http only")
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(blocks):
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


# ---------------------------------------------------------------- the server's side


async def discard(message: Message) -> None:
    """Take a response event as a server with room in its buffers does: without waiting."""


def start_nothing(status: str, headers: list[tuple[str, str]], exc_info: object = None, /) -> Any:
    """Take the head of a WSGI response."""
    return list[bytes]().append


def one_body(*bodies: bytes) -> Receive:
    """Make the receive of one request: its body, then silence from a client that stays."""
    events: list[Message] = [
        {"type": "http.request", "body": body, "more_body": True} for body in bodies[:-1]
    ]
    events.append({"type": "http.request", "body": bodies[-1], "more_body": False} if bodies else _NO_BODY)
    left = iter(events)

    async def receive() -> Message:
        for event in left:
            return event
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing comes after the body")

    return receive


def exhaust(blocks: Iterable[bytes]) -> None:
    """Take a WSGI response as a server does: to its end, then close it."""
    for _ in blocks:
        pass
    close: Callable[[], object] | None = getattr(blocks, "close", None)
    if close is not None:
        close()
