"""What `ASGIToWSGI` gives to the WSGI server: the blocks of a response, and the end of its request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from bridge._protocol.observation import Outcome, outcome_of

__all__ = ["Parts", "Stream", "Whole"]


class Parts(Protocol):
    """Where the blocks of a response come from: the run of a request, or the denial of a WebSocket."""

    def next_part(self) -> tuple[object, bytes, object]:
        """Wait for the next part: its second is a block, its third is True while more will come."""

    def leave(self) -> None:
        """Tell the app that the client has gone."""


class Whole(list[bytes]):
    """The blocks of a response that is there already; `close()` has nothing left to do (WA-06)."""

    def close(self) -> None:
        """Do nothing: the app has been told its response is complete."""


class Stream:
    """The blocks of a response as they come. `close()` may come early, twice, or before the first block.

    Args:
        parts: gives the blocks after the first.
        first: the first.
        on_end: called once, with what became of the response.
    """

    def __init__(self, parts: Parts, first: bytes, on_end: Callable[[Outcome], None]) -> None:
        self._parts = parts
        self._on_end = on_end
        self._first: bytes | None = first
        self._more = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if not self._more:
            raise StopIteration
        try:
            _, data, more = self._parts.next_part()
            self._more = more is True  # a file is never a part after the first
        except BaseException as exc:
            self._end(outcome_of(exc))
            raise
        if self._more:
            return data
        self._on_end(Outcome.COMPLETED)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """End the connection for the app, if its response is not complete (A-33)."""
        if self._more:
            self._end(Outcome.DISCONNECTED)

    def _end(self, outcome: Outcome) -> None:
        self._more = False
        self._parts.leave()
        self._on_end(outcome)

    def __del__(self) -> None:
        """End the connection all the same where a server or a middleware forgot to close."""
        self.close()
