"""The header fields of a request: into an environ, and out of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from bridge._protocol.headers import CONTROL, KEPT_LENGTH, KEPT_NAMES, content_length, is_token
from bridge._protocol.limits import Limits
from bridge.errors import PeerProtocolError
from bridge.types import Environ, RawHeaders

__all__ = ["add_request_headers", "headers_from_environ"]

_BAD_HOST = re.compile(r"[/?#@,\\ \t]")  # a comma: granian 2.8 and Werkzeug join two of them in an environ

# A second field of these names is refused: joined by a comma they would mean something else (H-20).
_SINGLETONS: Final = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_AUTHORIZATION"})

_known_hosts: set[str] = set()
_environ_keys: dict[bytes, str | None] = {}
_field_names: dict[str, bytes | None] = {}  # None for an environ key that is no header field

# ---------------------------------------------------------------- ASGI to WSGI


def add_request_headers(
    environ: Environ,
    headers: Collection[Iterable[bytes]],
    limits: Limits,
    *,
    refuse_underscores: bool = False,
) -> None:
    """Write the header fields of an ASGI request into an environ.

    Args:
        environ: receives CONTENT_TYPE, CONTENT_LENGTH and HTTP_* keys, native values.
        headers: pairs of raw name and raw value.
        limits: the number and the size that are accepted.
        refuse_underscores: answer 400 to a name with an underscore instead of dropping the field.

    Raises:
        PeerProtocolError: a field cannot be translated safely (400), or there is too much (431).

    Spec:
        PEP 3333 "environ Variables"; RFC 9110 sections 5.2, 5.3, 5.5, 17.10; D-06.
    """
    if len(headers) > limits.max_headers:
        raise PeerProtocolError("the request has too many header fields", status_hint=431)
    repeated: dict[str, list[str]] | None = None
    size = 0
    for raw_name, raw_value in headers:
        size += len(raw_name) + len(raw_value)
        try:
            key = _environ_keys[raw_name]
        except KeyError:
            key = _environ_key(raw_name)
        value = raw_value.decode("latin-1")
        if not value.isprintable() and CONTROL.search(value):
            raise PeerProtocolError("a header value contains a control character")
        if key is None:  # checked all the same: an ASGI app further in gets the field
            if refuse_underscores and b"_" in raw_name:
                raise PeerProtocolError("a header name contains an underscore")
            continue
        if key != "CONTENT_LENGTH":  # whose digits are checked as they came (H-09)
            value = value.strip(" \t")  # and nothing else: NBSP belongs to the value (H-16)
        if key not in environ:
            environ[key] = value
        elif key in _SINGLETONS:
            _repeat_singleton(environ, key, value)
        else:
            if repeated is None:
                repeated = {}
            repeated.setdefault(key, []).append(value)
    if size > limits.max_header_bytes:
        raise PeerProtocolError("the request header is too large", status_hint=431)
    if repeated is not None:
        _join_repeated(environ, repeated)
    _check_framing(environ)


def _environ_key(raw_name: bytes) -> str | None:
    """Give the environ key of a field name; None for a name that must not reach the app."""
    name = raw_name.decode("latin-1")
    if not is_token(name):
        raise PeerProtocolError("a header name is not a token")
    name = name.lower()
    key: str | None
    if "_" in name or name == "proxy":  # spoofed dashes (SEC-05, SEC-06); httpoxy (SEC-04)
        key = None
    elif name in ("content-type", "content-length"):
        key = name.upper().replace("-", "_")
    else:
        key = "HTTP_" + name.upper().replace("-", "_")
    if len(_environ_keys) < KEPT_NAMES and len(name) <= KEPT_LENGTH:
        _environ_keys[bytes(raw_name)] = key
    return key


def _repeat_singleton(environ: Environ, key: str, value: str) -> None:
    same = environ[key] == value
    if same and key == "CONTENT_LENGTH":  # RFC 9110 section 8.6 lets identical values collapse
        return
    if same and key == "HTTP_HOST" and environ["SERVER_PROTOCOL"] >= "HTTP/2":
        return  # :authority, shown as Host by the server, beside an equal Host (RFC 9113 section 8.3.1)
    name = key.removeprefix("HTTP_").replace("_", "-").title()
    raise PeerProtocolError(f"the request has more than one {name} header")


def _join_repeated(environ: Environ, repeated: dict[str, list[str]]) -> None:
    """Join list fields in order, in one pass each (SEC-18); cookies by "; " (ASGI www "HTTP")."""
    for key, values in repeated.items():
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = separator.join([environ[key], *values])


def _check_framing(environ: Environ) -> None:
    """Check what delimits the body, and the Host (SEC-08 to SEC-10)."""
    length = environ.get("CONTENT_LENGTH")
    if length is not None and content_length(length) is None:
        raise PeerProtocolError("Content-Length is not a number")
    if "HTTP_TRANSFER_ENCODING" in environ:
        _check_coding(environ)
        # The server has undone the coding. Apps that find it in the environ undo it again, as Bottle does,
        # or refuse the request, as httpbin does (SEC-10, H-12).
        del environ["HTTP_TRANSFER_ENCODING"]
        if length is not None:  # RFC 9112 section 6.3: the transfer coding decided, not this
            del environ["CONTENT_LENGTH"]
    host = environ.get("HTTP_HOST")
    if host is not None and host not in _known_hosts:
        _check_host(host)


def _check_coding(environ: Environ) -> None:
    """Refuse a transfer coding in HTTP/1.0, where a proxy may go by another end of the body.

    RFC 9112 section 6.1 has the framing of such a request treated as faulty, and nginx 1.22 answers it 400.
    A proxy that speaks HTTP/1.0 sends a length: nginx by default, Apache httpd with force-proxy-request-1.0.
    """
    # eventlet's server writes this version of every request.
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0" and "eventlet.input" not in environ:
        raise PeerProtocolError("the request has a transfer coding in HTTP/1.0")


def _check_host(host: str) -> None:
    """Refuse a Host that could be read as something else (SEC-08); a site has few, so they are kept."""
    if _BAD_HOST.search(host):
        raise PeerProtocolError("Host is not a host")
    if len(_known_hosts) < KEPT_NAMES and len(host) <= KEPT_LENGTH:
        _known_hosts.add(host)


# ---------------------------------------------------------------- WSGI to ASGI


def headers_from_environ(environ: Environ, limits: Limits) -> RawHeaders:
    """Read the header fields of a WSGI request.

    Returns:
        Raw pairs in the order of the environ. HTTP_CONTENT_TYPE and HTTP_CONTENT_LENGTH are ignored:
        they are nobody's header (W-08), and so is an empty CONTENT_TYPE or CONTENT_LENGTH (A-09).

    Raises:
        PeerProtocolError: a field breaks HTTP (400), or there is too much (431).
    """
    headers: RawHeaders = []
    size = 0
    for key, value in environ.items():
        try:
            name = _field_names[key]
        except KeyError:
            name = _field_name(key)
        if name is None or (not value and key[:8] == "CONTENT_"):
            continue
        if not value.isprintable() and CONTROL.search(value):
            raise PeerProtocolError("a header value contains a control character")
        if name == b"content-length" and content_length(value) is None:
            raise PeerProtocolError("Content-Length is not a number")
        try:
            raw = value.strip(" \t").encode("latin-1")
        except UnicodeEncodeError:
            raise PeerProtocolError("a header value is not a native string") from None
        size += len(name) + len(raw)
        headers.append((name, raw))
    if len(headers) > limits.max_headers or size > limits.max_header_bytes:
        raise PeerProtocolError("the request header is too large", status_hint=431)
    if "HTTP_TRANSFER_ENCODING" in environ:
        _check_coding(environ)
        if environ.get("CONTENT_LENGTH"):  # RFC 9112 section 6.3
            headers = [field for field in headers if field[0] != b"content-length"]
    host = environ.get("HTTP_HOST")
    if host is not None and host not in _known_hosts:
        _check_host(host)
    return headers


def _field_name(key: str) -> bytes | None:
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        name: bytes | None = key.lower().replace("_", "-").encode()
    elif key[:5] != "HTTP_" or key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_PROXY"):
        name = None
    elif not is_token(key[5:]):
        raise PeerProtocolError("a header name is not a token")
    else:
        name = key[5:].replace("_", "-").lower().encode("ascii")
    if len(_field_names) < KEPT_NAMES and len(key) <= KEPT_LENGTH:
        _field_names[key] = name
    return name
