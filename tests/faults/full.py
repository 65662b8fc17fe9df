"""How much the fault tests do: a fast share of it in `make test`, all of it in `make faults`."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import pytest

from tests.servers.sites import Site

FULL: Final = os.environ.get("FAULTS") == "full"

ROUNDS: Final = int(os.environ.get("FAULTS_ROUNDS", "1"))
"""How often each test is run, in a row and where it can against the same server."""

DISCONNECTS: Final = 500 if FULL else 40
MIXED_REQUESTS: Final = 10_000 // ROUNDS if FULL else 200  # a multiple of THREADS
TRACED_REQUESTS: Final = 500

STALLED: Final = 18
"""Clients that stall at once; more than the server has threads."""

only_in_full: Final = pytest.mark.skipif(not FULL, reason="runs in `make faults`")


def fully(*kinds: str) -> list[Any]:
    """Give parameters that are skipped where only the fast share is run."""
    return [pytest.param(kind, marks=only_in_full) for kind in kinds]


def wait_until_as_before(site: Site, before: dict[str, int], seconds: float = 20.0) -> None:
    """Wait until a process has no more threads and tasks than before.

    There is no event for the last of them ending.
    """
    end = time.monotonic() + seconds
    while True:
        now = site.board.counts()
        if now["threads"] <= before["threads"] and now["tasks"] <= before["tasks"]:
            return
        assert time.monotonic() < end, f"{now} instead of {before}"
        time.sleep(0.02)
