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
from typing import Final

from bridge._protocol.request_body import RequestBodyCycle
from bridge._protocol.trailers import SEND_TRAILERS
from bridge._runtime.app_errors import error_for_server, means_gone
from bridge._runtime.asgi_body import ASGIBody
from bridge._runtime.asgi_response import ASGIResponse, Item, Part, Trailers
from bridge._runtime.client_probe import client_has_left, departure
from bridge._runtime.context import adopt_locals, copy_changes, forget_changes, keep_until_next
from bridge._runtime.inlet import Inlet
from bridge._runtime.mailbox import Mailbox
from bridge.errors import AppProtocolError, BodyTooLarge, ClientDisconnected, RequestTimedOut
from bridge.types import ASGIApp, Environ, Scope

__all__ = ["ASGIRun"]

_LOOK_SECONDS: Final = 0.25
"""How often the client of a stream is looked at between two blocks, at most."""


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
        "_deadline",
        "_environ",
        "_inlet",
        "_looked",
        "_mailbox",
        "_name",
        "_response",
        "_scope",
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
        self._environ = environ
        self._answered = False
        self._looked = 0.0
        self._deadline = None if request_timeout is None else time.monotonic() + request_timeout
        self._mailbox = mailbox
        self._inlet: Inlet[Item] = Inlet(mailbox)
        self._body = ASGIBody(body, environ, self._inlet, mailbox.loop, has_body)
        self._response = ASGIResponse(name, scope, environ, self._inlet, self._body)
        forget_changes()
        self._context = contextvars.copy_context()
        self._ask_pending = False
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
                try:
                    raise item
                finally:
                    del item  # this frame is in its traceback: break the cycle
            if type(item) is list:
                self._environ["wsgi.early_hints"](item)
            elif type(item) is Trailers:
                self._environ[SEND_TRAILERS](item)
            else:
                self._ask_pending = True

    def _look_up(self) -> None:
        if not self._answered and self._deadline is not None and time.monotonic() >= self._deadline:
            self.refusal = RequestTimedOut(f"{self._name} did not answer in time")
            raise self.refusal
        if client_has_left(self._environ, body_read=self._body.read_out):
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
            if client_has_left(self._environ, body_read=self._body.read_out):
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
            self._response.log(logging.DEBUG, f"could not be given its body: {type(exc).__name__}")
            post(self.disconnect)
            raise ClientDisconnected from exc  # nor does the thread: the app has nobody to answer
        post(lambda: body.came(chunk))

    # ------------------------------------------------------------ on the loop

    async def serve(self) -> None:
        """Run the app; the body of its task. Never raises."""
        if self._context:
            adopt_locals()
        try:
            await self._app(self._scope, self._body.receive, self._response.send)
        except BaseException as exc:  # the loop survives its apps (A-41, SEC-34)
            self._failed(exc)
        else:
            self._returned()
        finally:
            self._body.end()
            if self.on_end is not None:
                self.on_end(self)

    def turn_away(self, why: Exception) -> None:
        """Have `next_part()` raise, in place of all that it could give: the app is not called."""
        self._inlet.put(why)

    @property
    def answered(self) -> bool:
        """Whether the response is complete: what the app still does is background work (A-36)."""
        return self._response.cycle.done

    @property
    def sent(self) -> int:
        """How many bytes of the body the app has sent; from any thread."""
        return self._response.cycle.sent

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
            self._tell_untaken()
            return
        self._response.lost()
        if self.task is not None and self._cancel_timeout is not None:
            handle = self._mailbox.loop.call_later(self._cancel_timeout, self.task.cancel)
            self.task.add_done_callback(
                lambda _: handle.cancel()
            )  # it would keep all of the request till then

    def _tell_untaken(self) -> None:
        """Log the error that the app ended with while the server wrote, and whose turn never came."""
        inlet = self._inlet
        while not inlet.empty:  # its thread has left: nobody else takes
            item = inlet.get()
            if isinstance(item, BaseException) and not means_gone(item):
                self._response.log(logging.WARNING, "failed after its client had left", item)

    def _returned(self) -> None:
        cycle = self._response.cycle
        if self._response.gone:
            self._inlet.put(ClientDisconnected())
        elif not cycle.done:
            what = "in the middle of its response" if cycle.committed else "without a response"
            self._inlet.put(AppProtocolError(f"the ASGI app {self._name} returned {what}"))

    def _failed(self, exc: BaseException) -> None:
        response = self._response
        if response.cycle.done:
            if not isinstance(exc, asyncio.CancelledError):
                # The client has its answer; the error must not be lost with the task.
                response.log(logging.ERROR, "failed after its response was complete", exc)
            return
        if response.gone:
            if not means_gone(exc):
                response.log(logging.WARNING, "failed after its client had left", exc)
            # An app may keep its own error, as Django 5.2 does in a task that the error's frames refer to: a
            # cycle, and until it is collected the app's generators stay open.
            traceback.clear_frames(exc.__traceback__)
            self._inlet.put(ClientDisconnected())
            return
        self._inlet.put(error_for_server(exc, self._name))
