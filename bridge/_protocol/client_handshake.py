"""The opening handshake that the bridge has with a WSGI app, as its client: made up, and its answer read."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bridge._protocol.handshake import VERSION, accept_key
from bridge._protocol.headers import is_token
from bridge.errors import AppProtocolError, PeerProtocolError
from bridge.types import RawHeaders, Scope

__all__ = ["Answer", "answer_from_bytes", "scope_as_upgrade"]

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (101|[2-5][0-9]{2})(?: |\Z)")

_REPLACED: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"sec-websocket-extensions",  # between app and bridge nothing is compressed
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    }
)


def scope_as_upgrade(scope: Scope, key: str) -> Scope:
    """Make of a websocket scope the HTTP request that a WSGI app expects, with a handshake of its own.

    The client's may be of HTTP/2, where there is neither key nor upgrade (RFC 8441), and is the server's.

    Args:
        scope: its headers may have passed middleware; kept but for those of the handshake.
        key: 16 random bytes in base64.

    Returns:
        A new scope of HTTP/1.1 and GET.

    Raises:
        PeerProtocolError: a subprotocol is no token.
    """
    headers: RawHeaders = [
        (bytes(name), bytes(value))
        for name, value in scope.get("headers") or ()
        if bytes(name).lower() not in _REPLACED
    ]
    headers += [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-key", key.encode("ascii")),
        (b"sec-websocket-version", VERSION.encode("ascii")),
    ]
    subprotocols = scope.get("subprotocols") or ()
    if not all(map(is_token, subprotocols)):
        raise PeerProtocolError("a subprotocol is not a token")
    offered = ", ".join(subprotocols)
    if offered:
        headers.append((b"sec-websocket-protocol", offered.encode("latin-1")))
    return {**scope, "method": "GET", "http_version": "1.1", "headers": headers}


class Answer(NamedTuple):
    """What a server answered to a handshake.

    Attributes:
        status: 101 if it agreed.
        subprotocol: the one it chose; None if none.
        headers: raw pairs with names in lower case, without those of the handshake.
    """

    status: int
    subprotocol: str | None
    headers: RawHeaders


def answer_from_bytes(head: bytes, key: str) -> Answer:
    """Read the answer to a handshake.

    Args:
        head: the response head without the empty line that ends it.
        key: that of the request.

    Raises:
        AppProtocolError: it is no answer to this handshake, or confirms what was not offered.
    """
    first, *lines = head.split(b"\r\n")
    found = _STATUS_LINE.match(first)
    if found is None:
        raise AppProtocolError("the app wrote something else than an HTTP response to its socket")
    fields = [
        (name.strip().lower(), value.strip(b" \t")) for name, _, value in (x.partition(b":") for x in lines)
    ]
    values = dict(fields)
    status = int(found[1])
    if status == 101 and values.get(b"sec-websocket-accept") != accept_key(key):
        raise AppProtocolError("the app answered the handshake with a wrong Sec-WebSocket-Accept")
    if status == 101 and values.get(b"sec-websocket-extensions"):
        raise AppProtocolError("the app confirmed an extension that was not offered")
    subprotocol = values.get(b"sec-websocket-protocol")
    dropped = _REPLACED | {b"sec-websocket-accept"}
    headers = [field for field in fields if field[0] not in dropped]
    return Answer(status, subprotocol.decode("latin-1") if subprotocol else None, headers)
