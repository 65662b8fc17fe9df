"""A server under test, and which servers a test runs on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest

from tests.servers.board import RemoteBoard
from tests.servers.wire import Reply, get
from tests.support.servers import Server

ASGI = ("uvicorn", "uvicorn-h11")
"""Serve WSGIToASGI."""

WSGI = ("gunicorn", "gunicorn-sync", "waitress")
"""Serve ASGIToWSGI."""

GUNICORN = ("gunicorn", "gunicorn-sync")
"""Serve ASGIToWSGI, and pass a request body on as it comes; waitress takes it whole first."""

BOTH = (*ASGI, *WSGI)

EVERY_ASGI = (*ASGI, "hypercorn", "daphne", "granian")
"""All servers with which WSGIToASGI is tried; where it is about what reaches the bridge at all."""

EVERY_WSGI = (*WSGI, "granian-wsgi", "uwsgi", "werkzeug")
"""All servers with which ASGIToWSGI is tried."""

EVERY = (*EVERY_ASGI, *EVERY_WSGI)


def but(*kinds: str) -> tuple[str, ...]:
    """Give every server but these, which do otherwise; the test says how."""
    return tuple(kind for kind in EVERY if kind not in kinds)


def on(*kinds: Any) -> pytest.MarkDecorator:
    """Run a test on the session's server of each of these kinds."""
    return pytest.mark.parametrize("site", kinds, indirect=True)


class Start(Protocol):
    """Runs a server of a kind, with further options, until the block ends.

    The module has `wsgi_bridged` and `asgi_bridged`; the words become environment variables.
    """

    def __call__(
        self, kind: str, *options: str, module: str = "tests.servers.apps", **env: str
    ) -> AbstractContextManager[Site]: ...


@dataclass(frozen=True)
class Site:
    """A running server with the specimens of `apps` in it.

    Attributes:
        kind: of the server, a key of `tests.support.servers.COMMANDS`.
    """

    kind: str
    server: Server
    board: RemoteBoard

    @property
    def concurrent(self) -> bool:
        """Whether it serves more than one request at a time."""
        return self.kind != "gunicorn-sync"

    def get(self, path: str, **case: object) -> Reply:
        return get(self.server, target(path, **case))

    def tell(self, key: str, what: str) -> None:
        """Leave a note by a second request, if the server can do two at a time."""
        if self.concurrent:
            assert self.get("/note", key=key, kind=what).body == b"noted"
        else:
            self.board.note(key, what)

    def check_alive(self) -> None:
        """See that the next request is served."""
        assert self.get("/").body == b"hello"


def target(path: str, **case: object) -> str:
    """Build a request target from the fields of a Case."""
    words = {name: int(value) if isinstance(value, bool) else value for name, value in case.items()}
    return f"{path}?{urlencode(words)}" if words else path
