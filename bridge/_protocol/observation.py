"""What can be seen of requests and adapters, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from bridge._protocol.histogram import Histogram, merged
from bridge.errors import BridgeError, ClientDisconnected, Overloaded, RequestTimedOut

__all__ = [
    "AdapterStats",
    "Direction",
    "EndObserver",
    "Measured",
    "Observer",
    "Outcome",
    "RequestBegan",
    "RequestEnded",
    "combined",
    "outcome_of",
    "server_timing",
]

Direction: TypeAlias = Literal["wsgi_to_asgi", "asgi_to_wsgi"]
"""Which adapter: `WSGIToASGI` or `ASGIToWSGI`."""


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    """The app's response is out, whatever its status."""

    FAILED = "failed"
    """The app raised or broke its protocol."""

    DISCONNECTED = "disconnected"
    """The client left before its response was complete, or the server gave the request up."""

    REJECTED = "rejected"
    """There was no place for it (503)."""

    TIMED_OUT = "timed_out"
    """The app did not begin its response in time (504)."""

    REFUSED = "refused"
    """The request was over a limit, or could be read in two ways (4xx)."""


class RequestBegan(NamedTuple):  # made for each request: a third of what a frozen dataclass costs
    """A request that has arrived at an adapter.

    Attributes:
        app: the name of the adapter.
        direction: which way it crosses.
        method: of the request, as it came.
        path: the whole of it, decoded, and as the client chose it: escape it before it goes to a log.
        prefix: the part of it where the app is mounted.
    """

    app: str
    direction: Direction
    method: str
    path: str
    prefix: str


class RequestEnded(NamedTuple):
    """What became of a request.

    Attributes:
        outcome: how it ended.
        status: of the response that went to the server; None if none did.
        received_bytes: of the request body, as far as the app or the bridge took it.
        sent_bytes: of the app's response body, as far as the bridge took it, and of a file as far as the
            server did.
        queue_seconds: from its arrival until the app was called; None if it never was.
        app_seconds: from there until the head of the response was there; None if it never was.
        seconds: from its arrival to its end.
    """

    outcome: Outcome
    status: int | None
    received_bytes: int
    sent_bytes: int
    queue_seconds: float | None
    app_seconds: float | None
    seconds: float


EndObserver: TypeAlias = Callable[[RequestEnded], object]
"""Is told of the end of one request."""

Observer: TypeAlias = Callable[[RequestBegan], EndObserver | None]
"""Is told of each request, and may give what is to be told of its end.

It is called where the server has called the adapter: what it sets in context variables is seen by the app.
The end is told in the same task, or by the thread of the WSGI server that asks for the last block or closes
the response. What it raises is logged.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an adapter with `measure=True` has counted since its process began.

    Attributes:
        completed: requests with the outcome "completed".
        received_bytes: of all request bodies, as far as the app or the bridge took them.
        sent_bytes: of all response bodies of the app, likewise.
        seconds: how long requests took, whatever became of them, by classes; without those that were refused
            at once.
    """

    completed: int
    received_bytes: int
    sent_bytes: int
    seconds: Histogram


@dataclass(frozen=True, slots=True)
class AdapterStats:
    """What an adapter does at one moment, in this process. The figures are not taken at one instant.

    Attributes:
        app: the name of the adapter.
        direction: which adapter it is.
        in_flight: requests whose response is not complete.
        waiting: of these, those that wait for a thread or a place.
        busy_threads: threads of the adapter that run the app. An `ASGIToWSGI` has none: its requests hold
            threads of the server.
        idle_threads: threads of the adapter that wait for a request. These and `waiting` are those of its
            pool, which other adapters may share.
        websockets: open WebSockets.
        background_tasks: see `ASGIToWSGI.background_tasks`; 0 for a WSGI app.
        outcomes: how many requests ended in each way but "completed", since the process began.
        crossings: messages from threads to the event loop since the process began. For an `ASGIToWSGI`, of
            all adapters on its loop together.
        wakeups: how often these had to wake the loop; the rest rode along.
        measured: what costs a little to count; None without `measure=True`.
    """

    app: str
    direction: Direction
    in_flight: int
    waiting: int
    busy_threads: int
    idle_threads: int
    websockets: int
    background_tasks: int
    outcomes: Mapping[Outcome, int]
    crossings: int
    wakeups: int
    measured: Measured | None

    @property
    def rejected(self) -> int:
        """How many requests found no place (503)."""
        return self.outcomes[Outcome.REJECTED]

    @property
    def disconnected(self) -> int:
        """How many clients left before their response was complete."""
        return self.outcomes[Outcome.DISCONNECTED]


def outcome_of(error: BaseException) -> Outcome:
    """Tell what an error makes of a request.

    Args:
        error: of the app, the client, or the bridge's own; a cancellation says that the server gave up.
    """
    if isinstance(error, Overloaded):
        return Outcome.REJECTED
    if isinstance(error, RequestTimedOut):
        return Outcome.TIMED_OUT
    # Also by name: waitress has an error of its own for a lost client, see `departure()`.
    if not isinstance(error, Exception) or type(error).__name__ == ClientDisconnected.__name__:
        return Outcome.DISCONNECTED
    if isinstance(error, BridgeError) and getattr(error, "status_hint", 500) < 500:
        return Outcome.REFUSED
    return Outcome.FAILED


def server_timing(queue_seconds: float, app_seconds: float) -> str:
    """Write the value of a Server-Timing field (W3C Server Timing, durations in milliseconds)."""
    return f"bridge-queue;dur={queue_seconds * 1000:.2f}, bridge-app;dur={app_seconds * 1000:.2f}"


def combined(found: Iterable[AdapterStats]) -> list[AdapterStats]:
    """Add adapters of the same name and direction up: a series of figures may stand once only."""
    groups: dict[tuple[str, Direction], list[AdapterStats]] = {}
    for one in found:
        groups.setdefault((one.app, one.direction), []).append(one)
    return [group[0] if len(group) == 1 else _sum(group) for group in groups.values()]


def _sum(group: list[AdapterStats]) -> AdapterStats:
    first = group[0]
    # What is counted at the loop that they share is the same for each of them.
    at_loop = max if first.direction == "asgi_to_wsgi" else sum
    measured = [one.measured for one in group if one.measured is not None]
    return AdapterStats(
        app=first.app,
        direction=first.direction,
        in_flight=sum(one.in_flight for one in group),
        waiting=sum(one.waiting for one in group),
        busy_threads=sum(one.busy_threads for one in group),
        idle_threads=sum(one.idle_threads for one in group),
        websockets=sum(one.websockets for one in group),
        background_tasks=sum(one.background_tasks for one in group),
        outcomes={outcome: sum(one.outcomes[outcome] for one in group) for outcome in first.outcomes},
        crossings=at_loop(one.crossings for one in group),
        wakeups=at_loop(one.wakeups for one in group),
        measured=Measured(
            sum(one.completed for one in measured),
            sum(one.received_bytes for one in measured),
            sum(one.sent_bytes for one in measured),
            merged(one.seconds for one in measured),
        )
        if measured
        else None,
    )
