"""Whether the other end of a WebSocket is still there, asked once in each interval between two pings."""

from __future__ import annotations

__all__ = ["Heartbeat"]


class Heartbeat:
    """The signs of life since the last beat, and what was unsent then."""

    __slots__ = ("_heard", "_unsent")

    def __init__(self) -> None:
        self._heard = True
        self._unsent = 0

    def heard(self) -> None:
        """Take note that something came."""
        self._heard = True

    def beat(self, *, reading: bool, writable: bool, unsent: int) -> bool:
        """Begin the next interval; tell whether the other end is alive.

        Unread pongs are no silence; but an end that takes nothing is as dead as one that says nothing.

        Args:
            reading: whether what it sends is read.
            writable: whether it may be sent more.
            unsent: how many bytes it has not taken.
        """
        stuck = not writable and unsent == self._unsent
        alive = self._heard or not (reading or stuck)
        self._heard = False
        self._unsent = unsent
        return alive
