"""One server under load: who asks, what is counted, and what is sampled."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from soak.clients import ACTS, TIMEOUT, Act, Client, WrongAnswer
from soak.verdict import Allowance, Trend, trend_of
from tests.support.servers import Server

CLIENTS = 12
SAMPLES = 150
_LEAST_INTERVAL = 0.3
_SETTLING_SECONDS = 20.0
_EXAMPLES = 20

ALLOWED = {
    "rss": Allowance(0.03, 4 * 2**20),  # bytes: an arena of CPython is 1 MiB
    "threads": Allowance(0.1, 3.0),
    "tasks": Allowance(0.1, 5.0),
    "fds": Allowance(0.1, 6.0),
    "p99": Allowance(0.35, 0.02),  # seconds
}
"""By the name of a series."""


@dataclass
class Counts:
    """What the clients saw.

    Attributes:
        acts: how often each was done.
        wrong: what was answered wrongly, the first twenty.
        lost: what was not answered, the first twenty.
        wrong_answers: how many there were.
        lost_requests: how many there were.
    """

    acts: dict[str, int] = field(default_factory=lambda: {act.__name__: 0 for act in ACTS})
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong_answers: int = 0
    lost_requests: int = 0


class Load:
    """Clients in threads, until they are told to end.

    Args:
        port: of the server.
        clients: how many there are at once.
        acts: what they do, and how often.
        timeout: how long each waits for an answer, in seconds.
    """

    def __init__(
        self,
        port: int,
        clients: int = CLIENTS,
        acts: Mapping[Act, int] = ACTS,
        timeout: float = TIMEOUT,
    ) -> None:
        self._acts = acts
        self.counts = Counts()
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(Client(port, seed, timeout),)) for seed in range(clients)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Have each client end its act and go."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def p99(self) -> float | None:
        """Give the p99 of the common request since the last call, in seconds."""
        with self._lock:
            seconds, self._seconds = self._seconds, []
        seconds.sort()
        return seconds[int(len(seconds) * 0.99)] if seconds else None

    def _run(self, client: Client) -> None:
        with contextlib.closing(client):
            while not self._over.is_set():
                act = client.choose(self._acts)
                begun = time.perf_counter()
                error: Exception | None = None
                try:
                    act(client)
                except Exception as exc:  # of whatever kind: the request was not answered as it should
                    error = exc
                self._count(act.__name__, time.perf_counter() - begun, error)

    def _count(self, name: str, seconds: float, error: Exception | None) -> None:
        counts = self.counts
        with self._lock:
            counts.acts[name] += 1
            if error is None:
                if name == Client.hello.__name__:
                    self._seconds.append(seconds)
                return
            said = f"{name}: {type(error).__name__}: {error}"
            if isinstance(error, WrongAnswer):
                counts.wrong_answers += 1
                examples = counts.wrong
            else:
                counts.lost_requests += 1
                examples = counts.lost
            if len(examples) < _EXAMPLES:
                examples.append(said)


@dataclass
class Soaked:
    """What came of one server.

    Attributes:
        server: its name.
        seconds: how long it was under load.
        counts: what the clients saw.
        times: of the samples, in seconds from the start.
        series: the samples, by name.
        trends: of the series after the warm-up.
        left: what was left when the load had ended, by name; all 0 if nothing was.
        adapters: the figures of the adapters at the end.
    """

    server: str
    seconds: float
    counts: Counts
    times: list[float]
    series: dict[str, list[float]]
    trends: dict[str, Trend]
    left: dict[str, float]
    adapters: list[dict[str, Any]]

    def problems(self) -> list[str]:
        """Say what was not as it should be."""
        said = [
            f"{self.server}: {name} grew by {trend.growth:.3g}, of {trend.middle:.3g}"
            for name, trend in self.trends.items()
            if not trend.flat
        ]
        said += [f"{self.server}: wrong: {wrong}" for wrong in self.counts.wrong]
        said += [f"{self.server}: lost: {lost}" for lost in self.counts.lost]
        said += [
            f"{self.server}: {count:g} {name} left at the end" for name, count in self.left.items() if count
        ]
        idle = [name for name in (act.__name__ for act in ACTS) if not self.counts.acts[name]]
        said += [f"{self.server}: nobody did {name}" for name in idle]
        return said

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "requests": sum(self.counts.acts.values()), "problems": self.problems()}


def soak(name: str, server: Server, seconds: float) -> Soaked:
    """Put a server under load."""
    _held(server)  # gunicorn listens before its worker has imported the app: a first answer of 1.3 s
    (worker,) = server.workers()
    load = Load(server.port)
    interval = max(seconds / SAMPLES, _LEAST_INTERVAL)
    times: list[float] = []
    series: dict[str, list[float]] = {name: [] for name in ALLOWED}
    start = time.monotonic()
    load.start()
    try:
        while (now := time.monotonic() - start) < seconds:
            time.sleep(min(interval, seconds - now))  # the pace of the samples
            _sample(worker, server, load, series)
            times.append(time.monotonic() - start)
    finally:
        load.stop()
    held, left = _settled(server)
    trends = {name: trend_of(times, values, ALLOWED[name]) for name, values in series.items()}
    return Soaked(name, seconds, load.counts, times, series, trends, left, held["adapters"])


def _sample(worker: psutil.Process, server: Server, load: Load, series: dict[str, list[float]]) -> None:
    p99 = load.p99()
    taken = {
        "rss": worker.memory_info().rss,
        "threads": worker.num_threads(),
        "tasks": _held(server)["tasks"],
        "fds": worker.num_fds(),
        "p99": p99 if p99 is not None else (series["p99"] or [0.0])[-1],
    }
    for name, value in taken.items():
        series[name].append(value)


def _held(server: Server) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/held")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found


def _settled(server: Server) -> tuple[dict[str, Any], dict[str, float]]:
    """Wait until nothing is left of the load; give what the process holds, and what stays."""
    end = time.monotonic() + _SETTLING_SECONDS
    while True:
        held = _held(server)
        left = {
            name: sum(adapter[name] for adapter in held["adapters"])
            for name in ("in_flight", "waiting", "websockets", "background_tasks")
        }
        # The request that asks is one itself where the bridge serves it.
        left["in_flight"] -= any(adapter["direction"] == "asgi_to_wsgi" for adapter in held["adapters"])
        if not any(left.values()) or time.monotonic() > end:
            return held, left
        time.sleep(0.1)
