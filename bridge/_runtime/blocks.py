"""What `ASGIToWSGI` gives to the WSGI server: the blocks of a response, and the end of its request."""

from __future__ import annotations

from collections.abc import Iterator

from bridge._protocol.observation import Outcome, outcome_of
from bridge._runtime.asgi_run import ASGIRun
from bridge._runtime.observing import Exchange, Meter, Tally

__all__ = ["ObservedBlocks", "Stream", "Whole"]


class Whole(list[bytes]):
    """The blocks of a response that is there already; `close()` has nothing left to do (WA-06)."""

    outcome = Outcome.COMPLETED

    def close(self) -> None:
        """Do nothing: the app has been told its response is complete."""


class Stream:
    """The blocks of a response as they come. `close()` may come early, twice, or before the first block.

    Args:
        run: gives the blocks after the first.
        first: the first.
        tally: counts an end that is none.
        meter: counts every end; None for nobody.
        arrived: when the request came, by `perf_counter()`.
    """

    def __init__(self, run: ASGIRun, first: bytes, tally: Tally, meter: Meter | None, arrived: float) -> None:
        self._run = run
        self._tally = tally
        self._meter = meter
        self._arrived = arrived
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
            _, data, more = self._run.next_part()
            self._more = more is True  # a file is never a part after the first
        except BaseException as exc:
            self._end(outcome_of(exc))
            raise
        if self._more:
            return data
        self._measure(completed=True)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """End the connection for the app, if its response is not complete (A-33)."""
        if self._more:
            self._end(Outcome.DISCONNECTED)

    def _end(self, outcome: Outcome) -> None:
        self._more = False
        self._run.leave()
        self._tally.count(outcome)
        self._measure(completed=False)

    def _measure(self, *, completed: bool) -> None:
        if self._meter is not None:
            self._meter.count(self._arrived, self._run.received, self._run.sent, completed=completed)

    @property
    def complete(self) -> bool:
        """Whether all blocks were there."""
        return not self._more

    def __del__(self) -> None:
        """End the connection all the same where a server or a middleware forgot to close."""
        self.close()


class ObservedBlocks:
    """The blocks of a streamed response, counted.

    Args:
        blocks: of the response.
        exchange: is told the end.
    """

    def __init__(self, blocks: Stream, exchange: Exchange) -> None:
        self._blocks = blocks
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            block = next(self._blocks)
        except StopIteration:
            self._exchange.end(Outcome.COMPLETED)
            raise
        except BaseException as exc:
            self._exchange.end(outcome_of(exc))
            raise
        self._exchange.sent += len(block)
        return block

    def close(self) -> None:
        """Close the blocks: it is the end of the request, early or not."""
        complete = self._blocks.complete
        self._blocks.close()
        self._exchange.end(Outcome.COMPLETED if complete else Outcome.DISCONNECTED)

    def __del__(self) -> None:
        """End all the same where a server or a middleware forgot to close."""
        self.close()
