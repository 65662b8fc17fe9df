from __future__ import annotations

import pytest

from bridge._protocol.heartbeat import Heartbeat


def beaten(*, unsent: int = 0) -> Heartbeat:
    """One whose first interval is over, and in which nothing has come since."""
    heartbeat = Heartbeat()
    assert heartbeat.beat(reading=True, writable=True, unsent=unsent)
    return heartbeat


@pytest.mark.parametrize(
    ("reading", "writable", "unsent", "alive"),
    [
        (True, True, 0, False),
        (False, True, 0, True),
        (False, False, 3, True),
        (False, False, 5, False),
        (True, False, 3, False),
    ],
    ids=["silent", "not read", "takes something", "takes nothing", "silent though it takes"],
)
def test_an_end_is_lost_that_says_nothing_or_takes_nothing(
    reading: bool, writable: bool, unsent: int, alive: bool
) -> None:
    heartbeat = beaten(unsent=5)

    assert heartbeat.beat(reading=reading, writable=writable, unsent=unsent) is alive


def test_a_sign_of_life_counts_for_one_interval() -> None:
    heartbeat = beaten()

    heartbeat.heard()

    assert heartbeat.beat(reading=True, writable=False, unsent=0)
    assert not heartbeat.beat(reading=True, writable=False, unsent=0)
