"""The order of a response, the same whichever side it comes from: start, blocks, one end.

    state      start       restart     data        end
    ─────────  ──────────  ──────────  ──────────  ──────
    IDLE       HELD        HELD        ✗           ✗
    REFUSED    ✗           HELD        ✗           ✗
    HELD       ✗           HELD        STREAMING   DONE
    STREAMING  ✗           ✗           STREAMING   DONE
    DONE       ✗           ✗           DONE        DONE

`restart` is a start that may replace an earlier one: start_response with exc_info. REFUSED is where a
start that broke a rule leads: a plain second one stays an error (W-34), the app's error page may come.
The start is held back until the first non-empty block, so that it can still be replaced (W-38, A-26).
What is sent after the end is ignored (D-02).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from bridge._protocol.head import WITHOUT_BODY, Head
from bridge._protocol.sendfile import PATHSEND
from bridge.errors import AppProtocolError, AppTypeError
from bridge.types import Message

__all__ = ["ResponseCycle", "State", "block_of", "ends_body"]


class State(IntEnum):
    """Where a response is."""

    IDLE = 0
    REFUSED = 1
    HELD = 2
    STREAMING = 3
    DONE = 4


# By names of their own: CPython 3.11 finds `State.HELD` by a call of Python, 0.1 µs each time.
_IDLE, _REFUSED, _HELD, _STREAMING, _DONE = State

_NEXT: Final = {
    (_IDLE, "start"): _HELD,
    (_IDLE, "restart"): _HELD,
    (_REFUSED, "restart"): _HELD,
    (_HELD, "restart"): _HELD,
    (_HELD, "data"): _STREAMING,
    (_HELD, "end"): _DONE,
    (_STREAMING, "data"): _STREAMING,
    (_STREAMING, "end"): _DONE,
    (_DONE, "data"): _DONE,
    (_DONE, "end"): _DONE,
}

_ILLEGAL: Final = {
    "start": "the response was started twice",
    "restart": "the response was started again after its headers were sent",
    "data": "the app sent a body before it started the response",
    "end": "the app ended without starting a response",
}


def ends_body(message: Message) -> bool:
    """Tell whether an event of an ASGI app is the last of its body; a file is all of it."""
    kind = message.get("type")
    return kind == PATHSEND or (kind == "http.response.body" and not message.get("more_body"))


def block_of(message: Message) -> bytes:
    """Give the block of an event of an ASGI app's body; any buffer counts.

    Raises:
        AppTypeError: it is none.
    """
    body = message.get("body", b"")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise AppTypeError(f"{message['type']} got a body of type {type(body).__name__}: expected bytes")


class ResponseCycle:
    """One response, from idle to done. Not thread-safe: it belongs to whoever runs the app.

    Attributes:
        state: see the table of this module.
        head: the held or sent head; None while idle.
        trailed: trailers may follow the body, so its last byte is not the end.
        excess: the app sent more than its Content-Length or its status allows; what was over has been cut
            (W-56, H-03).
    """

    __slots__ = ("_sent", "excess", "head", "state", "trailed")

    def __init__(self) -> None:
        self.state = _IDLE
        self.head: Head | None = None
        self.trailed = False
        self.excess = False
        self._sent = 0

    def _step(self, event: str) -> None:
        try:
            self.state = _NEXT[self.state, event]
        except KeyError:
            raise AppProtocolError(_ILLEGAL[event]) from None

    @property
    def committed(self) -> bool:
        """Whether the head has left, so that it cannot be replaced any more."""
        return self.state >= _STREAMING

    @property
    def sent(self) -> int:
        """How many bytes of the body may have left."""
        return self._sent

    @property
    def done(self) -> bool:
        """Whether the end has come."""
        return self.state is _DONE

    @property
    def held(self) -> Head:
        """The head, once there is one.

        Raises:
            AppProtocolError: there was no start.
        """
        if self.head is None:
            raise AppProtocolError(_ILLEGAL["data"])
        return self.head

    @property
    def full(self) -> bool:
        """Whether nothing the app could still send may leave."""
        head = self.head
        return head is not None and (head.bodiless or (self._sent == head.length and not self.trailed))

    def start(self, head: Head, *, replace: bool = False) -> None:
        """Hold a head back until the first block.

        Raises:
            AppProtocolError: there is one already and it may not be replaced.
        """
        self._step("restart" if replace else "start")
        self.head = head
        if replace or head.announces:
            self.trailed = head.announces  # an error page has no trailers of the page it replaces

    def refuse(self) -> None:
        """Note that a start broke a rule: a plain second one stays an error (W-34)."""
        if self.state is _IDLE:
            self.state = _REFUSED

    def data(self, block: bytes) -> bytes:
        """Take a non-empty block and give what of it may leave.

        Returns:
            The block, cut where Content-Length ends; empty for a response without body.

        Raises:
            AppProtocolError: there was no start.
        """
        self._step("data")
        head = self.head
        if head is None or head.bodiless:
            if block and head is not None and head.status in WITHOUT_BODY:  # HEAD may well try (H-01, H-03)
                self.excess = True
            return b""
        if self.state is _DONE:
            self.excess = True
            return b""
        if head.length is not None:
            room = head.length - self._sent
            if len(block) > room:
                self.excess = True
                block = block[:room]
        self._sent += len(block)
        return block

    def whole(self, body: bytes) -> bytes:
        """Take a body that is complete, and the end with it; declare its length where none was.

        Raises:
            AppProtocolError: as `data()` and `end()` do.
        """
        head = self.head
        if self.state is _HELD and head is not None:
            if head.length is None:
                head.declare_whole(len(body))
            if head.length == len(body) and not head.bodiless:  # the common response, in one step
                self.state = _DONE
                self._sent = head.length
                return body
        if body:
            body = self.data(body)
        self.end()
        return body

    def file(self, count: int) -> bool:
        """Take a file as the whole body, and the end with it; tell whether its bytes may leave.

        Args:
            count: its bytes; no more than the Content-Length, if one is declared.

        Raises:
            AppProtocolError: there was no start, or the file is not as long as declared.
        """
        self.check(count, last=True)
        self._step("data")
        wanted = self.head is not None and not self.head.bodiless
        if wanted:
            self._sent += count
        self._step("end")
        return wanted

    def check(self, size: int, *, last: bool) -> None:
        """Check the next block against Content-Length before it is taken.

        Raises:
            AppProtocolError: it is too long, or the last one and too short; nothing has changed.
        """
        head = self.head
        if head is None or head.length is None or head.bodiless:
            return
        total = self._sent + size
        if total > head.length:
            raise AppProtocolError("the response body is longer than its Content-Length")
        if last and total < head.length:
            raise AppProtocolError(
                f"the response body ended after {total} of {head.length} bytes of its Content-Length"
            )

    def end(self) -> None:
        """Take the end of the body.

        Raises:
            AppProtocolError: there was no start, or less came than Content-Length declared; the
                response must then be cut, so that the client can tell (W-57, H-26).
        """
        self.check(0, last=True)
        self._step("end")
