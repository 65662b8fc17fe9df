"""Who may run, who waits, and who is refused: the counts of one pool of threads.

    arrive ──► RUN ─────────────────► end
       │        ▲                      │ a place is free: the one that waits longest has it
       ├──► WAIT┴──► expire            │
       │        └──► leave             │
       └──► REFUSE                     ▼

Nothing here waits, or knows of threads. The owner of the queue calls this in the order of what happens, under
its lock, and keeps the queue in the order of arrival: so the places go to those that came first.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Admission", "Verdict"]


class Verdict(Enum):
    """What becomes of one that arrives."""

    RUN = "run"
    WAIT = "wait"
    REFUSE = "refuse"


class Admission:
    """Counts those that run and those that wait; no more than `places` and `backlog` of them.

    Args:
        places: how many may run at once.
        backlog: how many may wait for a place.

    Attributes:
        running: how many have a place; some may still be on their way to it.
        waiting: how many wait for one.
        refused: how many found neither, in all.
        expired: how many waited for too long, in all.
        left: how many gave up before they had a place, in all.
    """

    __slots__ = ("backlog", "expired", "left", "places", "refused", "running", "waiting")

    def __init__(self, places: int, backlog: int) -> None:
        self.places = places
        self.backlog = backlog
        self.running = self.waiting = 0
        self.refused = self.expired = self.left = 0

    def arrive(self) -> Verdict:
        """Give one that comes a place, or have it wait or go."""
        if self.running < self.places:
            self.running += 1
            return Verdict.RUN
        if self.waiting < self.backlog:
            self.waiting += 1
            return Verdict.WAIT
        self.refused += 1
        return Verdict.REFUSE

    @property
    def full(self) -> bool:
        """Whether one that comes now would be refused."""
        return self.running >= self.places and self.waiting >= self.backlog

    def end(self) -> None:
        """Take the place of one that has run, and hand it on."""
        self._hand_on()

    def expire(self) -> None:
        """Take one out of the queue that has waited for too long."""
        self.expired += 1
        self._hand_on()

    def leave(self) -> None:
        """Take one out of the queue that does not want to be served any more."""
        self.left += 1
        self._hand_on()

    def _hand_on(self) -> None:
        # One that is taken out of the queue may have had a place already, and been on its way: then one that
        # waits has it now. Otherwise there is one less that waits. It comes to the same.
        if self.waiting:
            self.waiting -= 1
        else:
            self.running -= 1
