"""A server under test, and which servers a test runs on."""

from __future__ import annotations

from collections.abc import Mapping
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


def on(*kinds: Any) -> pytest.MarkDecorator:
    """Run a test on the session's server of each of these kinds."""
    return pytest.mark.parametrize("site", kinds, indirect=True)


def on_every(*, otherwise: Mapping[str, str]) -> pytest.MarkDecorator:
    """Run a test on every server.

    Args:
        otherwise: the kinds on which it has to fail, and why; where it does not, that is an error.
    """
    kinds = [pytest.param(kind, marks=_fails(otherwise.get(kind)), id=kind) for kind in EVERY]
    return pytest.mark.parametrize("site", kinds, indirect=True)


def on_every_with(
    name: str, values: Mapping[str, Any], *, otherwise: Mapping[tuple[str, str], str]
) -> pytest.MarkDecorator:
    """Run a test on every server with each of these values.

    Args:
        name: of the argument.
        values: by what they are called.
        otherwise: the pairs of value and kind as in `on_every`.
    """
    pairs = [
        pytest.param(kind, value, marks=_fails(otherwise.get((called, kind))), id=f"{called}-{kind}")
        for called, value in values.items()
        for kind in EVERY
    ]
    return pytest.mark.parametrize(("site", name), pairs, indirect=["site"])


def _fails(why: str | None) -> list[pytest.MarkDecorator]:
    return [] if why is None else [pytest.mark.xfail(raises=AssertionError, reason=why)]  # strict, by setting


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
