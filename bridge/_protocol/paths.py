"""Paths in the two protocols: native and text strings, raw bytes, and whole-segment prefixes."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from bridge.errors import PeerProtocolError
from bridge.types import Native, Text

__all__ = [
    "check_path",
    "native_from_raw",
    "native_from_text",
    "native_path",
    "raw_from_native",
    "raw_path",
    "split_prefix",
    "text_from_native",
    "trim_prefix",
]

# What a path may hold unquoted (RFC 3986 section 3.3: pchar and "/").
_PATH_SAFE = "/!$&'()*+,;=:@-._~"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/!$&'()*+,;=:@\-._~]*\Z")


def native_from_raw(raw: bytes) -> Native:
    """Show bytes as a native string, one character a byte."""
    return Native(raw.decode("latin-1"))


def raw_from_native(native: str) -> bytes:
    """Give back the bytes that a native string stands for.

    A server that breaks PEP 3333 may hand over characters beyond U+00FF: they are encoded as UTF-8,
    so that no request can end in an encoding error (U-08, SEC-30).
    """
    try:
        return native.encode("latin-1")
    except UnicodeEncodeError:
        return native.encode("utf-8", "replace")


def native_from_text(text: str) -> Native:
    """Show a decoded string as the native form of its UTF-8 bytes.

    A surrogate escape (PEP 383) gives back the byte it stands for; any other lone surrogate becomes
    `?`: no path can end in an encoding error (U-08).
    """
    if text.isascii():
        return Native(text)
    try:
        return native_from_raw(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return native_from_raw(text.encode("utf-8", "replace"))


def text_from_native(native: str) -> Text:
    """Decode a native path; bytes that are not UTF-8 become U+FFFD, never a surrogate (D-09)."""
    if native.isascii():
        return Text(native)
    return Text(raw_from_native(native).decode("utf-8", "replace"))


def native_path(path: str, raw: bytes | None) -> Native:
    """Give the percent-decoded bytes of a request path as a native string.

    The exact bytes come from `raw`, since a path that is not UTF-8 has lost them (U-06). Where the two
    disagree an ASGI middleware has rewritten `path`, and `path` wins (U-07).

    Args:
        path: the ASGI `path`, decoded text.
        raw: the ASGI `raw_path`, percent-encoded, without the query; None if the server gave none.
    """
    if path.isascii() or not raw:  # ASCII text has one byte form: raw could only agree or lose
        return native_from_text(path)
    exact = unquote_to_bytes(raw)
    if exact.decode("utf-8", "replace") == path:
        return native_from_raw(exact)
    return native_from_text(path)


def trim_prefix(root: str) -> str:
    """Bring a mount prefix to its one form: empty, or a leading slash and no trailing one (U-13)."""
    if not root or (root[0] == "/" and root[-1] != "/"):
        return root
    root = root.rstrip("/")
    return root if not root or root[0] == "/" else "/" + root


def split_prefix(path: str, prefix: str) -> tuple[str, str] | None:
    """Split a path after a mount prefix, on a segment border only (U-11, SEC-14).

    Args:
        path: the whole path, native or text.
        prefix: in the form of `trim_prefix`, of the same kind of string.

    Returns:
        The prefix and the rest (empty, or starting with a slash); None if the path lies outside.
    """
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    if rest and rest[0] != "/":
        return None
    return prefix, rest


def raw_path(script_name: str, path_info: str, request_uri: str | None) -> bytes:
    """Give the percent-encoded path of a WSGI request.

    A server's REQUEST_URI or RAW_URI has the exact spelling, but counts only while it still agrees
    with the path: WSGI middleware may have rewritten it (U-16).

    Args:
        script_name: native.
        path_info: native.
        request_uri: the request target as sent, native, or None.

    Returns:
        Bytes without query or fragment.
    """
    path = script_name + path_info
    if request_uri and path.isascii() and "%" not in request_uri and "?" not in path and "#" not in path:
        size = len(path)
        if request_uri[:size] == path and request_uri[size : size + 1] in ("", "?"):
            return path.encode("ascii")  # the common request, at the least cost
    if request_uri:
        target = _path_of_target(request_uri)
        if target == path and "%" not in target:
            return raw_from_native(target)
        raw_target = raw_from_native(target)
        if unquote_to_bytes(raw_target) == raw_from_native(path):
            return raw_target
    if _PLAIN_PATH.match(path):
        return path.encode("ascii")
    return quote_from_bytes(raw_from_native(path), safe=_PATH_SAFE).encode("ascii")


def _path_of_target(target: str) -> str:
    """Cut scheme, authority, query and fragment off a request target.

    Not `urlsplit`: it would read the first segment of `//evil/x` as a host (SEC-16).
    """
    target = target.partition("?")[0].partition("#")[0]
    if target[:1] == "/":
        return target
    scheme, mark, rest = target.partition("://")
    if not mark or not scheme.isalnum():
        return target
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def check_path(path: str, method: str) -> str:
    """Refuse a request target that is no path (H-27, SEC-16).

    Args:
        path: the whole path, native or text.
        method: the request method.

    Returns:
        The path; `/` for an empty path, and for the `*` of OPTIONS, which means the server as a whole.

    Raises:
        PeerProtocolError: the path does not start with a slash.
    """
    if path[:1] == "/":
        return path
    if not path or (path == "*" and method == "OPTIONS"):
        return "/"
    raise PeerProtocolError("the request path does not start with a slash")
