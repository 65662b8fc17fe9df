"""Measures over real servers, driven by wrk (P3 to P6)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.measure import Case, rotated
from tests.support.servers import Server, free_port, run

CONNECTIONS = 16

FLOOR = "floor"
"""What no bridge can beat: the app on the same server without a bridge; see `floors`."""

_FACTORY = "benchmarks.{}"

# No access log anywhere: it is a cost of the server, and not all write one by default.
UVICORN = ["uvicorn", _FACTORY, "--factory", "--port", "{port}", "--no-access-log", "--log-level", "warning"]
GUNICORN = [
    *["gunicorn", _FACTORY + "()", "--bind", "127.0.0.1:{port}", "--log-level", "warning"],
    *["--worker-class", "gthread", "--threads", str(CONNECTIONS)],
]
GRANIAN = [
    *["granian", _FACTORY, "--factory", "--port", "{port}", "--interface", "wsgi", "--workers", "1"],
    *["--no-access-log", "--log-level", "warning"],
]
WAITRESS = [
    "waitress",
    "--port",
    "{port}",
    "--host",
    "127.0.0.1",
    "--threads",
    str(CONNECTIONS),
    "--call",
    _FACTORY,
]

FLASK = {
    peers.US: (UVICORN, "served:flask_bridged"),
    "gunicorn": (GUNICORN, "served:flask_native"),
    "granian": (GRANIAN, "served:flask_native"),
    "waitress": (WAITRESS, "served:flask_native"),
    "a2wsgi": (UVICORN, "served:flask_in_a2wsgi"),
    FLOOR: (UVICORN, "floors:flask_floor"),
}
FASTAPI = {
    peers.US: (GUNICORN, "served:fastapi_bridged"),
    "native WSGI": (GUNICORN, "served:wsgi_native"),
    "Flask": (GUNICORN, "served:flask_native"),
    "a2wsgi": (GUNICORN, "served:fastapi_in_a2wsgi"),
    FLOOR: (GUNICORN, "floors:fastapi_floor"),
    "uvicorn, native": (UVICORN, "served:fastapi_native"),
}


UNWATCHED = "not measured"

OBSERVED = {
    "Flask under uvicorn": {
        peers.US: (UVICORN, "served:flask_measured"),
        UNWATCHED: (UVICORN, "served:flask_bridged"),
        "with an observer": (UVICORN, "served:flask_observed"),
    },
    "FastAPI under gunicorn": {
        peers.US: (GUNICORN, "served:fastapi_measured"),
        UNWATCHED: (GUNICORN, "served:fastapi_bridged"),
        "with an observer": (GUNICORN, "served:fastapi_observed"),
    },
}


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second, and the 99th percentile of the latency in ms."""

    rate: float
    p99: float


def flask(effort: Effort) -> list[Case]:
    """Measure a Flask page: bridged, and native on three servers (P3, P4, P5)."""
    loads = _loads(FLASK, effort)
    setting = f"Flask hello, {CONNECTIONS} connections"
    p3 = Case("P3", setting, "requests/s", "gunicorn", 4.0, "at least")
    p4 = Case("P4", setting, "requests/s", "granian", 0.7, "at least")
    p5 = Case("P5", setting, "ms", "gunicorn", 0.5)
    for name, taken in loads.items():
        p3.samples[name] = [load.rate for load in taken]
        p4.samples[name] = [load.rate for load in taken]
        p5.samples[name] = [load.p99 for load in taken]
    return [p3, p4, p5] if loads else []


def fastapi(effort: Effort) -> list[Case]:
    """Measure a FastAPI page under a WSGI server, against a plain WSGI app there (P6)."""
    loads = _loads(FASTAPI, effort)
    case = Case("P6", f"{CONNECTIONS} connections", "requests/s", "native WSGI", 0.9, "at least")
    for name, taken in loads.items():
        case.samples[name] = [load.rate for load in taken]
    return [case] if loads else []


def observed(effort: Effort) -> list[Case]:
    """Measure what `measure=True` costs, and an observer beside it (P13)."""
    cases: list[Case] = []
    # A few per cent are less than a machine varies from one second to the next: many short turns. Four times
    # as many narrow the quartiles little, and take `make bench` beyond its ten minutes.
    effort = replace(effort, server_rounds=2 * effort.server_rounds, server_seconds=1)
    for setting, contestants in OBSERVED.items():
        case = Case("P13", setting, "requests/s", UNWATCHED, 0.97, "at least")
        for name, taken in _loads(contestants, effort).items():
            case.samples[name] = [load.rate for load in taken]
        cases += [case] if case.samples else []
    return cases


def _loads(contestants: dict[str, tuple[list[str], str]], effort: Effort) -> dict[str, list[Load]]:
    """Start all servers, and drive them in turn."""
    if shutil.which("wrk") is None:
        peers.skipped["servers"] = "wrk is not installed"
        return {}
    with ExitStack() as stack:
        drives: dict[str, Callable[[], Load]] = {}
        for name, (command, app) in contestants.items():
            if not _installed(name, command, app):
                continue
            server = stack.enter_context(serving(command, app))
            drives[name] = partial(_wrk, server, effort.server_seconds)
            _wrk(server, 1)  # starts its threads
        taken: dict[str, list[Load]] = {name: [] for name in drives}
        for turn in range(effort.server_rounds):
            for name in rotated(drives, turn):
                taken[name].append(drives[name]())
    return taken


def _installed(name: str, command: list[str], app: str) -> bool:
    needed = [command[0], app.partition(":")[2].partition("_")[0], *(["a2wsgi"] if name == "a2wsgi" else [])]
    lacking = [package for package in needed if package != "wsgi" and find_spec(package) is None]
    if lacking:
        peers.skipped[f"{name} ({app})"] = f"not installed: {', '.join(lacking)}"
    return not lacking


def serving(command: list[str], app: str) -> AbstractContextManager[Server]:
    """Run a server with an app of `served` or `floors`, until the block ends."""
    port = free_port()
    filled = [part.replace("{}", app).replace("{port}", str(port)) for part in command]
    return run([sys.executable, "-m", *filled], port)


def _wrk(server: Server, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", server.url + "/"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if rate is None or p99 is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk found errors:\n{output}\n{server.output[-2000:]}")
    return Load(float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]])
