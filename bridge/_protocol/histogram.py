"""How long requests took, in a fixed number of classes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["BOUNDS", "Histogram", "HistogramCounter", "merged"]

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper bounds of the classes, in seconds, each of them within its class; above the last is one more."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations, counted by classes.

    Attributes:
        bounds: the upper bounds of the classes, in seconds, ascending; each belongs to its class.
        counts: how many fell into each class; one more at the end for what is above all bounds.
        total: all of them together, in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Estimate under which duration a share of all lies, in seconds: the upper bound of its class.

        Args:
            share: from 0 to 1; 0.99 for the p99.

        Returns:
            None where nothing was counted; infinity where it lies above all bounds.
        """
        left = share * self.count
        if not self.count:
            return None
        for bound, count in zip(self.bounds, self.counts, strict=False):
            left -= count
            if left <= 0 and count:
                return bound
        return float("inf")


class HistogramCounter:
    """Counts durations. Not thread-safe: its owner has a lock."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0

    def add(self, seconds: Collection[float]) -> None:
        """Count some."""
        ordered, below = sorted(seconds), 0  # fewer comparisons than to look each up
        counts = self._counts
        for place, bound in enumerate(BOUNDS):
            within = bisect_right(ordered, bound)
            counts[place] += within - below
            below = within
            if within == len(ordered):
                break
        counts[-1] += len(ordered) - below
        self._total += sum(ordered)

    def read(self) -> Histogram:
        """Give what was counted."""
        return Histogram(BOUNDS, tuple(self._counts), self._total)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms of the same bounds up."""
    counts = [0] * (len(BOUNDS) + 1)
    total = 0.0
    for histogram in histograms:
        counts = [a + b for a, b in zip(counts, histogram.counts, strict=True)]
        total += histogram.total
    return Histogram(BOUNDS, tuple(counts), total)
