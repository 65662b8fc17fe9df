"""The response of an ASGI app under a WSGI server: what it gives to `send()`, made parts for the thread."""

from __future__ import annotations

import logging
from io import FileIO
from typing import TypeAlias

from bridge._protocol.early_hints import EARLY_HINT, native_from_links
from bridge._protocol.head import Head, head_from_asgi
from bridge._protocol.response import ResponseCycle, block_of
from bridge._protocol.response_headers import native_from_raw_headers
from bridge._protocol.sendfile import PATHSEND
from bridge._protocol.trailers import TRAILERS, TrailersCycle, asked_for
from bridge._runtime.app_errors import Loss
from bridge._runtime.asgi_body import ASGIBody, Ask
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES
from bridge._runtime.inlet import Inlet
from bridge._runtime.pathsend import file_part
from bridge._runtime.request_log import log_request
from bridge.errors import AppProtocolError
from bridge.types import Environ, Message, Scope

__all__ = ["ASGIResponse", "Item", "Part", "Trailers"]

_log = logging.getLogger("bridge.asgi")

Part: TypeAlias = "tuple[Head | None, bytes, bool | FileIO]"
"""A head that leaves with it or None, a block, and whether more will come: blocks, or one file."""


class Trailers(list[tuple[str, str]]):
    """The fields after the body; native."""


Item: TypeAlias = "Part | BaseException | Ask | Trailers | list[tuple[str, str]]"
"""A plain list is the fields of an early hint; native."""


class ASGIResponse:
    """What `send()` does; all of it on the loop.

    Args:
        name: of the app, in log lines and errors.
        scope: of the request; the app's.
        environ: of the request.
        inlet: takes the parts.
        body: of the request; told the end of the exchange.

    Attributes:
        cycle: how far the response is.
        gone: whether the client is.
    """

    __slots__ = (
        "_body",
        "_environ",
        "_files",
        "_hints",
        "_inlet",
        "_loss",
        "_method",
        "_name",
        "_scope",
        "_trailers",
        "cycle",
    )

    def __init__(self, name: str, scope: Scope, environ: Environ, inlet: Inlet[Item], body: ASGIBody) -> None:
        self._name = name
        self._scope = scope
        self._method: str = scope["method"]
        self._environ = environ
        self._inlet = inlet
        self._body = body
        extensions = scope["extensions"]
        self._hints = EARLY_HINT in extensions
        self._files = PATHSEND in extensions
        self._trailers = TrailersCycle() if TRAILERS in extensions else None
        self.cycle = ResponseCycle()
        self._loss: Loss | None = None

    @property
    def gone(self) -> bool:
        """Whether the client has left before the response was complete."""
        return self._loss is not None

    def lost(self) -> None:
        """Take note that the client has gone: `receive()` says so, and then `send()` raises."""
        self._loss = Loss(heard=self._body.awaited)
        # In this order: a framework that hears of it by receive() closes its generators at once, one that
        # only hears send() raise may take seconds.
        self._body.end()
        self._inlet.wake()

    async def send(self, message: Message) -> None:
        """ASGI www "Response Start", "Response Body"."""
        if self._loss is not None:
            await self._loss.at_send()
            return
        kind = message.get("type")
        cycle = self.cycle
        if kind == "http.response.body":
            if cycle.done:  # D-02
                return
            if self._put_body(message) and self._inlet.crowded:
                await self._wait_for_room()
        elif kind == "http.response.start":
            if not cycle.done:
                self._start(message)
        elif kind == EARLY_HINT and self._hints:
            fields = native_from_links(message.get("links", ()))
            if fields and not cycle.committed and self._scope.get("http_version") != "1.0":
                self._inlet.put(fields)
        elif kind == PATHSEND and self._files:
            if not cycle.done:
                self._send_path(message)
        elif kind == TRAILERS and self._trailers is not None:
            if not cycle.done:
                self._send_trailers(message, self._trailers)
        else:
            raise AppProtocolError(f"send() got an event of type {kind!r}, which was not offered")

    def _start(self, message: Message) -> None:
        trailers = self._trailers
        fields = message.get("headers") or ()
        self.cycle.start(
            head_from_asgi(message.get("status"), fields, self._method, trailers=trailers is not None)
        )
        if trailers is not None and message.get("trailers"):
            trailers.announce()

    def _put_body(self, message: Message) -> bool:
        """Hand a block over; tell whether the response goes on."""
        cycle, trailers = self.cycle, self._trailers
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = block_of(message)
        head = None if cycle.committed else cycle.head
        more = message.get("more_body", False)
        excess = cycle.excess
        if trailers is not None and trailers.due:
            return False  # D-02
        cycle.check(len(body), last=not more)  # before anything changes: the app may catch it and go on
        if trailers is not None and trailers.announced:
            if head is not None:
                self._inlet.put(Trailers())  # none yet: this announces them to another bridge
            if not more:
                trailers.end_of_body()
                more = True  # they are the end
        body = cycle.data(body) if more else cycle.whole(body)
        if cycle.excess and not excess:
            self.log(logging.WARNING, "sent a body with a status that has none; it was dropped")
        if not more:
            self._inlet.put((head, body, False))
            self._body.end()
            return False
        self._inlet.put((head, body, True), len(body) + BLOCK_OVERHEAD_BYTES)
        return True

    async def _wait_for_room(self) -> None:
        await self._inlet.room()
        if self._loss is not None:
            await self._loss.at_send()

    def _send_trailers(self, message: Message, trailers: TrailersCycle) -> None:
        """ASGI extensions "HTTP Trailers": they end the response; whoever did not ask gets none (H-23)."""
        fields = trailers.add(message.get("headers") or (), more=bool(message.get("more_trailers", False)))
        if fields is None:
            return
        cycle = self.cycle
        cycle.end()
        if fields and not cycle.held.bodiless and asked_for(self._environ.get("HTTP_TE", "")):
            self._inlet.put(Trailers(native_from_raw_headers(fields)))
        self._inlet.put((None, b"", False))
        self._body.end()

    def _send_path(self, message: Message) -> None:
        """ASGI extensions "Path Send"."""
        if self._trailers is not None and self._trailers.announced:
            raise AppProtocolError("http.response.pathsend ends the response, which has announced trailers")
        self._inlet.put(file_part(self.cycle, message.get("path")))
        self._body.end()

    def log(self, level: int, what: str, error: BaseException | None = None) -> None:
        """Log what happened to the request; from any thread."""
        log_request(
            _log,
            level,
            what,
            app=self._name,
            method=self._method,
            path=str(self._scope.get("path", "")),  # the app's: it may have taken it out
            state=self.cycle.state.name.lower(),
            error=error,
        )
