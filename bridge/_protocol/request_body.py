"""How much of a request body there is, counted the same way in both directions."""

from __future__ import annotations

from typing import Final

from bridge._protocol.headers import content_length
from bridge.errors import BodyTooLarge, ClientDisconnected, PeerProtocolError, ProtocolError
from bridge.types import Environ, Message

__all__ = [
    "LEAST_READ_BYTES",
    "MOST_READ_BYTES",
    "RequestBodyCycle",
    "body_length",
    "data_from_event",
    "has_body",
    "read_bytes",
]

LEAST_READ_BYTES: Final = 64 * 1024
"""What a WSGI server is asked for at once, whether it is there or not."""

MOST_READ_BYTES: Final = 256 * 1024
"""What is asked for at most, and so how far a body is ahead of an ASGI app."""


def read_bytes(waiting: int, left: int | None) -> int:
    """Choose how much of a body to ask a WSGI server for at once.

    `read(n)` waits for n bytes (PEP 3333 "Input and Error Streams"), and while it waits nothing that the app
    sends can leave. So more than the least is asked for only where it is there already: each piece costs a
    round trip between the thread and the loop, and a large body passes twice as fast in large ones.

    Args:
        waiting: how many bytes of the connection are known to be there.
        left: how much of the declared body is still to come; None if no length was declared. Then what waits
            says little, since the marks between chunks are part of it.
    """
    if left is None:
        return LEAST_READ_BYTES
    return min(max(waiting, LEAST_READ_BYTES), MOST_READ_BYTES, left)  # not of the next request


def body_length(environ: Environ) -> int | None:
    """Read how long the body is declared to be; None if its end shows otherwise.

    Of a length and a transfer coding the coding counts (RFC 9112 section 6.3) where the server ends the input
    with the body: Werkzeug 3.1 leaves both in the environ. Where it does not, the length counts, and is no
    reason to refuse: nginx 1.22 gives uWSGI the coding of the client with the length of what it has decoded.
    """
    declared = environ.get("CONTENT_LENGTH")
    if not declared or ("HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")):
        return None
    return content_length(declared)


def has_body(environ: Environ, length: int | None) -> bool:
    """Tell whether there is a body that can be read to its end and no further (A-16).

    Args:
        environ: of the request.
        length: the declared Content-Length; None if there was none.

    Raises:
        PeerProtocolError: there is a body, and the server tells neither its length nor its end, as uWSGI 2.0
            with a chunked one. To take that for none would make an upload look whole (SEC-11).
    """
    if length is not None:
        return length > 0
    if environ.get("wsgi.input_terminated"):
        return True
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise PeerProtocolError("the request body has no length that the server knows", status_hint=411)
    return False


class RequestBodyCycle:
    """Counts the bytes of one request body against what was declared and what is allowed.

    Args:
        length: the declared Content-Length; None if there was none.
        limit: the most bytes accepted; None for no limit.

    Raises:
        BodyTooLarge: the declared length is over the limit already.
    """

    __slots__ = ("_limit", "length", "received")

    def __init__(self, length: int | None, limit: int | None) -> None:
        self.length = length
        self._limit = limit
        self.received = 0
        if length is not None and limit is not None and length > limit:
            raise BodyTooLarge(f"the request declares a body of {length} bytes; {limit} are accepted")

    def data(self, data: bytes) -> bytes:
        """Count a piece of the body and give what of it belongs to the request.

        What comes beyond Content-Length is cut: it may be the next request (W-22, SEC-09).

        Raises:
            BodyTooLarge: more bytes came than are accepted; by count, since a chunked body declares
                nothing (SEC-17).
        """
        if self.length is not None and self.received + len(data) > self.length:
            data = data[: self.length - self.received]
        self.received += len(data)
        if self._limit is not None and self.received > self._limit:
            raise BodyTooLarge(f"the request body is larger than the {self._limit} bytes accepted")
        return data

    @property
    def complete(self) -> bool:
        """Whether the whole declared body has come."""
        return self.length is not None and self.received >= self.length

    def end(self) -> None:
        """Take the end of the body.

        Raises:
            ClientDisconnected: less came than was declared. A truncated request must not look whole
                (RFC 9112 section 8, SEC-11).
        """
        if self.length is not None and self.received < self.length:
            raise ClientDisconnected(f"the request body ended after {self.received} of {self.length} bytes")


def data_from_event(event: Message) -> bytes | None:
    """Give the bytes that an event of `receive()` brings; None for a disconnect (AA-08, AA-09).

    Raises:
        ProtocolError: it is of another kind.
    """
    kind = event["type"]
    if kind == "http.request":
        return event.get("body") or b""
    if kind == "http.disconnect":
        return None
    raise ProtocolError(f"receive() gave {kind!r} to an http request")
