"""Who watches the requests of an adapter, and what is counted of them.

Off, a request pays for a look at two flags, and only those that end badly are counted. A meter adds up what a
request has counted for itself anyway, and observers are told the same; for them the app is wrapped, which
tells when it is called.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection
from time import perf_counter
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from bridge._protocol.histogram import HistogramCounter
from bridge._protocol.observation import (
    AdapterStats,
    Direction,
    EndObserver,
    Measured,
    Observer,
    Outcome,
    RequestBegan,
    RequestEnded,
    server_timing,
)
from bridge._runtime.fork import reset_in_child
from bridge._runtime.naming import name_of
from bridge.errors import ConfigurationError
from bridge.types import RawHeaders

__all__ = ["Exchange", "Meter", "Observing", "Tally", "observed_adapters"]

_log = logging.getLogger("bridge.observe")

_COMPLETED = Outcome.COMPLETED  # by a name of its own: see bridge._protocol.response
_tuple = tuple.__new__  # a NamedTuple's own `__new__`, which is Python's, takes three times as long


class Observable(Protocol):
    """An adapter."""

    def stats(self) -> AdapterStats:
        """Tell what it does now."""


observed_adapters: WeakSet[Observable] = WeakSet()
"""All adapters of this process."""


class Tally:
    """Counts the requests that did not end as they should; from any thread."""

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child: what the parent has counted is the parent's to report."""
        # One may be counted by the cycle collector while this thread counts another: CPython from 3.12 on
        # runs it between any two steps, and a response that nobody has closed counts itself (`Stream`).
        self._lock = threading.RLock()
        self._counts = {outcome: 0 for outcome in Outcome if outcome is not _COMPLETED}

    def count(self, outcome: Outcome) -> Outcome:
        """Count one, not of those that are completed, and give it back."""
        with self._lock:
            self._counts[outcome] += 1
        return outcome

    def read(self) -> dict[Outcome, int]:
        """Give the counts."""
        return self._counts.copy()


_BATCH = 64
"""How many requests are added up at once. More kept tuples would set the cycle collector going."""


class Meter:
    """Counts what costs a little: bytes and durations; from any thread.

    A request only leaves its figures. They are added up by one thread at a time, and nobody waits for it:
    sixteen threads of a server that want one lock after each request stand in line for it, and for the GIL.
    """

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child."""
        self._lock = threading.Lock()  # of who adds up
        self._ended: deque[tuple[float, int, int, bool]] = deque()
        self._completed = self._received = self._sent = 0
        self._seconds = HistogramCounter()

    def count(self, seconds: float, received: int, sent: int, *, completed: bool) -> None:
        """Count a request that has ended.

        Args:
            seconds: from its arrival to its end.
            received: bytes of its body.
            sent: bytes of its response.
            completed: whether that is complete.
        """
        ended = self._ended
        ended.append((seconds, received, sent, completed))
        if len(ended) >= _BATCH and self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def read(self) -> Measured:
        """Give what was counted."""
        with self._lock:
            self._add_up()
            return Measured(self._completed, self._received, self._sent, self._seconds.read())

    def _add_up(self) -> None:
        pop = self._ended.popleft
        batch = [pop() for _ in range(len(self._ended))]  # not for ever, where others go on leaving theirs
        if batch:
            # By columns: what is done in C for all of them is a fifth of a loop over the requests.
            seconds, received, sent, completed = zip(*batch, strict=True)
            self._received += sum(received)
            self._sent += sum(sent)
            self._completed += sum(completed)
            self._seconds.add(seconds)


class Observing:
    """What of the requests of one adapter is watched.

    Args:
        direction: which adapter it is.
        name: of the adapter.
        observers: told of each request.
        server_timing: whether each response says how long it took.

    Attributes:
        wanted: whether there is anything to do.

    Raises:
        ConfigurationError: an observer is no function.
    """

    def __init__(
        self,
        direction: Direction,
        name: str,
        *,
        observers: Collection[Observer],
        server_timing: bool,
    ) -> None:
        for observer in observers:
            if not callable(observer):
                raise ConfigurationError(f"observers: {observer!r}: expected a function of a RequestBegan")
        self.direction: Direction = direction
        self.name = name
        self.observer = next(iter(observers)) if len(observers) == 1 else _all_of(tuple(observers), name)
        self.server_timing = server_timing
        self.wanted = bool(observers) or server_timing


def _all_of(observers: tuple[Observer, ...], name: str) -> Observer:
    """Make one observer of several; the last to be told of a request is the first to be told of its end."""

    def begin(began: RequestBegan) -> EndObserver:
        told: list[EndObserver] = []
        for observer in observers:
            try:
                end = observer(began)
            except Exception:
                _log_failure(observer, name)
            else:
                if end is not None:
                    told.append(end)

        def end_all(ended: RequestEnded) -> None:
            for end in reversed(told):
                try:
                    end(ended)
                except Exception:
                    _log_failure(end, name)

        return end_all

    return begin


def _log_failure(observer: object, name: str) -> None:
    _log.exception("the observer %s of %s failed", name_of(observer), name)


AppT = TypeVar("AppT")


class Exchange(Generic[AppT]):
    """One request that is watched: the times at which things happened, by `perf_counter()`.

    A direction adds what takes the place of the app, and notes when that is called.

    Args:
        observing: of the adapter.
        app: that serves the request.
        method: of the request.
        path: of the request, whole; text.
        prefix: the part of it where the app is mounted; text.

    Attributes:
        arrived: when it came.
        called: when the app was called; None if it never was.
    """

    __slots__ = ("_answered", "_end", "_observing", "_status", "app", "arrived", "called")

    def __init__(self, observing: Observing, app: AppT, method: str, path: str, prefix: str) -> None:
        self._observing = observing
        self.app = app
        self.called: float | None = None
        self._answered: float | None = None
        self._status: int | None = None
        self.arrived = perf_counter()
        began = _tuple(RequestBegan, (observing.name, observing.direction, method, path, prefix))
        self._end: EndObserver | None = None
        try:  # a function for this would cost 600 instructions of 15,000; likewise below
            self._end = observing.observer(began)
        except Exception:
            _log_failure(observing.observer, observing.name)

    def answer(self, status: int, headers: RawHeaders) -> RawHeaders:
        """Note that the head of the response is there; give its fields, with Server-Timing if that is wanted.

        Args:
            status: of the response.
            headers: raw; they are not changed.
        """
        self._status = status
        self._answered = now = perf_counter()
        if not self._observing.server_timing or self.called is None:
            return headers
        timing = server_timing(self.called - self.arrived, now - self.called)
        return [*headers, (b"server-timing", timing.encode("ascii"))]

    def end(self, outcome: Outcome, now: float, received: int = 0, sent: int = 0) -> None:
        """Tell the end; a second call does nothing.

        Args:
            outcome: what became of the request.
            now: when, by `perf_counter()`.
            received: bytes of its body.
            sent: bytes of the app's response.
        """
        end, self._end = self._end, None
        if end is None:
            return
        arrived, called, answered = self.arrived, self.called, self._answered
        ended = _tuple(
            RequestEnded,
            (
                outcome,
                self._status,
                received,
                sent,
                None if called is None else called - arrived,
                None if called is None or answered is None else answered - called,
                now - arrived,
            ),
        )
        try:
            end(ended)
        except Exception:
            _log_failure(end, self._observing.name)
