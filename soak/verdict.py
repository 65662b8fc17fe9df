"""Whether something stayed flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WARM_UP = 0.3
"""The share of a run in which caches, arenas and pools may still fill."""


@dataclass(frozen=True)
class Allowance:
    """How much a series may grow from the end of the warm-up to the end, and still be called flat.

    Attributes:
        share: of its own median; what a machine varies by.
        amount: in its own unit; the larger of the two holds.
    """

    share: float
    amount: float


@dataclass(frozen=True)
class Trend:
    """A series after the warm-up.

    Attributes:
        middle: its median.
        growth: over the time that was looked at.
        allowed: the most growth.
    """

    middle: float
    growth: float
    allowed: float

    @property
    def flat(self) -> bool:
        """Whether it grew no more than it may. What falls is flat."""
        return self.growth <= self.allowed


def trend_of(times: Sequence[float], values: Sequence[float], allowance: Allowance) -> Trend:
    """Look at a series after its warm-up.

    It grows by its slope, the median of those between all pairs of samples (Theil and Sen), or from its first
    third to its last, which tells a step: the larger of the two. Neither is bent by a spike.

    Args:
        times: in seconds, ascending.
        values: as many.
        allowance: what may be.

    Raises:
        ValueError: there are fewer than three samples after the warm-up.
    """
    start = times[0] + WARM_UP * (times[-1] - times[0]) if times else 0.0
    kept = [(t, v) for t, v in zip(times, values, strict=True) if t >= start]
    if len(kept) < 3:
        raise ValueError(f"{len(kept)} samples after the warm-up: too few to tell")
    slope = median(
        (after - before) / (end - begin)
        for number, (begin, before) in enumerate(kept)
        for end, after in kept[number + 1 :]
        if end > begin
    )
    later = [value for _, value in kept]
    third = max(len(later) // 3, 1)
    growth = max(slope * (kept[-1][0] - kept[0][0]), median(later[-third:]) - median(later[:third]))
    middle = median(later)
    return Trend(middle, growth, max(allowance.share * middle, allowance.amount))
