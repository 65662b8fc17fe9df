"""The demo, started as a user starts it, and the same apps served natively beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.e2e.client import demo_command
from tests.support.servers import Server, free_port, run, serve

# Werkzeug writes the methods of an Allow header in the order of a set.
SAME_SET_ORDER = {"PYTHONHASHSEED": "0"}


@pytest.fixture(scope="module")
def asgi_demo() -> Iterator[Server]:
    """`make demo`: the site under uvicorn, with Flask and Django bridged."""
    port = free_port()
    with run(demo_command("asgi", port), port, env=SAME_SET_ORDER) as server:
        yield server


@pytest.fixture(scope="module")
def wsgi_demo() -> Iterator[Server]:
    """`make demo-wsgi`: the site under gunicorn, with FastAPI bridged."""
    port = free_port()
    with run(demo_command("wsgi", port), port) as server:
        yield server


@pytest.fixture(scope="module")
def h11_site() -> Iterator[Server]:
    """The same site under uvicorn's other HTTP implementation."""
    with serve("uvicorn-h11", "examples.demo.site:app") as server:
        yield server


@pytest.fixture(scope="module")
def native_httpbin() -> Iterator[Server]:
    """httpbin under gunicorn itself, below the same prefix as in the demo."""
    environment = {"SCRIPT_NAME": "/httpbin", **SAME_SET_ORDER}
    with serve("gunicorn", "httpbin:app", "--no-control-socket", env=environment) as server:
        yield server


@pytest.fixture(scope="module")
def native_api() -> Iterator[Server]:
    """The FastAPI app under uvicorn itself, which is told the prefix of the demo, and adds it to the path."""
    port = free_port()
    command = ["uvicorn", "examples.demo.api:api", "--port", str(port), "--root-path", "/api"]
    with run([sys.executable, "-m", *command], port) as server:
        yield server
