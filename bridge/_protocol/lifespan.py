"""The life of an ASGI app around its requests (ASGI lifespan 2.0).

  state        startup.complete  startup.failed  returns      raises       shutdown.complete  shutdown.failed
  ───────────  ────────────────  ──────────────  ───────────  ───────────  ─────────────────  ───────────────
  STARTING     RUNNING           FAILED          UNSUPPORTED  UNSUPPORTED  ✗                  ✗
  RUNNING      ✗                 ✗               DEAD         DEAD         ✗                  ✗
  STOPPING     ✗                 ✗               STOPPED      STOPPED      STOPPED            STOPPED
  UNSUPPORTED, FAILED, DEAD, STOPPED: nothing more is expected; a return or an error changes nothing.

An app that leaves before it answered does not support lifespan (L-04, D-08). One that leaves while running
is DEAD: requests go on, and there is nobody to send a shutdown to (L-12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from bridge.errors import AppProtocolError, LifespanFailed
from bridge.types import Message

__all__ = ["LifespanCycle", "LifespanState", "merged_state"]


class LifespanState(Enum):
    """Where the lifespan of an app is."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    DEAD = "dead"
    STOPPING = "stopping"
    STOPPED = "stopped"


_S = LifespanState
_NEXT: Final = {
    (_S.STARTING, "lifespan.startup.complete"): _S.RUNNING,
    (_S.STARTING, "lifespan.startup.failed"): _S.FAILED,
    (_S.STOPPING, "lifespan.shutdown.complete"): _S.STOPPED,
    (_S.STOPPING, "lifespan.shutdown.failed"): _S.STOPPED,
}
_LEFT: Final = {_S.STARTING: _S.UNSUPPORTED, _S.RUNNING: _S.DEAD, _S.STOPPING: _S.STOPPED}


class LifespanCycle:
    """One lifespan, fed with what the app sends and does.

    Attributes:
        state: see the table of this module.
        message: what a failed startup or shutdown said; empty if nothing (L-05, L-07).
        error: what the app raised, if it did.
    """

    __slots__ = ("error", "message", "state")

    def __init__(self) -> None:
        self.state = LifespanState.STARTING
        self.message = ""
        self.error: BaseException | None = None

    def sent(self, message: Message) -> None:
        """Take an event that the app sent.

        Raises:
            AppProtocolError: it cannot come now (L-10).
        """
        kind = message.get("type")
        following = _NEXT.get((self.state, kind)) if isinstance(kind, str) else None
        if following is None:
            raise AppProtocolError(f"the app sent {kind!r} while its lifespan was {self.state.value}")
        self.state = following
        if isinstance(kind, str) and kind.endswith(".failed"):
            self.message = str(message.get("message") or "")

    def left(self, error: BaseException | None = None) -> None:
        """Take note that the app has returned, or raised `error`."""
        self.error = error
        self.state = _LEFT.get(self.state, self.state)

    def stop(self) -> bool:
        """Begin the shutdown; tell whether there is anybody to send it to."""
        if self.state is not LifespanState.RUNNING:
            return False
        self.state = LifespanState.STOPPING
        return True

    @property
    def started(self) -> bool:
        """Whether requests may be served: the startup is over and did not fail (L-03, L-05)."""
        return self.state not in (LifespanState.STARTING, LifespanState.FAILED)


def merged_state(filled: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Make one state of those that several apps filled in, for a host that has room for one (L-08).

    Args:
        filled: the name of each app, and what it filled in; in the order of their start.

    Raises:
        LifespanFailed: two apps mean different things by one key. One of them would work with what is the
            other's, a database perhaps; better not to start.
    """
    merged: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for name, state in filled:
        for key, value in state.items():
            if key in owners and merged[key] is not value:
                raise LifespanFailed(
                    f"{owners[key]} and {name} both fill in state[{key!r}]; a bridge.Site keeps them apart"
                )
            merged[key] = value
            owners.setdefault(key, name)
    return merged
