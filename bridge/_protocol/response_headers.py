"""The header fields of a response: a WSGI app's made raw, an ASGI app's checked and made native."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge._protocol.headers import CONTROL, KEPT_LENGTH, KEPT_NAMES, is_token
from bridge.errors import AppProtocolError
from bridge.types import RawHeaders

__all__ = ["native_from_raw_headers", "raw_from_native_headers", "raw_headers"]

_IRREGULAR: Final = {"etag": "ETag", "www-authenticate": "WWW-Authenticate"}

_raw_names: dict[str, bytes] = {}
_native_names: dict[bytes, str] = {}


def raw_from_native_headers(headers: list[object]) -> RawHeaders:
    """Check the response fields of a WSGI app and make them raw.

    Returns:
        A new list: the app may go on changing its own (W-44).

    Raises:
        AppProtocolError: not pairs of native strings, no token, a control character (W-42, H-14, H-15,
            U-02). The message never shows the value (SEC-27).
    """
    raw: RawHeaders = []
    for field in headers:
        if type(field) is not tuple or len(field) != 2:
            raise AppProtocolError("start_response got a header that is not a tuple of name and value")
        name, value = field
        if type(name) is not str or type(value) is not str:
            raise AppProtocolError(
                f"start_response got a header that is not a pair of str: {type(name).__name__}, "
                f"{type(value).__name__} (PEP 3333 'The start_response() Callable')"
            )
        raw_name = _raw_names.get(name) or _raw_name(name)
        if not value.isprintable() and CONTROL.search(value):
            raise AppProtocolError(f"the value of response header {name!r} contains a control character")
        if raw_name != b"content-length":  # whose digits are checked as they came (H-09)
            value = value.strip(" \t")
        try:
            raw.append((raw_name, value.encode("latin-1")))
        except UnicodeEncodeError:
            raise AppProtocolError(
                f"the value of response header {name!r} is not a native string: it has a character "
                "beyond U+00FF (PEP 3333 'Unicode Issues')"
            ) from None
    return raw


def _raw_name(name: str) -> bytes:
    if not is_token(name):
        raise AppProtocolError(f"response header name {name!r} is not an RFC 9110 token")
    raw = name.lower().encode("ascii")
    if len(_raw_names) < KEPT_NAMES and len(name) <= KEPT_LENGTH:
        _raw_names[name] = raw
    return raw


def raw_headers(headers: Iterable[Iterable[object]]) -> RawHeaders:
    """Check the response fields of an ASGI app (H-14, H-15); the names come out in lower case.

    Raises:
        AppProtocolError: not pairs of bytes, no token, a control character.
    """
    checked: RawHeaders = []
    for field in headers:
        try:
            name, value = field
        except (TypeError, ValueError):
            raise AppProtocolError(
                "http.response.start got a header that is not a pair of name and value"
            ) from None
        if type(name) is not bytes or type(value) is not bytes:
            name, value = _as_bytes(name), _as_bytes(value)
        native = _native_names.get(name)
        if native is None:
            native = _native_name(name)
            name = name.lower()
        text = value.decode("latin-1")
        if not text.isprintable() and CONTROL.search(text):
            raise AppProtocolError(f"the value of response header {native!r} contains a control character")
        checked.append((name, value))
    return checked


def _as_bytes(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise AppProtocolError(
        f"http.response.start got a header of type {type(value).__name__}, not bytes "
        "(ASGI www 'Response Start')"
    )


def native_from_raw_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    """Make checked response fields native, the names in title case (WA-15)."""
    return [
        (_native_names.get(name) or _native_name(name), value.decode("latin-1").strip(" \t"))
        for name, value in headers
    ]


def _native_name(name: bytes) -> str:
    lower = name.decode("latin-1").lower()
    if not is_token(lower):
        raise AppProtocolError(f"response header name {name!r} is not an RFC 9110 token")
    native = _IRREGULAR.get(lower) or "-".join(part.capitalize() for part in lower.split("-"))
    if len(_native_names) < KEPT_NAMES and len(name) <= KEPT_LENGTH and name.islower():
        _native_names[bytes(name)] = native
    return native
