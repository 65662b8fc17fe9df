"""Header fields: the rules that hold for requests and for responses, in both directions.

A field is *raw* (lower-case name and value as bytes, ASGI) or *native* (`Name`, `str` value, WSGI).
Names repeat from request to request, so their translations are kept; a bound keeps a client that
invents names from filling memory.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CONTROL", "KEPT_LENGTH", "KEPT_NAMES", "content_length", "is_token"]

CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What may not stand in a value: of all controls only HTAB may (RFC 9110 section 5.5)."""

KEPT_NAMES: Final = 2_048
"""How many translations of one kind are kept."""

KEPT_LENGTH: Final = 64
"""In bytes; a longer name is translated anew each time."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110 section 5.6.2
_MOST_DIGITS: Final = 19  # no more than a 64-bit number holds


def is_token(name: str) -> bool:
    """Tell whether a name is an RFC 9110 token: what methods and field names are made of."""
    return _TOKEN.match(name) is not None


def content_length(value: str | bytes) -> int | None:
    """Read a Content-Length: ASCII digits only, never a bare `int()` (RFC 9110 section 8.6, H-09)."""
    # Calls of C: a regular expression costs twenty times as much here.
    return int(value) if value.isdigit() and value.isascii() and len(value) <= _MOST_DIGITS else None
