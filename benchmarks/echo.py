"""Echo of 100-byte messages over one WebSocket, through the bridge and by the app's own server (P14)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.measure import Case, Contestants, take_turns
from benchmarks.over_servers import GUNICORN, UVICORN, serving
from tests.support.servers import Server

MESSAGE = b"x" * 100

DIRECTIONS = {
    "flask-sock under uvicorn, against gunicorn gthread": {
        peers.US: (UVICORN, "served:sock_bridged"),
        "native": (GUNICORN, "served:sock_native"),
    },
    "FastAPI under gunicorn gthread, against uvicorn": {
        peers.US: (GUNICORN, "served:fastapi_echo_bridged"),
        "native": (UVICORN, "served:fastapi_echo_native"),
    },
}


def echo(effort: Effort) -> list[Case]:
    """Measure round trips a second over one connection, in each direction."""
    missing = [name for name in ("websockets", "flask_sock", "wsproto") if find_spec(name) is None]
    if missing:
        peers.skipped["P14"] = f"not installed: {', '.join(missing)}"
        return []
    cases = []
    for setting, servers in DIRECTIONS.items():
        case = Case("P14", setting, "round trips/s", "native", 0.5, "at least")
        with ExitStack() as stack:
            contestants: Contestants = {
                name: partial(_rate, stack.enter_context(serving(command, app)), effort.server_seconds)
                for name, (command, app) in servers.items()
            }
            for turn in range(effort.server_rounds):
                take_turns(case, contestants, turn)
        cases.append(case)
    return cases


def _rate(server: Server, seconds: int) -> float:
    """Send and receive in turn; nothing is compressed."""
    from websockets.sync.client import connect

    url = f"ws://127.0.0.1:{server.port}/echo"
    with connect(url, compression=None, max_size=None) as client:
        for _ in range(100):  # the first are slower
            _round_trip(client.send, client.recv)
        count = 0
        begin = time.perf_counter()
        end = begin + seconds
        while time.perf_counter() < end:
            _round_trip(client.send, client.recv)
            count += 1
        return count / (time.perf_counter() - begin)


def _round_trip(send: Callable[[bytes], object], receive: Callable[[], object]) -> None:
    send(MESSAGE)
    if receive() != MESSAGE:
        raise RuntimeError("the echo is another message")
