"""What is called flat, and what is not."""

from __future__ import annotations

import random

import pytest

from soak.verdict import Allowance, trend_of

TIMES = [float(second) for second in range(100)]
ALLOWANCE = Allowance(0.05, 2.0)


def noisy(seed: int) -> list[float]:
    chance = random.Random(seed)
    return [100 + chance.gauss(0, 3) for _ in TIMES]


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_flat(seed: int) -> None:
    assert trend_of(TIMES, noisy(seed), ALLOWANCE).flat


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_in_noise_is_not_flat(seed: int) -> None:
    leaking = [value + 0.15 * t for t, value in zip(TIMES, noisy(seed), strict=True)]

    trend = trend_of(TIMES, leaking, ALLOWANCE)

    assert not trend.flat
    assert trend.growth == pytest.approx(0.15 * 69, rel=0.3)


def test_growth_before_the_end_of_the_warm_up_is_not_looked_at() -> None:
    assert trend_of(TIMES, [min(t, 25) * 100 for t in TIMES], ALLOWANCE).growth == 0


def test_a_spike_bends_nothing() -> None:
    values = [100.0] * 98 + [10_000.0] * 2

    assert trend_of(TIMES, values, ALLOWANCE).flat


def test_what_falls_is_flat() -> None:
    assert trend_of(TIMES, [1000 - t for t in TIMES], ALLOWANCE).flat


def test_a_step_that_stays_is_not_flat() -> None:
    assert not trend_of(TIMES, [10.0 if t < 60 else 20.0 for t in TIMES], ALLOWANCE).flat


def test_too_few_samples_tell_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        trend_of([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], ALLOWANCE)
