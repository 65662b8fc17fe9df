"""The opening handshake of a WebSocket (RFC 6455 section 4): checked, and answered."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection
from typing import Final, NamedTuple

from bridge._protocol.deflate import Deflate, chosen_deflate
from bridge._protocol.headers import is_token
from bridge.errors import ConfigurationError, PeerProtocolError
from bridge.types import Environ, RawHeaders, Scope

__all__ = [
    "VERSION",
    "Handshake",
    "accept_key",
    "check_origins",
    "handshake_from_environ",
    "is_handshake",
    "origin_allowed",
    "scope_of_websocket",
    "subprotocols_of",
    "switch_response",
]

VERSION: Final = "13"
"""The one that there is (RFC 6455 section 4.1)."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_VERSION_MISMATCH: Final = 426


class Handshake(NamedTuple):
    """A request for a WebSocket that is in order.

    Attributes:
        key: Sec-WebSocket-Key, native.
        subprotocols: what the client offers, in its order (S-02).
        deflate: the first offer of permessage-deflate that can be met; None without one.
    """

    key: str
    subprotocols: list[str]
    deflate: Deflate | None


def is_handshake(environ: Environ) -> bool:
    """Tell whether a request means to open a WebSocket, in order or not.

    Any other upgrade, h2c for one, is left out: to ignore it is the answer (RFC 9110 section 7.8, SEC-29).
    """
    return "HTTP_SEC_WEBSOCKET_KEY" in environ or "websocket" in _tokens(environ.get("HTTP_UPGRADE"))


def handshake_from_environ(environ: Environ) -> Handshake:
    """Check the opening handshake of a client, every part of it (S-17).

    HTTP/2 has another way to open one (RFC 8441), which has nothing to take over.

    Raises:
        PeerProtocolError: says what is wrong; its status is 426 for a version other than 13 (S-18).

    Spec:
        RFC 6455 section 4.2.1; RFC 9112 section 6.3 (a body in front of frames, S-33).
    """
    if environ["REQUEST_METHOD"] != "GET":
        raise PeerProtocolError("a WebSocket is opened with GET")
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1" or not environ.get("HTTP_HOST"):
        raise PeerProtocolError("a WebSocket needs HTTP/1.1 and a Host")
    if environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
        raise PeerProtocolError("a request for a WebSocket has no body")
    if "websocket" not in _tokens(environ.get("HTTP_UPGRADE")):
        raise PeerProtocolError("Upgrade does not ask for a WebSocket")
    if "upgrade" not in _tokens(environ.get("HTTP_CONNECTION")):
        raise PeerProtocolError("Connection does not name Upgrade")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != VERSION:
        raise PeerProtocolError("the WebSocket version is not 13", status_hint=_VERSION_MISMATCH)
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    if not _is_key(key):
        raise PeerProtocolError("Sec-WebSocket-Key is not 16 bytes in base64")
    return Handshake(
        key,
        subprotocols_of(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")),
        chosen_deflate(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")),
    )


def scope_of_websocket(scope: Scope, handshake: Handshake) -> Scope:
    """Make the scope of a WebSocket of that of its HTTP request (S-01, S-02, S-29)."""
    found = {name: value for name, value in scope.items() if name != "method"}
    found["type"] = "websocket"
    found["asgi"] = {"version": "3.0", "spec_version": "2.5"}
    found["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
    found["subprotocols"] = handshake.subprotocols
    found["extensions"] = {"websocket.http.response": {}}
    tls = (scope.get("extensions") or {}).get("tls")
    if tls is not None:
        found["extensions"]["tls"] = tls
    return found


def _tokens(value: str | None) -> set[str]:
    return {token.strip(" \t").lower() for token in (value or "").split(",")}


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def subprotocols_of(value: str) -> list[str]:
    """Read the joined values of Sec-WebSocket-Protocol.

    Raises:
        PeerProtocolError: one is no token.
    """
    names = [name for part in value.split(",") if (name := part.strip(" \t"))]
    if not all(map(is_token, names)):
        raise PeerProtocolError("a subprotocol is not a token")
    return names


def origin_allowed(origin: str | None, allowed: Collection[str] | None) -> bool:
    """Tell whether a page of this origin may connect (RFC 6455 section 10.2, S-34).

    A browser always sends an Origin; a client that is none may leave it out, and could forge it anyway.
    """
    return allowed is None or origin is None or origin.lower() in allowed


def check_origins(origins: Collection[str] | None) -> frozenset[str] | None:
    """Check a list of allowed origins and give it in lower case.

    Raises:
        ConfigurationError: it is one string, or has something else than strings in it.
    """
    if origins is None:
        return None
    if isinstance(origins, str) or not all(isinstance(origin, str) for origin in origins):
        raise ConfigurationError(f"websocket_origins={origins!r}: expected a list of strings, or None")
    return frozenset(origin.lower() for origin in origins)


def accept_key(key: str) -> bytes:
    """Give the Sec-WebSocket-Accept that answers a key (S-19)."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def switch_response(handshake: Handshake, subprotocol: str | None, headers: RawHeaders) -> bytes:
    """Give the head that ends HTTP on this connection: 101, with each handshake field once."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_key(handshake.key),
    ]
    if subprotocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("latin-1"))
    if handshake.deflate is not None:
        lines.append(b"Sec-WebSocket-Extensions: " + handshake.deflate.response.encode("ascii"))
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
