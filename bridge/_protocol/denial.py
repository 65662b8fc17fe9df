"""The response of an ASGI app in place of a WebSocket (ASGI extensions "Websocket Denial Response")."""

from __future__ import annotations

from typing import Final, TypeAlias

from bridge._protocol.head import Head, head_from_asgi
from bridge._protocol.response import ResponseCycle, block_of
from bridge._protocol.websocket import WebSocketCycle
from bridge.types import Message

__all__ = ["Denial", "Part", "forbidden"]

Part: TypeAlias = "tuple[Head | None, bytes, bool]"
"""A head that leaves with it or None, a block, and whether more will come."""

_FORBIDDEN: Final = b"Forbidden"


def forbidden() -> Part:
    """Give the whole response for an app that closes what it has not accepted (S-05)."""
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(_FORBIDDEN)),
    ]
    return Head(403, fields, "GET"), _FORBIDDEN, False


class Denial:
    """One denial, fed with the events of the app. Where one is refused, nothing has changed.

    Args:
        cycle: of the WebSocket; told what the denial does.
    """

    __slots__ = ("_cycle", "_response")

    def __init__(self, cycle: WebSocketCycle) -> None:
        self._cycle = cycle
        self._response = ResponseCycle()

    def start(self, message: Message) -> None:
        """Take a `websocket.http.response.start`; its head is held back until the first block.

        Raises:
            AppProtocolError: it breaks a rule, or cannot come now.
        """
        self._cycle.check("deny")
        self._response.start(head_from_asgi(message.get("status"), message.get("headers") or (), "GET"))
        self._cycle.deny()

    def body(self, message: Message) -> Part:
        """Take a `websocket.http.response.body` and give what of it leaves.

        Raises:
            AppProtocolError: it breaks a rule, or cannot come now.
        """
        block = block_of(message)
        more = bool(message.get("more_body", False))
        self._cycle.check("body" if more else "end")
        response = self._response
        head = None if response.committed else response.head
        response.check(len(block), last=not more)
        data = response.data(block) if more else response.whole(block)
        self._cycle.body(more=more)
        return head, data, more
