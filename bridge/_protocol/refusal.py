"""What the bridge itself answers: a fixed text, in which nothing of the request comes back (SEC-26)."""

from __future__ import annotations

from typing import Final

from bridge.types import RawHeaders

__all__ = ["refusal"]

_TEXTS: Final = {
    400: b"Bad Request",
    403: b"Forbidden",
    408: b"Request Timeout",
    411: b"Length Required",
    413: b"Content Too Large",
    414: b"URI Too Long",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
_MORE: Final = {
    426: (b"sec-websocket-version", b"13"),  # S-18
    503: (b"retry-after", b"1"),
}


def refusal(status: int) -> tuple[bytes, RawHeaders]:
    """Give the body and the headers of a refusal."""
    body = _TEXTS[status]
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    if status in _MORE:
        headers.append(_MORE[status])
    return body, headers
