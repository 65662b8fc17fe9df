"""Who is compared: each by its public constructor with its defaults; a missing one is skipped by name."""

from __future__ import annotations

import asyncio
import importlib
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from bridge import ASGIToWSGI, LoopThread, WSGIToASGI
from bridge.types import ASGIApp, WSGIApp

US = "bridge"

# Where each WSGI-to-ASGI peer lives.
_ASGI_PEERS = {
    "a2wsgi": ("a2wsgi", "WSGIMiddleware"),
    "asgiref": ("asgiref.wsgi", "WsgiToAsgi"),
    "starlette": ("starlette.middleware.wsgi", "WSGIMiddleware"),
    "uvicorn": ("uvicorn.middleware.wsgi", "_WSGIMiddleware"),
    "hypercorn": ("hypercorn.middleware", "AsyncioWSGIMiddleware"),  # its WSGIWrapper on asyncio
}

BRIDGES = frozenset(_ASGI_PEERS)
"""The names of the other bridges; all others that take part are servers or bare calls."""

PACKAGES = (
    "a2wsgi",
    "asgiref",
    "fastapi",
    "flask",
    "granian",
    "gunicorn",
    "httptools",
    "hypercorn",
    "starlette",
    "uvicorn",
    "uvloop",
    "waitress",
)

skipped: dict[str, str] = {}
"""What could not be measured, and why; printed with the results."""


def load(name: str, module: str, attribute: str) -> Any:
    """Import a peer; None, noted in `skipped`, if it is missing or of another shape than expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette's and uvicorn's are deprecated
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as exc:
            skipped[name] = f"{type(exc).__name__}: {exc}"
            return None


def wsgi_to_asgi(app: WSGIApp, *, only: tuple[str, ...] = ()) -> dict[str, ASGIApp]:
    """Wrap a WSGI app by us and by each peer."""
    wrapped: dict[str, ASGIApp] = {US: WSGIToASGI(app)}
    for name, (module, attribute) in _ASGI_PEERS.items():
        if only and name not in only:
            continue
        wrapper = load(name, module, attribute)
        if wrapper is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wrapped[name] = wrapper(app)
    return wrapped


def asgi_to_wsgi(app: ASGIApp, loop_thread: LoopThread, loop: AbstractEventLoop) -> dict[str, WSGIApp]:
    """Wrap an ASGI app by us and by a2wsgi, on one and the same loop."""
    wrapped: dict[str, WSGIApp] = {US: ASGIToWSGI(app, loop_thread=loop_thread)}
    wrapper = load("a2wsgi", "a2wsgi", "ASGIMiddleware")
    if wrapper is not None:
        wrapped["a2wsgi"] = wrapper(app, loop=loop)
    return wrapped


def loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Give the loops to measure on."""
    factories: dict[str, Callable[[], AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    uvloop = load("uvloop", "uvloop", "new_event_loop")
    if uvloop is not None:
        factories["uvloop"] = cast("Callable[[], AbstractEventLoop]", uvloop)
    return factories


def versions() -> dict[str, str]:
    """Give the version of each package that takes part."""
    found: dict[str, str] = {}
    for package in ("asgi-wsgi-bridge", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found
