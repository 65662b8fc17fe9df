"""One life of an ASGI app, and whether a request may still begin in it."""

from __future__ import annotations

from typing import Any, Final

from bridge._runtime.lifespan import Lifespan

__all__ = ["NO_LIFE", "Life", "TurnedAway"]


class Life:
    """One life of an app, from the end of its startup.

    Args:
        lifespan: what was started; None where the app is served without.

    Attributes:
        lifespan: the same.
        state: what the app filled in at its start, to be copied for each request; None without lifespan.
        over: whether no request begins in it any more. Threads look at it to know whether they have to start
            the app; what counts is the second look, on the loop, which says it at once with seeing that
            nothing of the app runs there.
    """

    __slots__ = ("lifespan", "over", "state")

    def __init__(self, lifespan: Lifespan | None = None) -> None:
        self.lifespan = lifespan
        self.state: dict[str, Any] | None = None if lifespan is None else lifespan.state
        self.over = False


NO_LIFE: Final = Life()
"""What an app has that is not started, or is stopped."""
NO_LIFE.over = True


class TurnedAway(Exception):
    """The life in which a request was to begin is over: nothing of it has begun; the next may serve it."""
