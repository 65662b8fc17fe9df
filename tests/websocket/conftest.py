"""Each server once for the whole session, with an app that speaks WebSocket."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.servers import Server, serve

ASGI_SERVERS = ["uvicorn-websockets", "uvicorn-wsproto", "hypercorn", "daphne", "granian"]


@pytest.fixture(scope="session")
def _asgi_servers() -> Iterator[Callable[[str], Server]]:
    with ExitStack() as stack:
        running: dict[str, Server] = {}

        def server(kind: str) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(serve(kind, "tests.websocket.wsgi_apps:app"))
            return running[kind]

        yield server


@pytest.fixture(params=ASGI_SERVERS)
def asgi_server(request: pytest.FixtureRequest, _asgi_servers: Callable[[str], Server]) -> Server:
    """An ASGI server with the bridged Flask app."""
    return _asgi_servers(request.param)


@pytest.fixture
def uvicorn(_asgi_servers: Callable[[str], Server]) -> Server:
    return _asgi_servers("uvicorn-websockets")


WSGI_SERVERS = ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "werkzeug"]


@pytest.fixture(scope="session")
def _wsgi_servers() -> Iterator[Callable[[str], Server]]:
    with ExitStack() as stack:
        running: dict[str, Server] = {}

        def server(kind: str) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(serve(kind, "tests.websocket.asgi_apps:app"))
            return running[kind]

        yield server


@pytest.fixture(params=WSGI_SERVERS)
def wsgi_server(request: pytest.FixtureRequest, _wsgi_servers: Callable[[str], Server]) -> Server:
    """A WSGI server with the bridged FastAPI app."""
    return _wsgi_servers(request.param)


@pytest.fixture
def gthread(_wsgi_servers: Callable[[str], Server]) -> Server:
    return _wsgi_servers("gunicorn-gthread")


def census(server: Server) -> dict[str, Any]:
    """Ask an app what it holds."""
    with urllib.request.urlopen(f"{server.url}/census", timeout=20) as response:
        found: dict[str, Any] = json.load(response)
    return found


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something in another process, of which no event tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
