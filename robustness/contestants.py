"""Who is tried: each bridge by its public constructor with its defaults."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from bridge import ASGIToWSGI, WSGIToASGI

US: Final = "bridge"

WSGI_TO_ASGI: Final = ("bridge", "a2wsgi", "asgiref", "starlette", "uvicorn")
"""Bridges that serve a WSGI app; all of them under uvicorn."""

ASGI_TO_WSGI: Final = ("bridge", "a2wsgi")
"""Bridges that serve an ASGI app; both under gunicorn with 8 threads."""

_HOMES: Final = {
    ("wsgi_to_asgi", "a2wsgi"): ("a2wsgi", "WSGIMiddleware"),
    ("wsgi_to_asgi", "asgiref"): ("asgiref.wsgi", "WsgiToAsgi"),
    ("wsgi_to_asgi", "starlette"): ("starlette.middleware.wsgi", "WSGIMiddleware"),
    ("wsgi_to_asgi", "uvicorn"): ("uvicorn.middleware.wsgi", "WSGIMiddleware"),
    ("asgi_to_wsgi", "a2wsgi"): ("a2wsgi", "ASGIMiddleware"),
}
_OURS: Final[dict[str, Callable[[Any], Any]]] = {"wsgi_to_asgi": WSGIToASGI, "asgi_to_wsgi": ASGIToWSGI}


def bridged(direction: str, name: str, app: Any) -> Any:
    """Wrap an app by one of the contestants."""
    if name == US:
        return _OURS[direction](app)
    module, attribute = _HOMES[direction, name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette's and uvicorn's are deprecated
        return getattr(importlib.import_module(module), attribute)(app)


def versions() -> dict[str, str]:
    """Give the versions of all that take part."""
    packages = ("asgi-wsgi-bridge", "a2wsgi", "asgiref", "starlette", "uvicorn", "gunicorn")
    return {package: version(package) for package in packages}
