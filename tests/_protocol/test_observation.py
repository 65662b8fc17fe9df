"""Snapshots, histograms and outcomes, without anything that runs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.histogram import BOUNDS, Histogram, HistogramCounter, merged
from bridge._protocol.observation import Outcome, outcome_of, server_timing
from bridge.errors import (
    AppProtocolError,
    BodyTooLarge,
    ClientDisconnected,
    LifespanFailed,
    Overloaded,
    PeerProtocolError,
    RequestTimedOut,
)

durations = st.lists(st.floats(0, 1000, allow_nan=False), max_size=50)


def counted(seconds: list[float]) -> Histogram:
    counter = HistogramCounter()
    for one in seconds:
        counter.add([one])
    return counter.read()


@given(durations)
def test_each_duration_is_counted_once_and_in_its_class(seconds: list[float]) -> None:
    histogram = counted(seconds)

    assert histogram.count == len(seconds)
    assert histogram.total == pytest.approx(sum(seconds))
    for position, bound in enumerate(BOUNDS):
        assert sum(histogram.counts[: position + 1]) == sum(one <= bound for one in seconds)


@given(durations, durations)
def test_merging_is_counting_together(some: list[float], others: list[float]) -> None:
    together = merged([counted(some), counted(others)])

    assert together.counts == counted(some + others).counts
    assert together.total == pytest.approx(sum(some) + sum(others))


@pytest.mark.parametrize(
    ("seconds", "share", "expected"),
    [
        ([], 0.99, None),
        ([0.002], 0.5, 0.0025),
        ([0.001] * 99 + [0.2], 0.99, 0.001),
        ([0.001] * 98 + [0.2] * 2, 0.99, 0.25),
        ([90.0], 0.99, float("inf")),
    ],
)
def test_a_quantile_is_the_upper_bound_of_its_class(
    seconds: list[float], share: float, expected: float | None
) -> None:
    assert counted(seconds).quantile(share) == expected


class WaitressError(Exception):
    """Waitress's `ClientDisconnected` is no OSError."""


WaitressError.__name__ = "ClientDisconnected"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Overloaded("full"), Outcome.REJECTED),
        (RequestTimedOut("late"), Outcome.TIMED_OUT),
        (ClientDisconnected(), Outcome.DISCONNECTED),
        (WaitressError(), Outcome.DISCONNECTED),
        (asyncio.CancelledError(), Outcome.DISCONNECTED),
        (BodyTooLarge("large"), Outcome.REFUSED),
        (PeerProtocolError("bad"), Outcome.REFUSED),
        (AppProtocolError("bad app"), Outcome.FAILED),
        (LifespanFailed("no"), Outcome.FAILED),
        (ValueError("of the app"), Outcome.FAILED),
        (FileNotFoundError("of the app"), Outcome.FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_error_tells_the_outcome(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_server_timing_is_in_milliseconds() -> None:
    assert server_timing(0.00021, 0.0124) == "bridge-queue;dur=0.21, bridge-app;dur=12.40"
