"""One request of an ASGI app: a task on the loop, and the server's thread that waits for it.

The thread does all that touches the server: it reads `wsgi.input` when the app asks, and yields the blocks.
The task does all that touches the app. What is ready is handed over at once, and a block is acknowledged
to the app before it is yielded, so that the app can go on while the server writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
import traceback
from collections.abc import Callable
from io import FileIO
from typing import Final, NoReturn, TypeAlias

from bridge._protocol.early_hints import EARLY_HINT, native_from_links
from bridge._protocol.head import Head, head_from_asgi
from bridge._protocol.request_body import RequestBodyCycle
from bridge._protocol.response import ResponseCycle
from bridge._protocol.response_headers import native_from_raw_headers
from bridge._protocol.sendfile import PATHSEND
from bridge._protocol.trailers import SEND_TRAILERS, TRAILERS, TrailersCycle, asked_for
from bridge._runtime.asgi_body import ASGIBody, Ask
from bridge._runtime.client_probe import client_has_left, departure
from bridge._runtime.context import adopt_locals, copy_changes, forget_changes, keep_until_next
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES
from bridge._runtime.inlet import Inlet
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.pathsend import file_part
from bridge._runtime.request_log import log_request
from bridge.errors import AppProtocolError, AppTypeError, BodyTooLarge, ClientDisconnected, RequestTimedOut
from bridge.types import ASGIApp, Environ, Message, Scope

__all__ = ["HEARD_SECONDS", "ASGIRun", "Part", "means_gone"]

_log = logging.getLogger("bridge.asgi")

HEARD_SECONDS: Final = 0.1
"""What an app that hears of the loss by `receive()` has to act on it before its `send()` raises."""

_LOOK_SECONDS: Final = 0.25
"""How often the client of a stream is looked at between two blocks, at most."""

Part: TypeAlias = "tuple[Head | None, bytes, bool | FileIO]"
"""A head that leaves with it or None, a block, and whether more will come: blocks, or one file."""


class _Trailers(list[tuple[str, str]]):
    """The fields after the body; native."""


_Item: TypeAlias = "Part | BaseException | Ask | _Trailers | list[tuple[str, str]]"
"""A plain list is the fields of an early hint; native."""


class ASGIRun:
    """The exchange between one task and one server thread.

    Args:
        app: the ASGI app.
        scope: of this request; the app's from now on.
        environ: of the request; `wsgi.input` is only ever read in the server's thread.
        body: counts what is read.
        mailbox: of the loop that runs the app.
        name: of the app, in log lines and errors.
        has_body: whether there can be anything to read.
        cancel_timeout: how long the app may go on after its client has left, in seconds; None for as long
            as it likes.
        request_timeout: how long the response may take to begin, in seconds; None for as long as it likes.
    """

    __slots__ = (
        "_answered",
        "_app",
        "_ask_pending",
        "_body",
        "_cancel_timeout",
        "_context",
        "_cycle",
        "_deadline",
        "_environ",
        "_files",
        "_heard",
        "_hints",
        "_inlet",
        "_looked",
        "_mailbox",
        "_method",
        "_name",
        "_scope",
        "_trailers",
        "gone",
        "on_end",
        "refusal",
        "task",
    )

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        environ: Environ,
        body: RequestBodyCycle,
        mailbox: Mailbox,
        *,
        name: str,
        has_body: bool,
        cancel_timeout: float | None,
        request_timeout: float | None,
    ) -> None:
        self._cancel_timeout = cancel_timeout
        self._app = app
        self._name = name
        self._scope = scope
        self._method: str = scope["method"]
        self._environ = environ
        self._hints = EARLY_HINT in scope["extensions"]
        self._files = PATHSEND in scope["extensions"]
        self._trailers = TrailersCycle() if TRAILERS in scope["extensions"] else None
        self._answered = False
        self._looked = 0.0
        self._deadline = None if request_timeout is None else time.monotonic() + request_timeout
        self._mailbox = mailbox
        self._inlet: Inlet[_Item] = Inlet(mailbox)
        self._cycle = ResponseCycle()
        self._body = ASGIBody(body, environ, self._inlet, mailbox.loop, has_body)
        forget_changes()
        self._context = contextvars.copy_context()
        self._ask_pending = False
        self._heard = False
        self.gone = False
        self.refusal: BodyTooLarge | RequestTimedOut | None = None
        self.task: asyncio.Task[None] | None = None
        self.on_end: Callable[[ASGIRun], None] | None = None

    # ------------------------------------------------------------ in the server's thread

    def next_part(self) -> Part:
        """Wait for the next part of the response; read the request body meanwhile, if the app asks.

        Ends with a part, with the end of the app, after `request_timeout` before the first part, when the
        client is known to have left, or when the loop is gone.

        Raises:
            BodyTooLarge: the request body is over its limit; `refusal` has it too.
            RequestTimedOut: no part came in time; `refusal` has it too.
            ClientDisconnected: the client, or the loop, is gone; waitress gets its own: see `departure()`.
            BaseException: what the app raised, or AppProtocolError if it ended without an end.
        """
        inlet = self._inlet
        while True:
            if self._ask_pending and inlet.empty:  # a block that is there goes out before a read blocks
                self._ask_pending = False
                self._read()
                continue
            item = inlet.get(self._look_up)
            if type(item) is tuple:
                if item[2] is True:
                    self._look_between_blocks()
                self._answered = True
                if item[2] is not True and self._context:
                    keep_until_next(copy_changes(self._context))
                return item
            if isinstance(item, BaseException):
                raise item
            if type(item) is list:
                self._environ["wsgi.early_hints"](item)
            elif type(item) is _Trailers:
                self._environ[SEND_TRAILERS](item)
            else:
                self._ask_pending = True

    def _look_up(self) -> None:
        if not self._answered and self._deadline is not None and time.monotonic() >= self._deadline:
            self.refusal = RequestTimedOut(f"{self._name} did not answer in time")
            raise self.refusal
        if client_has_left(self._environ):
            raise departure(self._environ)

    def _look_between_blocks(self) -> None:
        """Look at the client though no wait was long: of two writes to one that left the first succeeds.

        With a comment each half second 200 streams ended 1.1 s after their clients had left, in the median of
        gunicorn's gthread; with this after 0.7 to 0.9 s, and their threads were free before.
        """
        now = time.monotonic()
        if not self._answered:
            self._looked = now
        elif now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            if client_has_left(self._environ):
                raise departure(self._environ)

    def leave(self) -> None:
        """Tell the app that the client has gone: the server closed the response early (A-33)."""
        with contextlib.suppress(ClientDisconnected):  # the loop is closed: there is no app to tell
            self._mailbox.post(self.disconnect)

    def _read(self) -> None:
        body, post = self._body, self._mailbox.post
        try:
            chunk = body.read()
        except BodyTooLarge as exc:
            self.refusal = exc
            post(self.disconnect)  # to the app a body that is cut is a disconnect, never an end
            raise  # the refusal does not wait for the app
        except Exception as exc:
            self._log(logging.DEBUG, f"could not be given its body: {type(exc).__name__}")
            post(self.disconnect)
            raise ClientDisconnected from exc  # nor does the thread: the app has nobody to answer
        post(lambda: body.came(chunk))

    # ------------------------------------------------------------ on the loop

    async def serve(self) -> None:
        """Run the app; the body of its task. Never raises."""
        if self._context:
            adopt_locals()
        try:
            await self._app(self._scope, self._body.receive, self._send)
        except BaseException as exc:  # the loop survives its apps (A-41, SEC-34)
            self._failed(exc)
        else:
            self._returned()
        finally:
            self._body.end()
            if self.on_end is not None:
                self.on_end(self)

    @property
    def answered(self) -> bool:
        """Whether the response is complete: what the app still does is background work (A-36)."""
        return self._cycle.done

    @property
    def sent(self) -> int:
        """How many bytes of the body the app has sent; from any thread."""
        return self._cycle.sent

    @property
    def received(self) -> int:
        """How many bytes of the request body were read; from any thread."""
        return self._body.received

    @property
    def context(self) -> contextvars.Context:
        """Where the task runs: a copy of the context of the server's thread."""
        return self._context

    def disconnect(self) -> None:
        """The client has gone: `receive()` says so, and then `send()` raises."""
        if self._body.over:
            return
        self.gone = True
        self._heard = self._body.awaited
        # In this order: a framework that hears of it by receive() closes its generators at once, one that
        # only hears send() raise may take seconds.
        self._body.end()
        self._inlet.wake()
        if self.task is not None and self._cancel_timeout is not None:
            handle = self._mailbox.loop.call_later(self._cancel_timeout, self.task.cancel)
            self.task.add_done_callback(
                lambda _: handle.cancel()
            )  # it would keep all of the request till then

    async def _send(self, message: Message) -> None:
        """ASGI www "Response Start", "Response Body"."""
        if self.gone:
            await self._raise_gone()
        kind = message.get("type")
        cycle = self._cycle
        if kind == "http.response.body":
            if cycle.done:  # D-02
                return
            await self._send_body(message)
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
        self._cycle.start(
            head_from_asgi(message.get("status"), fields, self._method, trailers=trailers is not None)
        )
        if trailers is not None and message.get("trailers"):
            trailers.announce()

    async def _send_body(self, message: Message) -> None:
        cycle, trailers = self._cycle, self._trailers
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = _as_bytes(body)
        head = None if cycle.committed else cycle.head
        more = message.get("more_body", False)
        excess = cycle.excess
        if trailers is not None and trailers.due:
            return  # D-02
        cycle.check(len(body), last=not more)  # before anything changes: the app may catch it and go on
        if trailers is not None and trailers.announced:
            if head is not None:
                self._inlet.put(_Trailers())  # none yet: this announces them to another bridge
            if not more:
                trailers.end_of_body()
                more = True  # they are the end
        body = cycle.data(body) if more else cycle.whole(body)
        if cycle.excess and not excess:
            self._log(logging.WARNING, "sent a body with a status that has none; it was dropped")
        if not more:
            self._inlet.put((head, body, False))
            self._body.end()
            return
        self._inlet.put((head, body, True), len(body) + BLOCK_OVERHEAD_BYTES)
        if self._inlet.crowded:
            await self._inlet.room()
            if self.gone:
                await self._raise_gone()

    async def _raise_gone(self) -> NoReturn:
        """Have `send()` raise; an app that has heard of it by `receive()` may cancel what sends before that.

        Django's handler does (5.2): it sends `request_finished` after a cancellation, and not after an error.
        """
        if self._heard:
            await asyncio.sleep(HEARD_SECONDS)
        raise ClientDisconnected()

    def _send_trailers(self, message: Message, trailers: TrailersCycle) -> None:
        """ASGI extensions "HTTP Trailers": they end the response; whoever did not ask gets none (H-23)."""
        fields = trailers.add(message.get("headers") or (), more=bool(message.get("more_trailers", False)))
        if fields is None:
            return
        cycle = self._cycle
        cycle.end()
        if fields and not cycle.held.bodiless and asked_for(self._environ.get("HTTP_TE", "")):
            self._inlet.put(_Trailers(native_from_raw_headers(fields)))
        self._inlet.put((None, b"", False))
        self._body.end()

    def _send_path(self, message: Message) -> None:
        """ASGI extensions "Path Send"."""
        if self._trailers is not None and self._trailers.announced:
            raise AppProtocolError("http.response.pathsend ends the response, which has announced trailers")
        self._inlet.put(file_part(self._cycle, message.get("path")))
        self._body.end()

    def _returned(self) -> None:
        if not self._cycle.done and not self.gone:
            what = "in the middle of its response" if self._cycle.committed else "without a response"
            self._inlet.put(AppProtocolError(f"the ASGI app {self._name} returned {what}"))
        elif self.gone:
            self._inlet.put(ClientDisconnected())

    def _failed(self, exc: BaseException) -> None:
        if self._cycle.done:
            if not isinstance(exc, asyncio.CancelledError):
                # The client has its answer; the error must not be lost with the task.
                self._log(logging.ERROR, "failed after its response was complete", exc)
            return
        if self.gone:
            if not means_gone(exc):
                self._log(logging.WARNING, "failed after its client had left", exc)
            # An app may keep its own error, as Django 5.2 does in a task that the error's frames refer to: a
            # cycle, and until it is collected the app's generators stay open.
            traceback.clear_frames(exc.__traceback__)
            self._inlet.put(ClientDisconnected())
            return
        if isinstance(exc, Exception) and not isinstance(exc, (StopIteration, StopAsyncIteration, OSError)):
            self._inlet.put(exc)
            return
        # What would end the server's worker, pass for the end of an iteration, or pass for a lost client:
        # gunicorn 27 closes the connection without an answer for a StopIteration or an OSError, and does
        # not even log an app's ConnectionResetError.
        wrapped = AppProtocolError(f"the ASGI app {self._name} raised {type(exc).__name__}")
        wrapped.__cause__ = exc
        self._inlet.put(wrapped)

    def _log(self, level: int, what: str, error: BaseException | None = None) -> None:
        log_request(
            _log,
            level,
            what,
            app=self._name,
            method=self._method,
            path=str(self._scope.get("path", "")),  # the app's: it may have taken it out
            state=self._cycle.state.name.lower(),
            error=error,
        )


def means_gone(exc: BaseException) -> bool:
    """Tell whether an error only says that the client left; Starlette has its own name for that."""
    return isinstance(exc, (OSError, asyncio.CancelledError)) or type(exc).__name__ == "ClientDisconnect"


def _as_bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise AppTypeError(f"http.response.body got a body of type {type(body).__name__}: expected bytes")
