"""Peers that make no progress: a client that does not read its response, or does not send its request.

One that reads or sends slowly, but does, is served for as long as it takes. What counts is a wait for the
client; a stream that has nothing to say may be silent for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge._runtime.body import BodyFeed

__all__ = ["PeerTimeouts", "StallWatch"]

_LOOKS = 4  # in the time of a timeout: it is kept to within a quarter


@dataclass(frozen=True, slots=True)
class PeerTimeouts:
    """How long the peers of an adapter may make no progress, in seconds; None for as long as they like.

    Attributes:
        send: while a block waits to be taken.
        receive: while a piece of the request body is waited for.
    """

    send: float | None
    receive: float | None

    @property
    def shortest(self) -> float | None:
        """The shorter of those that are set."""
        return min((seconds for seconds in (self.send, self.receive) if seconds is not None), default=None)


class StallWatch:
    """Looks at one request that has outlived its grace, and ends its task where the peer stalls.

    All of it happens on the loop. The thread of the request needs no clock: it waits for the task, and is
    free as soon as that gives up.

    Args:
        feed: of the request; at least one of its timeouts is set.
        task: the one that serves it; looked at only while it waits.

    Attributes:
        reason: why it has ended the request, for a log line; None if it has not.
    """

    __slots__ = ("_cancelling", "_feed", "_loop", "_seen", "_since", "_task", "_timeouts", "_timer", "reason")

    def __init__(self, feed: BodyFeed, task: asyncio.Task[Any]) -> None:
        self._feed = feed
        self._task = task
        self._timeouts = feed.timeouts
        self._loop = task.get_loop()
        self._seen: tuple[bool, int] | None = None
        self._since = 0.0
        self._cancelling: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.reason: str | None = None
        self._look()

    def _look(self) -> None:
        now = self._loop.time()
        seen = self._awaited()
        if seen is None or seen != self._seen:
            self._seen, self._since = seen, now
        delay = (self._timeouts.shortest or 0.0) / _LOOKS
        if seen is not None:
            timeout = self._timeouts.receive if seen[0] else self._timeouts.send
            if timeout is not None:
                left = self._since + timeout - now
                if left <= 0:
                    self._end(receiving=seen[0], timeout=timeout)
                    return
                delay = min(delay, left)
        self._timer = self._loop.call_later(delay, self._look)

    def _awaited(self) -> tuple[bool, int] | None:
        """Tell what the task waits for its client to do; None where it waits for the app.

        The body that the app waits for is not the task's: `wsgi.input` has a clock of its own.

        Returns:
            Whether to receive, else to send; and a number that changes with any progress.
        """
        if self._feed.fetching:
            return True, 0
        outlet = self._feed.outlet
        return (False, outlet.progress) if outlet.sending else None

    def _end(self, *, receiving: bool, timeout: float) -> None:
        what = "sent nothing of its request" if receiving else "took nothing of its response"
        self.reason = f"gave a client up that {what} for {timeout:g} s"
        self._timer = None
        self._feed.lose()
        self._feed.outlet.close()  # the thread is free at once
        self._cancelling = self._task.cancelling()
        self._task.cancel()

    def claims(self, error: BaseException) -> bool:
        """Tell whether a cancellation is of this watch, and nobody else's; asked in the task.

        Once: of another asking the answer is no, whoever cancels then.
        """
        if self._cancelling is None or not isinstance(error, asyncio.CancelledError):
            return False
        before, self._cancelling = self._cancelling, None  # the next is another's
        return self._task.uncancel() <= before

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
