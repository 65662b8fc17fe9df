"""What a slow WSGI app does to a health endpoint on the same loop (P12)."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from statistics import quantiles

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.measure import Case, Contestants, take_turns
from benchmarks.over_servers import UVICORN, serving
from tests.support.servers import Server

SLOW_CONNECTIONS = 200

_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PAUSE_SECONDS = 0.001


def neighbour(effort: Effort) -> list[Case]:
    """Measure the p99 of the health endpoint while 200 requests of half a second are pending, above idle."""
    if shutil.which("wrk") is None:
        peers.skipped["P12"] = "wrk is not installed"
        return []
    case = Case("P12", f"{SLOW_CONNECTIONS} slow requests pending, p99 above idle", "ms", None, 2.0)
    with ExitStack() as stack:
        contestants: Contestants = {}
        for name, app in {peers.US: "served:slow_bridged", "a2wsgi": "served:slow_in_a2wsgi"}.items():
            if name == "a2wsgi" and peers.load(name, "a2wsgi", "WSGIMiddleware") is None:
                continue
            server = stack.enter_context(serving(UVICORN, app))
            contestants[name] = partial(_above_idle, server, effort.server_seconds)
        for number in range(effort.server_rounds):
            take_turns(case, contestants, number)
    return [case]


def _above_idle(server: Server, seconds: int) -> float:
    idle = _p99(server, seconds)
    command = ["wrk", "-t1", f"-c{SLOW_CONNECTIONS}", f"-d{seconds + 2}s", "--timeout", "60s"]
    load = subprocess.Popen([*command, server.url + "/slow"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)  # until all have connected
        return _p99(server, seconds) - idle
    finally:
        load.terminate()
        load.wait()


def _p99(server: Server, seconds: int) -> float:
    """Ask again and again over one connection; give the 99th percentile of the time to the answer, in ms."""
    now = time.perf_counter
    taken: list[float] = []
    with server.connect() as sock:
        end = now() + seconds
        while now() < end:
            start = now()
            sock.sendall(_REQUEST)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                part = sock.recv(65536)
                if not part:
                    raise RuntimeError(f"the health endpoint answered {answer!r}")
                answer += part
            taken.append((now() - start) * 1000)
            time.sleep(_PAUSE_SECONDS)
    return quantiles(taken, n=100)[98]
