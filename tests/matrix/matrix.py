"""Every server with every app, natively and across the bridge; the native app is the control."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from tests.matrix.kinds import Kind
from tests.support.servers import Server, free_port, run

SECONDS: Final = 15.0
START_SECONDS: Final = 60.0
ROUNDS: Final = 4
BODY: Final = bytes(range(256)) * 4096  # 1 MB


NATIVE: Final = {"wsgi": ("flask", "django_wsgi"), "asgi": ("fastapi", "django_asgi")}
BRIDGED: Final = {"wsgi": ("fastapi", "django_asgi"), "asgi": ("flask", "django_wsgi")}


@dataclass(frozen=True)
class Cell:
    """One app under one server."""

    kind: Kind
    app: str
    bridged: bool

    @property
    def main(self) -> str:
        """The module that the server is told to serve."""
        return f"from tests.matrix.apps import {self.app}{'_bridged' if self.bridged else ''} as app\n"


def cells_of(kind: Kind) -> list[Cell]:
    """Give the native cells of a server, then the bridged ones."""
    return [
        *(Cell(kind, app, False) for app in NATIVE[kind.interface]),
        *(Cell(kind, app, True) for app in BRIDGED[kind.interface]),
    ]


@dataclass
class Run:
    """A cell that runs.

    Attributes:
        workers: the processes of the server, noted before it is told to end.
    """

    cell: Cell
    server: Server
    folder: Path
    workers: list[psutil.Process] = field(default_factory=list)

    def client(self) -> httpx.Client:
        http2 = self.cell.kind.http2
        return httpx.Client(
            base_url=self.server.url, http1=not http2, http2=http2, timeout=SECONDS, verify=False
        )

    def page(self, name: str) -> str:
        return f"/async/{name}" if self.cell.app == "django_asgi" else f"/{name}"

    def wait_for(self, name: str, count: int = 1) -> None:
        end = time.monotonic() + SECONDS
        while self.count(name) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"the app did not come to {name!r}")
            time.sleep(0.01)  # there is no event for a file of another process

    def count(self, name: str) -> int:
        file = self.folder / name
        return len(file.read_text()) if file.exists() else 0


@dataclass(frozen=True)
class Left:
    """What there is in the server's process while it serves this one request; see `apps.left`."""

    threads: int
    tasks: int
    busy: list[str]


class NotThereError(Exception):
    """The app has no such thing."""


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
    before = run.count("closed")
    with run.client() as client, client.stream("GET", run.page("endless")) as response:
        next(response.iter_raw())
    run.wait_for("closed", before + 1)


def left(run: Run) -> None:
    """Look for what some more abandoned streams leave behind.

    A server may serve the next request with one more thread of its pool, where the last one is about to be
    free; but not one for each.
    """
    with run.client() as client:
        before = _left(client)
    for _ in range(ROUNDS):
        abandoned(run)
    end = time.monotonic() + SECONDS
    with run.client() as client:  # one, since what a server has for a connection may outlive it
        while (after := _left(client)).busy or after.tasks > before.tasks:
            if time.monotonic() > end:
                raise TimeoutError(f"first {before}, later {after}")
            time.sleep(0.05)  # there is no event for a thread of another process being free
    if after.threads >= before.threads + ROUNDS:
        raise AssertionError(f"first {before}, later {after}")


def _left(client: httpx.Client) -> Left:
    return Left(**client.get("/left").json())


def in_flight(run: Run) -> None:
    run.workers = run.server.workers()
    with run.client() as client, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(client.get, run.page("slow"))
        try:
            run.wait_for("arrived")
            run.server.process.send_signal(run.cell.kind.end)
            with contextlib.suppress(subprocess.TimeoutExpired):  # some end at once, the others give no sign
                run.server.process.wait(0.5)
        finally:
            (run.folder / "go").touch()
        _expect(answer.result(SECONDS).text, "done")


def ends(run: Run) -> None:
    """After `in_flight`, which has asked the server to end."""
    try:
        run.server.process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        raise TimeoutError("the server did not end") from None
    if psutil.wait_procs(run.workers, SECONDS)[1]:
        raise TimeoutError("a worker did not end")


def lifespan(run: Run) -> None:
    """After `ends`."""
    if run.cell.app != "fastapi":
        raise NotThereError
    _expect((run.count("startup"), run.count("shutdown")), (1, 1))


CHECKS: Final[dict[str, Callable[[Run], None]]] = {
    "GET": get,
    "1 MB echo": echo,
    "chunked upload": chunked,
    "first block at once": first_block,
    "abandoned stream is closed": abandoned,
    "no thread or task left": left,
    "in flight at the signal": in_flight,
    "ends": ends,
    "lifespan once": lifespan,
}

NOT_THERE: Final = "·"

OF_SERVERS: Final[dict[tuple[str, str], str]] = {
    ("uWSGI", "chunked upload"): (
        "Nothing of a chunked body comes to its `wsgi.input`; it has a call of its own for it. "
        "Across the bridge that is answered 411: an empty body would look whole."
    ),
    ("Werkzeug", "in flight at the signal"): "It has no handler for SIGTERM, which ends the process at once.",
    ("Werkzeug", "lifespan once"): "It has no handler for SIGTERM, which ends the process at once.",
    ("Werkzeug, SIGINT", "in flight at the signal"): "It does not wait for its threads.",
    ("waitress", "in flight at the signal"): "It has no handler for SIGTERM, which ends the process at once.",
    ("waitress", "lifespan once"): "It has no handler for SIGTERM, which ends the process at once.",
    ("daphne", "in flight at the signal"): "It drops its connections when it is told to end.",
    ("daphne", "lifespan once"): "It has no lifespan.",
}
"""By server and check: what a server cannot do, and so fails with its native apps too, if they have it."""

OF_APPS: Final[dict[tuple[str, str], str]] = {
    ("django_wsgi", "chunked upload"): (
        "Django's WSGI handler reads nothing without a Content-Length, natively too."
    ),
}
"""By app and check: what fails under several servers, natively or bridged."""


def results_of(cell: Cell) -> dict[str, str | None]:
    """Run a cell; give for each check what was wrong, None if nothing was, NOT_THERE if it has no such thing.

    Each wait has a time limit, so that it ends whatever the server does.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.py").write_text(cell.main, "utf-8")
        port = free_port()
        with run(cell.kind.command(port), port, env={"MATRIX_FOLDER": name}, cwd=folder) as server:
            running = Run(cell, server, folder)
            with contextlib.suppress(httpx.HTTPError), running.client() as client:
                client.get("/", timeout=START_SECONDS)  # gunicorn listens before its workers can answer
            return {check: _failure(act, running) for check, act in CHECKS.items()}


def _failure(act: Callable[[Run], None], run: Run) -> str | None:
    try:
        act(run)
    except NotThereError:
        return NOT_THERE
    except (httpx.HTTPError, AssertionError, TimeoutError, StopIteration) as exc:
        return f"{type(exc).__name__}: {exc}".partition("\n")[0][:200].rstrip(".")
    return None


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"got {found!r:.80} instead of {expected!r:.80}")
