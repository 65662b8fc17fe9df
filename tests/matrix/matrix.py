"""Every server with every app, natively and across the bridge; the native app is the control."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.support.servers import Server, serve

SECONDS: Final = 15.0
BODY: Final = bytes(range(256)) * 4096  # 1 MB


@dataclass(frozen=True)
class Kind:
    """A server as it is run.

    Attributes:
        name: for the page.
        command: a key of COMMANDS.
        interface: what it serves, "wsgi" or "asgi".
        options: more arguments.
        http2: whether the client speaks HTTP/2, without TLS.
    """

    name: str
    command: str
    interface: str
    options: tuple[str, ...] = ()
    http2: bool = False


KINDS: Final = [
    Kind("Werkzeug", "werkzeug", "wsgi"),
    Kind("gunicorn sync", "gunicorn-sync", "wsgi"),
    Kind("gunicorn gthread", "gunicorn-gthread", "wsgi"),
    Kind("gunicorn --preload", "gunicorn-gthread", "wsgi", ("--preload",)),
    Kind("gunicorn gevent", "gunicorn-gevent", "wsgi"),
    Kind("uWSGI", "uwsgi", "wsgi"),
    Kind("waitress", "waitress", "wsgi"),
    Kind("granian WSGI", "granian-wsgi", "wsgi"),
    Kind("gunicorn asgi", "gunicorn-asgi", "asgi"),
    Kind("uvicorn h11", "uvicorn-h11", "asgi"),
    Kind("uvicorn httptools", "uvicorn", "asgi", ("--http", "httptools")),
    Kind("hypercorn", "hypercorn", "asgi"),
    Kind("hypercorn HTTP/2", "hypercorn", "asgi", http2=True),
    Kind("daphne", "daphne", "asgi"),
    Kind("granian ASGI", "granian", "asgi"),
]
NATIVE: Final = {"wsgi": ("flask", "django_wsgi"), "asgi": ("fastapi", "django_asgi")}
BRIDGED: Final = {"wsgi": ("fastapi", "django_asgi"), "asgi": ("flask", "django_wsgi")}


@dataclass(frozen=True)
class Cell:
    """One app under one server."""

    kind: Kind
    app: str
    bridged: bool

    @property
    def target(self) -> str:
        return f"tests.matrix.apps:{self.app}{'_bridged' if self.bridged else ''}"


def cells_of(kind: Kind) -> list[Cell]:
    """Give the native cells of a server, then the bridged ones."""
    return [
        *(Cell(kind, app, False) for app in NATIVE[kind.interface]),
        *(Cell(kind, app, True) for app in BRIDGED[kind.interface]),
    ]


@dataclass
class Run:
    """A cell that runs."""

    cell: Cell
    server: Server
    folder: Path

    def client(self) -> httpx.Client:
        http2 = self.cell.kind.http2
        return httpx.Client(base_url=self.server.url, http1=not http2, http2=http2, timeout=SECONDS)

    def page(self, name: str) -> str:
        return f"/async/{name}" if self.cell.app == "django_asgi" else f"/{name}"

    def wait_for(self, name: str) -> None:
        end = time.monotonic() + SECONDS
        while not (self.folder / name).exists():
            if time.monotonic() > end:
                raise TimeoutError(f"the app did not come to {name!r}")
            time.sleep(0.01)  # there is no event for a file of another process

    def count(self, name: str) -> int:
        file = self.folder / name
        return len(file.read_text()) if file.exists() else 0


def get(run: Run) -> None:
    with run.client() as client:
        _expect(client.get("/").text, "hello")


def echo(run: Run) -> None:
    with run.client() as client:
        _expect(client.post("/echo", content=BODY).content == BODY, True)


def chunked(run: Run) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(BODY), 65536):
            yield BODY[start : start + 65536]

    with run.client() as client:
        _expect(len(client.post("/echo", content=pieces()).content), len(BODY))


def first_block(run: Run) -> None:
    with run.client() as client, client.stream("GET", run.page("stream")) as response:
        blocks = response.iter_raw()
        _expect(next(blocks), b"first")
        (run.folder / "second").touch()
        _expect(b"".join(blocks), b"second")


def abandoned(run: Run) -> None:
    with run.client() as client, client.stream("GET", run.page("endless")) as response:
        next(response.iter_raw())
    run.wait_for("closed")


def in_flight(run: Run) -> None:
    with run.client() as client, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(client.get, run.page("slow"))
        try:
            run.wait_for("arrived")
            run.server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)  # until the server has taken note, of which it gives no sign
        finally:
            (run.folder / "go").touch()
        _expect(answer.result(SECONDS).text, "done")


def lifespan(run: Run) -> None:
    """After `in_flight`, which has asked the server to end."""
    if run.cell.app == "fastapi":
        try:
            run.server.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise TimeoutError("the server did not end") from None
        _expect((run.count("startup"), run.count("shutdown")), (1, 1))


CHECKS: Final[dict[str, Callable[[Run], None]]] = {
    "GET": get,
    "1 MB echo": echo,
    "chunked upload": chunked,
    "first block at once": first_block,
    "abandoned stream is closed": abandoned,
    "in flight at SIGTERM": in_flight,
    "lifespan once": lifespan,
}

KNOWN: Final[dict[tuple[str, str, str], str]] = {
    ("uWSGI", "fastapi", "lifespan once"): "With --die-on-term its workers end without Python's own end.",
    (
        "waitress",
        "fastapi",
        "lifespan once",
    ): "It has no handler for SIGTERM, which ends the process at once.",
}
"""By server, app and check: why a bridged app fails where the native ones do not."""

OF_APPS: Final[dict[tuple[str, str], str]] = {
    ("django_wsgi", "chunked upload"): (
        "Django's WSGI handler reads nothing without a Content-Length, natively too."
    ),
}
"""By bridged app and check: what fails under several servers, or in some runs only."""


def results_of(cell: Cell) -> dict[str, str | None]:
    """Run a cell; give for each check what was wrong, None if nothing was."""
    with tempfile.TemporaryDirectory() as name:
        env = {"MATRIX_FOLDER": name}
        with serve(cell.kind.command, cell.target, *cell.kind.options, env=env) as server:
            run = Run(cell, server, Path(name))
            return {check: _failure(act, run) for check, act in CHECKS.items()}


def _failure(act: Callable[[Run], None], run: Run) -> str | None:
    try:
        act(run)
    except (httpx.HTTPError, AssertionError, TimeoutError, StopIteration) as exc:
        return f"{type(exc).__name__}: {exc}".partition("\n")[0][:200]
    return None


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"got {found!r:.80} instead of {expected!r:.80}")
