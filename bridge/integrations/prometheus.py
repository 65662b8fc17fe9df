"""Prometheus: what the adapters of this process do, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as exc:
    raise ImportError(
        'bridge.integrations.prometheus needs prometheus_client: pip install "asgi-wsgi-bridge[metrics]"'
    ) from exc

from bridge._protocol.observation import Outcome, combined
from bridge.observation import AdapterStats, Histogram, stats

__all__ = ["BridgeCollector"]

_LABELS = ("app", "direction")

_GAUGES = {
    "in_flight": ("bridge_requests_in_flight", "Requests whose response is not complete."),
    "waiting": ("bridge_requests_waiting", "Requests that wait for a thread or a place."),
    "websockets": ("bridge_websockets_open", "Open WebSockets."),
    "background_tasks": ("bridge_background_tasks", "Tasks that go on after their response."),
}
_COUNTERS = {
    "crossings": ("bridge_crossings", "Messages from threads to the event loop."),
    "wakeups": ("bridge_wakeups", "How often these had to wake the loop."),
}


class Observable(Protocol):
    """An adapter."""

    def stats(self) -> AdapterStats:
        """Tell what it does now."""


class BridgeCollector(Collector):
    """Gives the figures of adapters to a registry, read at each scrape; nothing is kept in between.

    Adapters of the same name and direction are added up, since a series may stand once only. Bytes, durations
    and completed requests are those of adapters with `measure=True`.

    Args:
        adapters: whose figures; None for all adapters of this process, also later ones.
    """

    def __init__(self, adapters: Iterable[Observable] | None = None) -> None:
        self._adapters = None if adapters is None else tuple(adapters)

    def collect(self) -> Iterator[Metric]:
        """Give the families of metrics."""
        adapters = self._adapters
        found = combined(stats() if adapters is None else [adapter.stats() for adapter in adapters])
        yield from _gauges(found)
        yield _threads(found)
        yield _requests(found)
        for attribute, (name, said) in _COUNTERS.items():
            counter = CounterMetricFamily(name, said, labels=_LABELS)
            for one in found:
                counter.add_metric((one.app, one.direction), getattr(one, attribute))
            yield counter
        yield from _measured(found)

    def describe(self) -> Iterator[Metric]:
        """Give the families without figures: registering reads nothing yet."""
        yield from _gauges([])
        yield _threads([])
        yield _requests([])
        for name, said in _COUNTERS.values():
            yield CounterMetricFamily(name, said, labels=_LABELS)
        yield from _measured([])


def _gauges(found: list[AdapterStats]) -> Iterator[Metric]:
    for attribute, (name, said) in _GAUGES.items():
        gauge = GaugeMetricFamily(name, said, labels=_LABELS)
        for one in found:
            gauge.add_metric((one.app, one.direction), getattr(one, attribute))
        yield gauge


def _threads(found: list[AdapterStats]) -> Metric:
    threads = GaugeMetricFamily("bridge_threads", "Threads of the adapter.", labels=(*_LABELS, "state"))
    for one in found:
        threads.add_metric((one.app, one.direction, "busy"), one.busy_threads)
        threads.add_metric((one.app, one.direction, "idle"), one.idle_threads)
    return threads


def _requests(found: list[AdapterStats]) -> Metric:
    requests = CounterMetricFamily(
        "bridge_requests", "Requests that have ended, by how.", labels=(*_LABELS, "outcome")
    )
    for one in found:
        for outcome, count in one.outcomes.items():
            requests.add_metric((one.app, one.direction, outcome.value), count)
        if one.measured is not None:
            requests.add_metric((one.app, one.direction, Outcome.COMPLETED.value), one.measured.completed)
    return requests


def _measured(found: list[AdapterStats]) -> Iterator[Metric]:
    received = CounterMetricFamily("bridge_received_bytes", "Bytes of request bodies.", labels=_LABELS)
    sent = CounterMetricFamily("bridge_sent_bytes", "Bytes of response bodies.", labels=_LABELS)
    seconds = HistogramMetricFamily(
        "bridge_request_duration_seconds", "From the arrival of a request to its end.", labels=_LABELS
    )
    for one in found:
        measured = one.measured
        if measured is not None:
            labels = (one.app, one.direction)
            received.add_metric(labels, measured.received_bytes)
            sent.add_metric(labels, measured.sent_bytes)
            seconds.add_metric(labels, _buckets(measured.seconds), measured.seconds.total)
    yield from (received, sent, seconds)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Give the classes as Prometheus has them: each counts those below it too."""
    names = [*(repr(bound) for bound in histogram.bounds), "+Inf"]
    below = 0
    buckets: list[tuple[str, float]] = []
    for name, count in zip(names, histogram.counts, strict=True):
        below += count
        buckets.append((name, below))
    return buckets
