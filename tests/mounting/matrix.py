"""The cells: which hosts, which child, which server; and what is known to differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from tests.mounting.probes import Answer, added_by, probes_for, run_probe
from tests.mounting.site import PREFIX
from tests.support.servers import Server, serve, wait_for_output

FRAMEWORKS = ("flask", "django", "fastapi")
SERVERS = {"uvicorn": "asgi", "gunicorn": "wsgi"}
NATIVE_SERVER = {"flask": "gunicorn", "django": "gunicorn", "fastapi": "uvicorn"}


@dataclass(frozen=True)
class Cell:
    """One site.

    Attributes:
        hosts: from the outside in.
        child: what is compared with itself.
        server: a key of SERVERS.
    """

    hosts: tuple[str, ...]
    child: str
    server: str

    @property
    def name(self) -> str:
        return " in ".join((self.child, *reversed(self.hosts)))

    @property
    def prefix(self) -> str:
        return f"/{PREFIX}" if len(self.hosts) == 1 else f"/outer/{PREFIX}"


CELLS = [
    *(Cell((host,), child, server) for server in SERVERS for host in FRAMEWORKS for child in FRAMEWORKS),
    *(Cell(("django", "fastapi"), "flask", server) for server in SERVERS),
]


@dataclass(frozen=True)
class Known:
    """A difference that is known.

    Attributes:
        probe: where it shows.
        reason: why it is so.
        host: the outermost host that has it; "" for all.
        child: the child that has it; "" for all.
        server: the server that has it; "" for all.
    """

    probe: str
    reason: str
    host: str = ""
    child: str = ""
    server: str = ""

    def covers(self, cell: Cell, probe: str) -> bool:
        """Tell whether it is about a probe of a cell."""
        return (
            probe == self.probe
            and self.host in ("", cell.hosts[0])
            and self.child in ("", cell.child)
            and self.server in ("", cell.server)
        )


KNOWN: list[Known] = []


@contextmanager
def serve_cell(hosts: tuple[str, ...], child: str, server: str) -> Iterator[Server]:
    """Serve a site until the block ends."""
    env = {"MOUNT_HOSTS": ",".join(hosts), "MOUNT_CHILD": child}
    with serve(server, f"tests.mounting.site:{SERVERS[server]}", env=env) as running:
        yield running


@cache
def native_answers(child: str) -> dict[str, list[Answer]]:
    """Ask a child as its framework's users serve it."""
    with serve_cell((), child, NATIVE_SERVER[child]) as server:
        return {name: run_probe(name, server.url, "", child) for name in probes_for(child)}


def differences_of(cell: Cell) -> dict[str, list[str]]:
    """Ask the child of a cell, and say for each probe in what it differs from the native one."""
    native = native_answers(cell.child)
    found: dict[str, list[str]] = {}
    with serve_cell(cell.hosts, cell.child, cell.server) as server:
        for name in probes_for(cell.child):
            mounted = run_probe(name, server.url, cell.prefix, cell.child)
            found[name] = _compare(native[name], mounted, added_by(cell.hosts))
        if cell.child == "fastapi":
            wait_for_output(server, "the child starts")
            found["lifespan"] += _stop_and_look(server)
    return found


def _compare(native: list[Answer], mounted: list[Answer], added: frozenset[str]) -> list[str]:
    return [
        text
        for before, after in zip(native, mounted, strict=True)
        for text in before.differences(after, added=added)
    ]


def _stop_and_look(server: Server) -> list[str]:
    server.process.terminate()
    server.process.wait(30)
    return [] if "the child stops" in server.output else ["the child was not shut down with the server"]


def reason_for(cell: Cell, probe: str) -> str | None:
    """Give the reason of a known difference; None if there is none."""
    return next((known.reason for known in KNOWN if known.covers(cell, probe)), None)
