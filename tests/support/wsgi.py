"""A WSGI server without a socket: gives one environ to an app, and records what comes back."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from typing import Any

from bridge.types import Environ, ExcInfo, WSGIApp


def make_environ(path: str = "/", *, method: str = "GET", body: bytes = b"", **more: Any) -> Environ:
    """Build a complete environ; keyword arguments replace or add keys (`__` stands for a dot)."""
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "testserver",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ.update({key.replace("__", "."): value for key, value in more.items()})
    return environ


@dataclass
class Answer:
    """What a WSGI app answered.

    Attributes:
        starts: every start_response call.
        blocks: every block, in order.
        written: what went through write().
    """

    starts: list[tuple[str, list[tuple[str, str]], ExcInfo | None]] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.starts[-1][0][:3])

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.starts[-1][1])

    @property
    def header_list(self) -> list[tuple[str, str]]:
        return self.starts[-1][1]

    @property
    def body(self) -> bytes:
        return b"".join(self.written + self.blocks)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Any:
        if self.starts and exc_info is None:
            raise AssertionError("Headers already set")
        self.starts.append((status, headers, exc_info))
        return self.written.append


def call(app: WSGIApp, environ: Environ | None = None, **make: Any) -> Answer:
    """Call a WSGI app as a server does: start, iterate to the end, close."""
    answer = Answer()
    blocks = app(environ if environ is not None else make_environ(**make), answer.start_response)
    try:
        answer.blocks.extend(blocks)
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
    return answer
