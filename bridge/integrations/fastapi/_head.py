"""The head of a connection as the environ of a request without a body, for a framework to read."""

from __future__ import annotations

import io
import sys

from bridge._protocol.limits import Limits
from bridge._protocol.request import environ_from_scope
from bridge.types import Environ, RawHeaders, Scope

__all__ = ["environ_of", "session_fields"]

_LIMITS = Limits()


def environ_of(scope: Scope) -> Environ:
    """Translate the head of an HTTP or WebSocket connection; the body stays with the endpoint."""
    template = {
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ = environ_from_scope({"method": "GET", **scope}, template, _LIMITS)
    environ.pop("CONTENT_LENGTH", None)
    return environ


def session_fields(fields: list[tuple[str, str]]) -> RawHeaders:
    """Give the fields of a framework's response that belong to its session, raw."""
    return [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in fields
        if name.lower() in ("set-cookie", "vary")
    ]
