"""The opening handshake (RFC 6455 section 4): checked as a server, made up and read as a client."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from bridge._protocol.headers import is_token
from bridge.errors import AppProtocolError, ConfigurationError, PeerProtocolError
from bridge.types import Environ, RawHeaders, Scope

__all__ = [
    "Answer",
    "Deflate",
    "Handshake",
    "accept_key",
    "answer_from_bytes",
    "check_origins",
    "handshake_from_environ",
    "is_handshake",
    "origin_allowed",
    "scope_as_upgrade",
    "scope_of_websocket",
    "subprotocols_of",
    "switch_response",
]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_VERSION: Final = "13"
_VERSION_MISMATCH: Final = 426
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (101|[2-5][0-9]{2})(?: |\Z)")
_MIN_WINDOW: Final = 9  # zlib makes no raw stream with a window of 8
_MAX_WINDOW: Final = 15


class Deflate(NamedTuple):
    """Parameters of permessage-deflate, as agreed (RFC 7692 section 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None

    @property
    def response(self) -> str:
        """The value of Sec-WebSocket-Extensions that confirms them."""
        parts = ["permessage-deflate"]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        return "; ".join(parts)


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
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != _VERSION:
        raise PeerProtocolError("the WebSocket version is not 13", status_hint=_VERSION_MISMATCH)
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    if not _is_key(key):
        raise PeerProtocolError("Sec-WebSocket-Key is not 16 bytes in base64")
    return Handshake(
        key,
        subprotocols_of(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")),
        _deflate(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")),
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


def _deflate(offers: str) -> Deflate | None:
    """Choose the first offer that can be met; parameters that are unknown or wrong decline one (RFC 7692)."""
    for offer in offers.split(","):
        name, *parameters = (part.strip(" \t") for part in offer.split(";"))
        if name == "permessage-deflate" and (found := _deflate_of(parameters)) is not None:
            return found
    return None


def _deflate_of(parameters: list[str]) -> Deflate | None:
    given: dict[str, str | None] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if name in given:
            return None
        given[name] = value.strip('"') if equals else None
    window = given.pop("server_max_window_bits", "")
    client_window = given.pop("client_max_window_bits", None)  # a hint: to inflate, the largest always does
    flags = {name: name in given for name in ("server_no_context_takeover", "client_no_context_takeover")}
    if any(name not in flags or value is not None for name, value in given.items()):
        return None
    if client_window is not None and not _is_window(client_window, 8):
        return None
    if window == "":
        return Deflate(**flags)
    if window is None or not _is_window(window, _MIN_WINDOW):
        return None
    return Deflate(**flags, server_max_window_bits=int(window))


def _is_window(value: str, least: int) -> bool:
    return value.isascii() and value.isdigit() and value[0] != "0" and least <= int(value[:3]) <= _MAX_WINDOW


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


# ---------------------------------------------------------------- as a client

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
        (b"sec-websocket-version", _VERSION.encode("ascii")),
    ]
    offered = ", ".join(scope.get("subprotocols") or ())
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
