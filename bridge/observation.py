"""What can be seen of the adapters of a process: snapshots, and each request as it ends."""

from __future__ import annotations

from bridge._protocol.histogram import Histogram
from bridge._protocol.observation import (
    AdapterStats,
    Direction,
    Measured,
    Observer,
    Outcome,
    RequestBegan,
    RequestEnded,
)
from bridge._runtime.observing import observed_adapters

__all__ = [
    "AdapterStats",
    "Direction",
    "Histogram",
    "Measured",
    "Observer",
    "Outcome",
    "RequestBegan",
    "RequestEnded",
    "stats",
]


def stats() -> list[AdapterStats]:
    """Tell what each adapter of this process does now, in the order of names; from any thread.

    An adapter is listed from its construction until nothing holds it any more.
    """
    return sorted(
        (adapter.stats() for adapter in list(observed_adapters)),
        key=lambda stats: (stats.app, stats.direction),
    )
