"""One server of each kind for the whole session; a fresh one where memory is measured."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.servers.apps import THREADS
from tests.servers.board import PORT_FILE, RemoteBoard
from tests.servers.sites import EVERY_ASGI, Site, Start
from tests.support.servers import serve

_OPTIONS = {
    "gunicorn": ["--threads", str(THREADS)],
    "uwsgi": ["--lazy-apps"],  # the board is one of the worker
    "waitress": [f"--threads={THREADS}"],
}

_SESSION_OPTIONS = {
    # By default it takes 16 MiB of an answer before it looks whether its client is there.
    "waitress": ["--outbuf-high-watermark=65536"],
}

_keys = itertools.count(1)


@contextmanager
def running_site(
    kind: str, port_file: Path, *options: str, module: str = "tests.servers.apps", **env: str
) -> Iterator[Site]:
    """Run a server as `Start` says; its board leaves its port in the file."""
    app = f"{module}:{'wsgi_bridged' if kind in EVERY_ASGI else 'asgi_bridged'}"
    with serve(
        kind, app, *_OPTIONS.get(kind, ()), *options, env={PORT_FILE: str(port_file), **env}
    ) as server:
        site = Site(kind, server, RemoteBoard(port_file))
        site.check_alive()  # and so the worker has published its board
        yield site


@pytest.fixture(scope="session")
def start_site(tmp_path_factory: pytest.TempPathFactory) -> Start:
    def start(
        kind: str, *options: str, module: str = "tests.servers.apps", **env: str
    ) -> AbstractContextManager[Site]:
        port_file = tmp_path_factory.mktemp("board") / "port"
        return running_site(kind, port_file, *options, module=module, **env)

    return start


@pytest.fixture(scope="session")
def keep_site(start_site: Start) -> Iterator[Callable[..., Site]]:
    """Start a server as `start_site` does, but once, and keep it to the end of the session."""
    with ExitStack() as stack:

        @functools.cache
        def keep(kind: str, *options: str, **words: str) -> Site:
            return stack.enter_context(start_site(kind, *options, **words))

        yield keep


@pytest.fixture(scope="session")
def _sites(start_site: Start) -> Iterator[Callable[[str], Site]]:
    with ExitStack() as stack:
        running: dict[str, Site] = {}

        def site(kind: str) -> Site:
            if kind not in running:
                running[kind] = stack.enter_context(start_site(kind, *_SESSION_OPTIONS.get(kind, ())))
            return running[kind]

        yield site


@pytest.fixture
def site(request: pytest.FixtureRequest, _sites: Callable[[str], Site]) -> Iterator[Site]:
    """The server of the kind given as parameter; after the test its worker must still be the same."""
    site = _sites(request.param)
    workers = site.server.workers()
    yield site
    site.check_alive()
    assert site.server.workers() == workers


@pytest.fixture
def fresh_site(request: pytest.FixtureRequest, start_site: Start) -> Iterator[Site]:
    """A server that has done nothing yet."""
    with start_site(request.param) as site:
        yield site


@pytest.fixture
def key() -> str:
    """A name for the notes of one test."""
    return f"case{next(_keys)}"
