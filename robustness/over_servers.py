"""Load and faults over real servers: a case is a function of a server that tells what was seen."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psutil

from robustness.apps import BLOCK, MANY_BLOCKS
from soak.clients import OF_HTTP
from soak.run import CLIENTS, Load
from tests.support.servers import Server, free_port, run

PATIENCE = 5.0
"""How long an answer is waited for, in seconds; who has not given one by then, hangs."""

MIXED_SECONDS = 6.0
"""How long the mixed load lasts."""

ABANDONED = 48
"""More than the 40 threads of the largest pool by default."""

_COMMANDS = {
    "wsgi_to_asgi": [
        *["uvicorn", "robustness.apps:{app}_asgi", "--factory", "--port", "{port}"],
        *["--no-access-log", "--log-level", "critical"],
    ],
    "asgi_to_wsgi": [
        *["gunicorn", "robustness.apps:{app}_wsgi()", "--bind", "127.0.0.1:{port}"],
        *["--worker-class", "gthread", "--threads", "8", "--graceful-timeout", "1"],
        *["--no-control-socket", "--log-level", "critical"],
    ],
}


@dataclass(frozen=True)
class Seen:
    """What a case came to.

    Attributes:
        held: whether it was as it has to be.
        said: what was seen, with figures.
    """

    held: bool
    said: str


Case: TypeAlias = Callable[[Server], Seen]


@contextmanager
def serving(direction: str, contestant: str, app: str = "served") -> Iterator[Server]:
    """Run the server of a direction with a contestant, once it answers; killed by its id if it does not end.

    Args:
        direction: of the bridge.
        contestant: whose it is.
        app: "served" or "soaked".
    """
    port = free_port()
    command = [part.format(port=port, app=app) for part in _COMMANDS[direction]]
    env = {"BRIDGE_CONTESTANT": contestant, "PYTHONWARNINGS": "ignore"}
    with run([sys.executable, "-m", *command], port, env=env) as server:
        try:
            ask(server, "/quick", timeout=30)  # gunicorn listens while its worker still imports the app
            yield server
        finally:  # the worst of them do not end when they are asked to
            for process in [*server.workers(), psutil.Process(server.process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


# ------------------------------------------------------------ what clients do


def ask(
    server: Server, path: str, *, timeout: float = PATIENCE, body: bytes | None = None
) -> tuple[int, bytes, float]:
    """Ask over a new connection.

    Returns:
        The status, 0 for a connection that was closed, -1 for no answer in time; the body; the seconds.
    """
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    with contextlib.closing(connection):
        try:
            connection.request("POST" if body is not None else "GET", path, body)
            response = connection.getresponse()
            return response.status, response.read(), time.perf_counter() - begun
        except TimeoutError:
            return -1, b"", time.perf_counter() - begun
        except http.client.IncompleteRead as exc:
            return response.status, exc.partial + b"...", time.perf_counter() - begun
        except (http.client.HTTPException, OSError):
            return 0, b"", time.perf_counter() - begun


def noted(server: Server) -> dict[str, Any]:
    """Ask what the app has noted; no bridge is asked for that."""
    status, body, _ = ask(server, "/noted")
    found: dict[str, Any] = json.loads(body) if status == 200 else {}
    return found


def settles(server: Server, key: str, value: object) -> bool:
    """Wait for the app to note something."""
    end = time.monotonic() + PATIENCE
    while noted(server).get(key) != value:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def still_serves(server: Server, what: str) -> Seen:
    """Ask for the quick page."""
    status, body, seconds = ask(server, "/quick")
    if status == 200 and body == b"ok":
        return Seen(True, f"{what}; the next request took {seconds * 1000:.0f} ms")
    return Seen(False, f"{what}; the next request: {_named(status)}")


def _named(status: int) -> str:
    return {0: "closed without an answer", -1: f"no answer within {PATIENCE:.0f} s"}.get(status, str(status))


def begin(server: Server, path: str) -> socket.socket:
    """Send a request, and wait for the beginning of its answer, but not for long."""
    sock = server.connect(0.3)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    with contextlib.suppress(TimeoutError):
        sock.recv(1)
    return sock


# ------------------------------------------------------------ load


def abandoned_streams(server: Server) -> Seen:
    for _ in range(ABANDONED):
        begin(server, "/endless").close()
    ended = settles(server, "open", 0)
    left = noted(server).get("open", "?")
    seen = still_serves(server, f"{left} of {ABANDONED} streams still run")
    return Seen(seen.held and ended, seen.said)


def slow_readers(server: Server) -> Seen:
    socks = [begin(server, "/large") for _ in range(ABANDONED)]
    try:
        return still_serves(server, f"{ABANDONED} clients do not read their 8 MiB")
    finally:
        for sock in socks:
            sock.close()


def slow_requests(server: Server) -> Seen:
    """Twice as many slow requests as any pool has threads, and a native page beside them."""
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(server, "/slow", timeout=30)[0]))
        for _ in range(80)
    ]
    for thread in threads:
        thread.start()
    native: list[float] = []
    while any(thread.is_alive() for thread in threads):
        status, _, seconds = ask(server, "/native", timeout=30)
        native.append(seconds if status == 200 else 30.0)
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    worst = sorted(native)[int(len(native) * 0.99)]
    answered = answers.count(200)
    return Seen(
        answered == 80, f"{answered} of 80 answered; p99 of a native page beside them {worst * 1000:.0f} ms"
    )


def unread_memory(server: Server) -> Seen:
    worker = server.workers()[0]
    before = worker.memory_info().rss
    sock = begin(server, "/many")
    peak = before
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        peak = max(peak, worker.memory_info().rss)
        time.sleep(0.02)
    sock.close()
    mib = (peak - before) / 2**20
    whole = MANY_BLOCKS * len(BLOCK) / 2**20
    return Seen(mib < whole / 4, f"{mib:.0f} MiB held of {whole:.0f} that a client does not read")


# ------------------------------------------------------------ faults


def raised_before(server: Server) -> Seen:
    statuses = [ask(server, "/before")[0] for _ in range(5)]
    seen = still_serves(server, f"answered {_named(statuses[0])}")
    return Seen(seen.held and set(statuses) == {500}, seen.said)


def raised_in_the_middle(server: Server) -> Seen:
    status, body, _ = ask(server, "/middle")
    cut = body.endswith(b"...") or status == 500
    what = "the cut response looks cut" if cut else f"{_named(status)}, {len(body)} bytes: looks whole"
    seen = still_serves(server, what if status != -1 else "no end of the response within 5 s")
    return Seen(seen.held and cut, seen.said)


def system_exit(server: Server) -> Seen:
    pid = noted(server).get("pid")
    status, _, _ = ask(server, "/exit")
    seen = still_serves(server, f"answered {_named(status)}")
    alive = noted(server).get("pid") == pid
    return Seen(seen.held and alive and status == 500, seen.said if alive else "the worker ended")


def no_response(server: Server) -> Seen:
    statuses = [ask(server, "/silent", timeout=2)[0] for _ in range(8)]
    seen = still_serves(server, f"answered {_named(statuses[0])}")
    return Seen(seen.held and set(statuses) == {500}, seen.said)


def truncated_upload(server: Server) -> Seen:
    with server.connect() as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
        time.sleep(0.2)  # the app is to wait for the rest
    ended = settles(server, "upload", "error")
    upload = noted(server).get("upload", "?")
    said = {
        "error": "the app saw an error",
        "whole": "the app took it for a whole body",
        "cut": "the app still waits",
        "nothing": "the app was not called",
    }.get(upload, upload)
    seen = still_serves(server, said)
    return Seen(seen.held and (ended or upload == "nothing"), seen.said)


def abandoned_uploads(server: Server) -> Seen:
    for _ in range(ABANDONED):
        with server.connect() as sock:
            sock.sendall(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
    return still_serves(server, f"{ABANDONED} clients left their uploads")


def background_work(server: Server) -> Seen:
    status, _, seconds = ask(server, "/background")
    return Seen(
        status == 200 and seconds < 1.0, f"the response took {seconds:.1f} s, beside 3 s of work after it"
    )


# ------------------------------------------------------------ nothing lost


def mixed_load(server: Server) -> Seen:
    """Put the mix of the soak on the server, without its WebSockets, which no peer serves."""
    load = Load(server.port, acts=OF_HTTP, timeout=PATIENCE)
    load.start()
    time.sleep(MIXED_SECONDS)  # that long
    load.stop()
    counts = load.counts
    said = f"{sum(counts.acts.values())} requests: {counts.wrong_answers} wrong, {counts.lost_requests} lost"
    examples = sorted({what.partition(":")[0] for what in counts.wrong + counts.lost})
    if examples:
        said += f" ({', '.join(examples)})"
    return Seen(not counts.wrong_answers and not counts.lost_requests, said)


_LOAD: dict[str, Case] = {
    f"{ABANDONED} clients abandon endless streams": abandoned_streams,
    f"{ABANDONED} clients abandon their uploads": abandoned_uploads,
    "80 requests that take half a second": slow_requests,
    "a client that does not read 64 MiB": unread_memory,
}
_FAULTS: dict[str, Case] = {
    "the app raises before its response": raised_before,
    "the app raises in the middle of it": raised_in_the_middle,
    "the app raises SystemExit": system_exit,
    "the app ends without a response": no_response,
    "an upload is cut short": truncated_upload,
}

MIXED: dict[str, Case] = {f"{CLIENTS} clients for {MIXED_SECONDS:.0f} seconds": mixed_load}

CASES: dict[str, dict[str, dict[str, Case]]] = {
    "wsgi_to_asgi": {
        # Not under gunicorn: its own threads write a response, so such clients take them from any app.
        "load": {**_LOAD, f"{ABANDONED} clients do not read a response that is whole": slow_readers},
        "faults": _FAULTS,
        "lost": MIXED,
    },
    "asgi_to_wsgi": {
        "load": _LOAD,
        "faults": {**_FAULTS, "work goes on after the response": background_work},
        "lost": MIXED,
    },
}
"""By direction and group."""
