"""A watched request of a WSGI server: what `ASGIToWSGI` calls in place of the app and of the server."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Protocol

from bridge._protocol.observation import Outcome, outcome_of
from bridge._protocol.paths import text_from_native
from bridge._runtime.observing import Exchange, Observing
from bridge.types import ASGIApp, Environ, ExcInfo, Message, Receive, Scope, Send, StartResponse, Write

__all__ = ["ObservedBlocks", "ObservedWSGIExchange"]


class Blocks(Protocol):
    """The blocks of a response as they come.

    Attributes:
        complete: whether the last of them was given.
    """

    @property
    def complete(self) -> bool: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


class ObservedWSGIExchange(Exchange):
    """Stands for the app and for `start_response` of one request.

    Args:
        observing: of the adapter.
        app: the ASGI app.
        environ: of the request.
        start_response: of the server.
    """

    def __init__(
        self, observing: Observing, app: ASGIApp, environ: Environ, start_response: StartResponse
    ) -> None:
        self._app = app
        self._start_response = start_response
        prefix = text_from_native(environ.get("SCRIPT_NAME", ""))
        path = prefix + text_from_native(environ.get("PATH_INFO", ""))
        super().__init__(observing, environ["REQUEST_METHOD"], path, prefix)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, in its task."""
        self.called = perf_counter()

        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body") or b"")
            return message

        await self._app(scope, counted, send)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Write:
        """Start the response at the server; with the head go the durations, if that is wanted."""
        timing = self.answer(int(status[:3]))
        if timing is not None:
            headers = [*headers, ("Server-Timing", timing)]
        return self._start_response(status, headers, exc_info)


class ObservedBlocks:
    """The blocks of a streamed response, counted.

    Args:
        blocks: of the response.
        exchange: is told the end.
    """

    def __init__(self, blocks: Blocks, exchange: Exchange) -> None:
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
