"""Large bodies: how fast they pass (P8), and what they and many pending requests take of memory (P9)."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.measure import Case, Contestants, take_turns
from benchmarks.over_servers import FLOOR, GUNICORN, UVICORN, serving
from tests.support.servers import Server, watched_memory

NATIVE = "native"
MIB = 1024 * 1024

_STALL_SECONDS = 1.0
"""How long the slow peer reads nothing."""

_PENDING = 1000

# Each kind of app: its bridge and its native form are served by these.
_CONTESTANTS = {
    "WSGI app under uvicorn": {
        peers.US: (UVICORN, "served:transfer_wsgi_bridged"),
        NATIVE: (UVICORN, "served:transfer_asgi"),
        FLOOR: (UVICORN, "floors:transfer_floor_asgi"),
        "a2wsgi": (UVICORN, "served:transfer_wsgi_in_a2wsgi"),
    },
    "ASGI app under gunicorn": {
        peers.US: (GUNICORN, "served:transfer_asgi_bridged"),
        NATIVE: (GUNICORN, "served:transfer_wsgi"),
        FLOOR: (GUNICORN, "floors:transfer_floor_wsgi"),
        "a2wsgi": (GUNICORN, "served:transfer_asgi_in_a2wsgi"),
    },
}


def transfer(effort: Effort) -> list[Case]:
    """Measure the speed of large bodies, and memory."""
    cases: list[Case] = []
    for title, contestants in _CONTESTANTS.items():
        with ExitStack() as stack:
            servers = {
                name: stack.enter_context(serving(command, app))
                for name, (command, app) in contestants.items()
                if name != "a2wsgi" or peers.load(name, "a2wsgi", "WSGIMiddleware") is not None
            }
            # Memory first: what a large transfer leaves behind would hide the growth.
            memory = _slow_peer(title, servers)
            cases += [*_speed(title, servers, effort), *memory]
    return [*cases, *_pending()]


def _speed(title: str, servers: dict[str, Server], effort: Effort) -> list[Case]:
    down = Case("P8", f"{title}, down", "MiB/s", NATIVE, 0.9, "at least")
    up = Case("P8", f"{title}, up", "MiB/s", NATIVE, 0.9, "at least")
    downs: Contestants = {name: partial(_download, server, effort.mib) for name, server in servers.items()}
    ups: Contestants = {name: partial(_upload, server, effort.mib) for name, server in servers.items()}
    for number in range(effort.mib_rounds):
        take_turns(down, downs, number)
        take_turns(up, ups, number)
    return [down, up]


def _download(server: Server, mib: int) -> float:
    buffer = bytearray(MIB)
    with server.connect(60) as sock:
        start = time.perf_counter()
        sock.sendall(_get(mib * 16, 64))
        received = 0
        while received < mib * MIB:
            count = sock.recv_into(buffer)
            if not count:
                raise RuntimeError(f"only {received} bytes came:\n{server.output[-2000:]}")
            received += count
        return mib / (time.perf_counter() - start)


def _upload(server: Server, mib: int) -> float:
    block = bytes(MIB)
    length = mib * MIB
    head = f"POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    with server.connect(60) as sock:
        start = time.perf_counter()
        sock.sendall(head.encode())
        for _ in range(mib):
            sock.sendall(block)
        answer = b""
        while part := sock.recv(65536):
            answer += part
        seconds = time.perf_counter() - start
    if not answer.endswith(b"\r\n\r\n" + str(length).encode()):
        raise RuntimeError(f"not {length} bytes arrived: {answer[-300:]!r}\n{server.output[-2000:]}")
    return mib / seconds


def _get(blocks: int, kib: int) -> bytes:
    request = f"GET /down?{blocks},{kib} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return request.encode()


# ---------------------------------------------------------------- P9


def _slow_peer(title: str, servers: dict[str, Server]) -> list[Case]:
    """Measure how the server grows while a client has asked for 1 GiB and reads nothing."""
    cases: list[Case] = []
    for server in servers.values():
        for _ in range(20):  # starts the threads
            _download(server, 1)
    for blocks, kib, target in ((16 * 1024, 64, 32.0), (100, 10_000, None)):
        size = "64 KiB" if kib == 64 else "10 MB"
        case = Case("P9", f"{title}, slow client, blocks of {size}", "MiB", None, target)
        for name, server in servers.items():
            case.add(name, _growth(server, _get(blocks, kib)))
        cases.append(case)
    return cases


def _growth(server: Server, request: bytes) -> float:
    with watched_memory(server) as use, server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(request)
        time.sleep(_STALL_SECONDS)
    return use.growth / MIB


def _pending() -> list[Case]:
    """Measure what a pending request takes, each contestant in a process of its own."""
    cases: list[Case] = []
    for kind, contestants in {
        "WSGI app": (peers.US, "run_in_executor", "a2wsgi"),
        "ASGI app": (peers.US, "run_coroutine_threadsafe", "a2wsgi"),
    }.items():
        target = 40.0 if kind == "WSGI app" else None  # the other way the threads are the server's
        case = Case(
            "P9", f"{kind}, each of {_PENDING:,} pending".replace(",000", " 000"), "KiB", None, target
        )
        for name in contestants:
            if name == "a2wsgi" and peers.load(name, "a2wsgi", "WSGIMiddleware") is None:
                continue
            command = [sys.executable, "-m", "benchmarks.pending", kind, name, str(_PENDING)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            case.add(name, float(done.stdout))
        cases.append(case)
    return cases
