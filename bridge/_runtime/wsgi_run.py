"""One request of a WSGI app in a worker thread: the order that PEP 3333 prescribes."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterable
from typing import Any, TypeAlias

from bridge._protocol.head import Head, head_from_wsgi
from bridge._protocol.paths import text_from_native
from bridge._protocol.response import ResponseCycle
from bridge._runtime.context import adopt_locals
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge._runtime.hooks import call_hook
from bridge._runtime.outlet import Outlet
from bridge._runtime.request_log import log_request
from bridge._runtime.sendfile import FilePiece, FileWrapper, file_piece
from bridge._runtime.worker import Job
from bridge._runtime.wsgi_host import WSGIHost
from bridge.errors import AppProtocolError, AppTypeError, Overloaded
from bridge.types import Environ, ExcInfo, Write, WSGIApp

__all__ = ["Part", "WSGIRun", "serves"]

_log = logging.getLogger("bridge.wsgi")

Part: TypeAlias = "tuple[Head, bytes, bool | FilePiece]"
"""The head, which leaves with the first part, a block, and whether more will come: blocks, or one file."""


class WSGIRun:
    """Calls the app, iterates and closes, all in one thread and one context (W-62).

    Args:
        app: the WSGI app.
        environ: of this request; the app's from now on.
        outlet: takes the parts of the response.
        host: of the app.

    Attributes:
        host: the same.
        outlet: the same.
        piece: a file that is the body; whoever serves the request closes it at its end.
        context: a copy of that of the ASGI task, so that its variables are seen.
        trailing: whether the server takes trailers.
    """

    __slots__ = (
        "_app",
        "_cycle",
        "_environ",
        "_method",
        "_wrote",
        "context",
        "host",
        "outlet",
        "piece",
        "trailing",
    )

    def __init__(
        self,
        app: WSGIApp,
        environ: Environ,
        outlet: Outlet[Part],
        host: WSGIHost,
    ) -> None:
        self._app = app
        self._environ = environ
        self._method: str = environ["REQUEST_METHOD"]
        self.outlet = outlet
        self._cycle = ResponseCycle()
        self._wrote = False
        self.host = host
        self.piece: FilePiece | None = None
        self.context = contextvars.copy_context()
        self.trailing = False

    @property
    def committed(self) -> bool:
        """Whether the head of the response has left."""
        return self._cycle.committed

    @property
    def head(self) -> Head | None:
        """The head that is held, or has left."""
        return self._cycle.head

    @property
    def trailed(self) -> bool:
        """Whether trailers may follow the body."""
        return self._cycle.trailed

    def announce_trailers(self) -> bool:
        """Let trailers follow the body; tell whether they still can."""
        cycle = self._cycle
        if not cycle.committed:
            cycle.trailed = True
        return cycle.trailed and not cycle.done

    @property
    def sent(self) -> int:
        """How many bytes of the body the app has sent, or the server has taken of a file; from any thread."""
        return self._cycle.sent if self.piece is None else self.piece.sent

    def __call__(self) -> None:
        """Run the request; called by a worker thread. Never raises."""
        if not self.outlet.closed:  # else the client left while this waited: the app is not bothered (AA-12)
            try:
                self.context.run(self._serve)
            except BaseException as exc:  # a worker survives its apps (SEC-34)
                self._fail(exc)
        if self.host.after_request is not None:
            self.context.run(call_hook, self.host.after_request)

    def _serve(self) -> None:
        if self.context:
            adopt_locals()
        result = self._app(self._environ, self._start_response)
        kind = type(result)
        if (kind is list or kind is tuple) and not self._wrote and self._emit_whole(result):  # type: ignore[arg-type]
            return
        if kind is FileWrapper and self._hand_over(result):  # type: ignore[arg-type]
            return
        try:
            if not _iterable(kind):
                raise AppTypeError(
                    f"the WSGI app {self.host.name} returned {type(result).__name__}: "
                    "expected an iterable of bytes"
                )
            self._emit(result)
        finally:
            self._close(result)

    # ------------------------------------------------------------ start_response and write

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Write:
        """PEP 3333 "The start_response() Callable"."""
        cycle = self._cycle
        if exc_info is not None:
            try:
                if cycle.committed and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # break the cycle through the frame (W-37)
            replace = True
        else:
            replace = False
        try:
            head = head_from_wsgi(status, headers, self._method, trailers=self.trailing)
            if head.dropped:
                self.host.dropped(head)
        except AppProtocolError:
            cycle.refuse()
            raise
        cycle.start(head, replace=replace)
        return self._write

    def _write(self, data: bytes) -> None:
        """PEP 3333 "The write() Callable"."""
        self._wrote = True
        self._send(data)
        if self._cycle.excess and self._cycle.head is not None and not self._cycle.head.bodiless:
            raise AppProtocolError("write() went beyond the Content-Length of the response")

    # ------------------------------------------------------------ the body

    def _emit(self, result: Iterable[bytes]) -> None:
        for block in result:
            self._send(block)
            if self._cycle.full:  # not one block more than Content-Length (W-56)
                break
        self._end()

    def _emit_whole(self, blocks: list[bytes] | tuple[bytes, ...]) -> bool:
        """Send a response that is there already in one piece, where it is small enough to join."""
        for block in blocks:
            if type(block) is not bytes:
                raise self._wrong_block(block)
        if len(blocks) == 1:
            body = blocks[0]
        else:
            if sum(map(len, blocks)) > HIGH_WATER_BYTES:
                return False
            body = b"".join(blocks)
        cycle = self._cycle
        body = cycle.whole(body)
        if cycle.excess:
            self._warn_excess()
        self.outlet.put((cycle.held, body, False), 0)
        return True

    def _hand_over(self, wrapper: FileWrapper) -> bool:
        """Hand a file over, where it is one and all of the response: this thread is free then.

        The app's own is closed before, so that the path of one that is removed thereby is not sent (SEC-32).
        """
        cycle = self._cycle
        head = cycle.head
        if head is None or head.bodiless or cycle.committed:
            return False
        piece = self.piece = file_piece(wrapper, head.length)
        if piece is None:
            return False
        cycle.file(piece.count)
        self._close(wrapper)
        self.outlet.put((head, b"", piece), 0)  # if it raises, `_fail()` closes the piece
        return True

    def _send(self, block: bytes) -> None:
        """Send one block at once (W-46); an empty one does nothing (W-47)."""
        if type(block) is not bytes:
            raise self._wrong_block(block)
        if not block:
            return
        cycle = self._cycle
        was_done = cycle.done
        block = cycle.data(block)
        head = cycle.held
        if not cycle.full:
            self.outlet.put((head, block, True), len(block) + BLOCK_OVERHEAD_BYTES)
            return
        if cycle.excess:
            self._warn_excess()
        if not was_done:  # the last byte is known: the end goes with it, and `_end` has nothing left to say
            cycle.end()
            self.outlet.put((head, block, False), 0)

    def _end(self) -> None:
        cycle = self._cycle
        if cycle.done:
            return
        if not cycle.committed and cycle.head is not None:
            cycle.head.declare_whole(0)
        cycle.end()
        self.outlet.put((cycle.held, b"", False), 0)

    # ------------------------------------------------------------ ends

    def _close(self, result: Any) -> None:
        """Call `close()` of the returned object once, in this thread (W-52, W-53)."""
        close = getattr(result, "close", None)
        if close is None:
            return
        try:
            close()
        except BaseException as exc:
            # The response is out, or its own error is on the way: only the log is left to tell (W-54).
            self.log(logging.ERROR, "failed in close() of its response", exc)

    def _fail(self, exc: BaseException) -> None:
        if self.outlet.closed:
            if self.piece is not None:
                self.piece.close()  # nobody takes it any more
            self.untold(exc)
            return
        if self._cycle.done:
            self.log(logging.ERROR, "failed after its response was complete", exc)
            return
        if not isinstance(exc, Exception) or isinstance(exc, (StopIteration, StopAsyncIteration)):
            # It would end the loop, or pass for a cancellation or the end of an iteration (SEC-34).
            wrapped = AppProtocolError(f"the WSGI app {self.host.name} raised {type(exc).__name__}")
            wrapped.__cause__ = exc
            exc = wrapped
        if not self.outlet.fail(exc):
            self.untold(exc)

    def untold(self, exc: BaseException) -> None:
        """Log what no server hears of, unless it only says that the client left, or that no thread came."""
        if not isinstance(exc, (OSError, Overloaded)):
            self.log(logging.ERROR, "failed after its client had left", exc)

    def _warn_excess(self) -> None:
        self.log(logging.WARNING, "sent more than its Content-Length or status allows; it was cut")

    def log(self, level: int, what: str, error: BaseException | None = None) -> None:
        """Log what happened to the request; from any thread."""
        get = self._environ.get  # the app's: it may have taken anything out
        log_request(
            _log,
            level,
            what,
            app=self.host.name,
            method=self._method,
            path=text_from_native(f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}"),
            state=self._cycle.state.name.lower(),
            error=error,
        )

    def _wrong_block(self, block: object) -> AppTypeError:
        return AppTypeError(
            f"the WSGI app {self.host.name} gave a block of type {type(block).__name__}: expected bytes"
        )


def serves(job: Job, host: WSGIHost) -> bool:
    """Tell whether a job is a request of an adapter."""
    return isinstance(job, WSGIRun) and job.host is host


def _iterable(kind: type) -> bool:
    """Tell whether a type can be a response, without touching the object (W-50, W-59)."""
    return (
        kind is not str and kind is not bytes and (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"))
    )
