"""The head of a connection as the environ of a request without a body, for a framework to read."""

from __future__ import annotations

import io
import sys
from http import HTTPStatus

from fastapi import HTTPException

from bridge._protocol.limits import Limits
from bridge._protocol.request import environ_from_scope
from bridge.errors import PeerProtocolError
from bridge.types import Environ, RawHeaders, Scope

__all__ = ["environ_of", "session_fields"]

_LIMITS = Limits()


def environ_of(scope: Scope) -> Environ:
    """Translate the head of an HTTP or WebSocket connection; the body stays with the endpoint.

    Raises:
        HTTPException: the head cannot be translated safely, as one with two values of Host; a 4xx.
    """
    template = {
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    try:
        environ = environ_from_scope({"method": "GET", **scope}, template, _LIMITS)
    except PeerProtocolError as exc:  # the client's fault, and no error of the endpoint
        raise HTTPException(exc.status_hint, HTTPStatus(exc.status_hint).phrase) from exc
    environ.pop("CONTENT_LENGTH", None)
    return environ


def session_fields(fields: list[tuple[str, str]]) -> RawHeaders:
    """Give the fields of a framework's response that belong to its session, raw."""
    return [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in fields
        if name.lower() in ("set-cookie", "vary")
    ]
