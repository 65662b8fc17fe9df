"""Early hints, the fields of a 103 response: from `wsgi.early_hints` to `http.response.early_hint` and back.

gunicorn 27 takes `(name, value)` pairs, ASGI the values of Link only. So Link alone crosses: it is what
RFC 8297 section 2 is for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge._protocol.head import Head
from bridge._protocol.response_headers import native_from_raw_headers, raw_from_native_headers, raw_headers

__all__ = ["EARLY_HINT", "InterimHead", "links_from_native", "native_from_links"]

EARLY_HINT: Final = "http.response.early_hint"
"""The extension by which an ASGI server offers early hints, and the type of its event."""


class InterimHead(Head):
    """The head of a 103 response, which goes before the final one and replaces nothing of it (E-11).

    Args:
        links: the values of its Link fields; raw.
    """

    __slots__ = ("links",)

    def __init__(self, links: list[bytes]) -> None:
        super().__init__(200, [], "HEAD")  # an interim response has no body either
        self.status = 103
        self.links = links


def links_from_native(headers: Iterable[object]) -> list[bytes]:
    """Give the values of the Link fields among native pairs; raw.

    Raises:
        AppProtocolError: a field, whatever its name, breaks a rule of response fields (E-10).
    """
    return [value for name, value in raw_from_native_headers(list(headers)) if name == b"link"]


def native_from_links(links: object) -> list[tuple[str, str]]:
    """Give Link fields as native pairs, from the `links` of an event.

    Raises:
        AppProtocolError: one is not bytes, or contains a control character (E-10).
    """
    values = links if isinstance(links, Iterable) and not isinstance(links, (bytes, str)) else [links]
    return native_from_raw_headers(raw_headers([(b"link", value) for value in values]))
