"""The head of a response: a status and its fields, with every rule of HTTP applied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from bridge._protocol.headers import content_length
from bridge._protocol.response_headers import raw_from_native_headers, raw_headers
from bridge.errors import AppProtocolError
from bridge.types import RawHeaders

__all__ = ["WITHOUT_BODY", "Head", "head_from_asgi", "head_from_wsgi", "status_line"]

_STATUS = re.compile(r"[0-9]{3} [\t\x20-\x7e\x80-\xff]*\Z")

# RFC 2616 section 13.5.1 (cited by PEP 3333) and RFC 9110 section 7.6.1. `Trailer` announces what only
# the trailers extension can send.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_RULED: Final = _HOP_BY_HOP | {b"content-length"}
WITHOUT_BODY: Final = frozenset({204, 205, 304})

_KEPT_STATUSES: Final = 1_024
_codes: dict[str, int] = {}
_lines: dict[int, str] = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}


class Head:
    """A response head that may leave the bridge as it is.

    Attributes:
        status: 200 to 599.
        headers: raw pairs in the app's order, without hop-by-hop fields.
        length: the declared Content-Length; None if there is none.
        bodiless: HEAD, 204, 205 or 304: no block may follow.
        dropped: the names of the hop-by-hop fields that were taken out.
        announces: a Trailer field says that trailers may follow.
    """

    __slots__ = ("_tunnel", "announces", "bodiless", "dropped", "headers", "length", "status")

    def __init__(self, status: int, headers: RawHeaders, method: str, *, trailers: bool = False) -> None:
        """Apply the rules of HTTP to the fields of an app.

        Args:
            status: as the app gave it.
            headers: raw, checked.
            method: of the request.
            trailers: whether the server can send them, so that a Trailer field may leave.

        Raises:
            AppProtocolError: no final status (H-08), or a wrong Content-Length (H-09, H-10).

        Spec:
            RFC 9110 sections 6.4.1, 7.6.1, 8.6, 9.3.2, 9.3.6, 15; PEP 3333 "Other HTTP Features".
        """
        if not 200 <= status <= 599:
            raise AppProtocolError(f"{status} is no final response status: expected 200 to 599")
        self.status = status
        self.headers = headers
        self.length: int | None = None
        self.bodiless = status in WITHOUT_BODY or method == "HEAD"
        self.dropped: tuple[bytes, ...] = ()
        self.announces = False
        self._tunnel = method == "CONNECT" and status < 300  # takes no length (RFC 9110 section 9.3.6)
        ruled = [field for field in headers if field[0] in _RULED]
        if len(ruled) == 1 and ruled[0][0] == b"content-length" and status != 204 and not self._tunnel:
            self.length = _length(ruled[0][1])  # all that the common response has
        elif ruled:
            self._apply_rules(ruled, trailers=trailers)
        if status == 205:  # RFC 9110 section 15.3.6
            self._without({b"content-length"})
            self._declare(0)

    def _apply_rules(self, ruled: RawHeaders, *, trailers: bool) -> None:
        names = set(_HOP_BY_HOP)
        if trailers:
            names.discard(b"trailer")
            self.announces = any(name == b"trailer" for name, _ in ruled)
        lengths = set()
        for name, value in ruled:
            if name == b"connection":  # names more fields of this hop (RFC 9110 section 7.6.1)
                names.update(token.strip(b" \t").lower() for token in value.split(b","))
            elif name == b"content-length":
                lengths.add(value)
        self.dropped = tuple(name for name, _ in self.headers if name in names)
        self._without(names)
        if lengths:
            self._settle_length(lengths)

    def _settle_length(self, lengths: set[bytes]) -> None:
        length = _length(lengths.pop())
        if lengths:
            raise AppProtocolError("the response has two values of Content-Length")
        self._without({b"content-length"})
        if self.status != 204 and not self._tunnel:
            self._declare(length)

    def _without(self, names: set[bytes]) -> None:
        self.headers = [field for field in self.headers if field[0] not in names]

    def _declare(self, length: int) -> None:
        self.length = length
        self.headers = [*self.headers, (b"content-length", b"%d" % length)]

    def declare_whole(self, length: int) -> None:
        """Add the Content-Length of a body that is known to be whole, where one may stand (W-58)."""
        if self.length is None and not self.bodiless and not self._tunnel:
            self._declare(length)


def _length(value: bytes) -> int:
    length = content_length(value)
    if length is None:
        raise AppProtocolError("the Content-Length of the response is not a number")
    return length


def head_from_wsgi(status: object, headers: object, method: str, *, trailers: bool = False) -> Head:
    """Check what an app gave to `start_response`.

    Args:
        status: a native string, "404 Not Found"; the reason is dropped (H-24).
        headers: a list of pairs of native strings; copied, so the app may go on changing it (W-44).
        method: of the request.
        trailers: see `Head`.

    Raises:
        AppProtocolError: says which argument broke which rule (W-41, W-42).
    """
    code = _codes.get(status) if type(status) is str else None
    if code is None:
        code = _status_code(status)
    if type(headers) is not list:
        raise AppProtocolError(
            f"start_response got headers of type {type(headers).__name__}: expected a list"
        )
    return Head(code, raw_from_native_headers(headers), method, trailers=trailers)


def _status_code(status: object) -> int:
    if type(status) is not str or not _STATUS.match(status):
        raise AppProtocolError(
            f"start_response got the status {_shown(status)}: expected a native str of three digits, "
            "a space and a reason, such as '200 OK'"
        )
    code = int(status[:3])
    if len(_codes) < _KEPT_STATUSES and len(status) < 64:
        _codes[status] = code
    return code


def _shown(status: object) -> str:
    return ascii(status[:40]) if isinstance(status, (str, bytes)) else type(status).__name__


def head_from_asgi(
    status: object, headers: Iterable[Iterable[object]], method: str, *, trailers: bool = False
) -> Head:
    """Check the `status` and `headers` of an `http.response.start` event.

    Raises:
        AppProtocolError: says which key broke which rule (A-21, A-44).
    """
    if not isinstance(status, int) or isinstance(status, bool):
        raise AppProtocolError(f"http.response.start got a status of type {type(status).__name__}, not int")
    return Head(int(status), raw_headers(headers), method, trailers=trailers)


def status_line(status: int) -> str:
    """Give the WSGI status string; a code without a name still gets a reason (A-29)."""
    return _lines.get(status) or f"{status} Unknown"
