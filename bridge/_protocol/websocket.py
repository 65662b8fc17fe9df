"""The order of a WebSocket, the same whichever side the app is on (ASGI www 2.5 "WebSocket").

    state       accept  deny     body     end     message  close   lost
    ──────────  ──────  ───────  ───────  ──────  ───────  ──────  ────
    CONNECTING  OPEN    DENYING  ✗        ✗       ✗        CLOSED  GONE
    DENYING     ✗       ✗        DENYING  CLOSED  ✗        ✗       GONE
    OPEN        ✗       ✗        ✗        ✗       OPEN     CLOSED  GONE
    CLOSED      ✗       ✗        ✗        ✗       ✗        ✗       CLOSED
    GONE        the client has left: each act of the app raises ClientDisconnected (S-25)

What is denied goes through a `ResponseCycle`: a denial is an ordinary response (S-07). CLOSED is where the
app has had the last word; GONE is where the client had it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum
from typing import Final, NamedTuple

from bridge._protocol.response_headers import raw_headers
from bridge.errors import AppProtocolError, AppTypeError, ClientDisconnected
from bridge.types import Message, RawHeaders

__all__ = [
    "ABNORMAL",
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "NORMAL",
    "NO_STATUS",
    "TOO_LARGE",
    "Close",
    "WebSocketCycle",
    "WebSocketState",
    "fits",
    "sendable",
]

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
TOO_LARGE: Final = 1009
INTERNAL_ERROR: Final = 1011

_NEVER_SENT: Final = frozenset({1004, NO_STATUS, ABNORMAL, 1015})
_MAX_REASON_BYTES: Final = 123  # a control frame has 125 at most, two are the code (RFC 6455 section 5.5)

# What the bridge writes itself; an app that sets one of these would make a second, or another, handshake.
_HANDSHAKE_FIELDS: Final = frozenset(
    {b"connection", b"upgrade", b"transfer-encoding", b"content-length", b"trailer"}
)


class Close(NamedTuple):
    """How a connection ended.

    Attributes:
        code: of RFC 6455 section 7.4; 1005 where the close frame had none, 1006 where there was none (S-15).
        reason: text, empty where none was given.
    """

    code: int
    reason: str = ""


class WebSocketState(Enum):
    """Where a WebSocket is."""

    CONNECTING = "connecting"
    DENYING = "denied"
    OPEN = "open"
    CLOSED = "closed"
    GONE = "left by its client"


_S = WebSocketState
_NEXT: Final = {
    (_S.CONNECTING, "accept"): _S.OPEN,
    (_S.CONNECTING, "deny"): _S.DENYING,
    (_S.CONNECTING, "close"): _S.CLOSED,
    (_S.CONNECTING, "lost"): _S.GONE,
    (_S.DENYING, "body"): _S.DENYING,
    (_S.DENYING, "end"): _S.CLOSED,
    (_S.DENYING, "lost"): _S.GONE,
    (_S.OPEN, "message"): _S.OPEN,
    (_S.OPEN, "close"): _S.CLOSED,
    (_S.OPEN, "lost"): _S.GONE,
    (_S.CLOSED, "lost"): _S.CLOSED,
    (_S.GONE, "lost"): _S.GONE,
}


class WebSocketCycle:
    """One WebSocket, fed with what the app does and with the loss of its client.

    Args:
        subprotocols: what the client offered, in its order.

    Attributes:
        state: see the table of this module.
    """

    __slots__ = ("_subprotocols", "state")

    def __init__(self, subprotocols: Collection[str] = ()) -> None:
        self.state = WebSocketState.CONNECTING
        self._subprotocols = subprotocols

    def check(self, act: str) -> None:
        """Check that an act may come now; nothing changes.

        Raises:
            ClientDisconnected: the client has left (S-25).
            AppProtocolError: the act is out of order (S-26).
        """
        if (self.state, act) in _NEXT:
            return
        if self.state is WebSocketState.GONE:
            raise ClientDisconnected
        raise AppProtocolError(f"the app tried to {act} a WebSocket that is {self.state.value}")

    def _step(self, act: str) -> None:
        self.check(act)
        self.state = _NEXT[self.state, act]

    def accept(self, subprotocol: object, headers: Iterable[Iterable[object]]) -> RawHeaders:
        """Take the acceptance and give its header fields, checked.

        Raises:
            AppProtocolError: the subprotocol was not offered (S-09), or a field is of the handshake (S-08).
        """
        self.check("accept")
        if subprotocol is not None and subprotocol not in self._subprotocols:
            raise AppProtocolError("the app accepted a subprotocol that the client had not offered")
        fields = raw_headers(headers)
        for name, _ in fields:
            if name in _HANDSHAKE_FIELDS or name.startswith(b"sec-websocket-"):
                raise AppProtocolError(
                    f"the app set {name.decode('latin-1')}, a field of the handshake itself"
                )
        self._step("accept")
        return fields

    def deny(self) -> None:
        """Take the beginning of an ordinary response in place of the upgrade."""
        self._step("deny")

    def body(self, *, more: bool) -> None:
        """Take a block of the denial."""
        self._step("body" if more else "end")

    def message(self, message: Message) -> str | bytes:
        """Take a `websocket.send` and give its text or its bytes.

        Raises:
            AppProtocolError: it has both or neither, or it cannot come now (S-10, S-26).
        """
        self.check("message")
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise AppProtocolError("websocket.send needs exactly one of text and bytes")
        if text is not None and not isinstance(text, str):
            raise AppTypeError(f"websocket.send got a text of type {type(text).__name__}: expected str")
        if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
            raise AppTypeError(f"websocket.send got bytes of type {type(data).__name__}")
        return text if text is not None else bytes(data or b"")

    def close(self, code: object = None, reason: object = None) -> Close:
        """Take the app's close and give its code, 1000 by default, and its reason (S-06).

        Raises:
            AppProtocolError: the code or the reason may not stand on the wire (S-16), or it cannot come now.
        """
        self.check("close")
        code = NORMAL if code is None else code
        reason = "" if reason is None else reason
        if not isinstance(code, int) or not sendable(code):
            raise AppProtocolError(f"{code!r} is no close code that may be sent")
        if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > _MAX_REASON_BYTES:
            raise AppProtocolError("a close reason is a str of at most 123 bytes in UTF-8")
        self._step("close")
        return Close(int(code), reason)

    def lost(self) -> None:
        """Take note that the client has closed, or has gone."""
        self._step("lost")


def fits(message: str | bytes | bytearray, most: int) -> bool:
    """Tell whether a message is within a limit of bytes; text counts in UTF-8."""
    if len(message) > most:
        return False
    return not isinstance(message, str) or message.isascii() or len(message.encode()) <= most


def sendable(code: int) -> bool:
    """Tell whether a close code may stand in a close frame (RFC 6455 section 7.4)."""
    return 1000 <= code < 5000 and code not in _NEVER_SENT
