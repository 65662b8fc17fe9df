"""The rules of a response, the same whichever side it comes from.

A `Head` is a status and its fields with every rule of HTTP applied. A `ResponseCycle` watches over
the order: start, blocks, one end.

    state      start       restart     data        end
    ─────────  ──────────  ──────────  ──────────  ──────
    IDLE       HELD        HELD        ✗           ✗
    REFUSED    ✗           HELD        ✗           ✗
    HELD       ✗           HELD        STREAMING   DONE
    STREAMING  ✗           ✗           STREAMING   DONE
    DONE       ✗           ✗           DONE        DONE

`restart` is a start that may replace an earlier one: start_response with exc_info. REFUSED is where a
start that broke a rule leads: a plain second one stays an error (W-34), the app's error page may come.
The start is held back until the first non-empty block, so that it can still be replaced (W-38, A-26).
What is sent after the end is ignored (D-02).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from http import HTTPStatus
from typing import Final

from bridge._protocol.headers import content_length, raw_from_native_field, raw_headers
from bridge.errors import AppProtocolError
from bridge.types import RawHeaders

__all__ = ["Head", "ResponseCycle", "State", "head_from_asgi", "head_from_wsgi", "status_line"]

_STATUS = re.compile(r"[0-9]{3} [\t\x20-\x7e\x80-\xff]*\Z")

# RFC 2616 section 13.5.1 (cited by PEP 3333) and RFC 9110 section 7.6.1. `Trailer` announces what only
# the trailers extension could send.
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
_WITHOUT_BODY: Final = frozenset({204, 205, 304})

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
    """

    __slots__ = ("_tunnel", "bodiless", "dropped", "headers", "length", "status")

    def __init__(self, status: int, headers: RawHeaders, method: str) -> None:
        """Apply the rules of HTTP to the fields of an app.

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
        self.bodiless = status in _WITHOUT_BODY or method == "HEAD"
        self.dropped: tuple[bytes, ...] = ()
        self._tunnel = method == "CONNECT" and status < 300  # takes no length (RFC 9110 section 9.3.6)
        ruled = [field for field in headers if field[0] in _RULED]
        if ruled:
            self._apply_rules(ruled)
        if status == 205:  # RFC 9110 section 15.3.6
            self._without({b"content-length"})
            self._declare(0)

    def _apply_rules(self, ruled: RawHeaders) -> None:
        first_name, first_value = ruled[0]
        if first_name == b"content-length":
            self.length = content_length(first_value.decode("latin-1"))
            if self.length is None:
                raise AppProtocolError("the Content-Length of the response is not a number")
            if len(ruled) == 1 and self.status != 204 and not self._tunnel:
                return  # the common response has this one ruled field
        names = set(_HOP_BY_HOP)
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
        length = content_length(lengths.pop().decode("latin-1"))
        if length is None or lengths:
            raise AppProtocolError("the response has no single valid Content-Length")
        self._without({b"content-length"})
        self.length = None
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


def head_from_wsgi(status: object, headers: object, method: str) -> Head:
    """Check what an app gave to `start_response`.

    Args:
        status: a native string, "404 Not Found"; the reason is dropped (H-24).
        headers: a list of pairs of native strings; copied, so the app may go on changing it (W-44).
        method: of the request.

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
    raw: RawHeaders = []
    for field in headers:
        if type(field) is not tuple or len(field) != 2:
            raise AppProtocolError("start_response got a header that is not a tuple of name and value")
        raw.append(raw_from_native_field(field[0], field[1]))
    return Head(code, raw, method)


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


def head_from_asgi(status: object, headers: Iterable[Iterable[object]], method: str) -> Head:
    """Check the `status` and `headers` of an `http.response.start` event.

    Raises:
        AppProtocolError: says which key broke which rule (A-21, A-44).
    """
    if not isinstance(status, int) or isinstance(status, bool):
        raise AppProtocolError(f"http.response.start got a status of type {type(status).__name__}, not int")
    return Head(int(status), raw_headers(headers), method)


def status_line(status: int) -> str:
    """Give the WSGI status string; a code without a name still gets a reason (A-29)."""
    return _lines.get(status) or f"{status} Unknown"


class State(IntEnum):
    """Where a response is."""

    IDLE = 0
    REFUSED = 1
    HELD = 2
    STREAMING = 3
    DONE = 4


_NEXT: Final = {
    (State.IDLE, "start"): State.HELD,
    (State.IDLE, "restart"): State.HELD,
    (State.REFUSED, "restart"): State.HELD,
    (State.HELD, "restart"): State.HELD,
    (State.HELD, "data"): State.STREAMING,
    (State.HELD, "end"): State.DONE,
    (State.STREAMING, "data"): State.STREAMING,
    (State.STREAMING, "end"): State.DONE,
    (State.DONE, "data"): State.DONE,
    (State.DONE, "end"): State.DONE,
}

_ILLEGAL: Final = {
    "start": "the response was started twice",
    "restart": "the response was started again after its headers were sent",
    "data": "the app sent a body before it started the response",
    "end": "the app ended without starting a response",
}


class ResponseCycle:
    """One response, from idle to done. Not thread-safe: it belongs to whoever runs the app.

    Attributes:
        state: see the table of this module.
        head: the held or sent head; None while idle.
        excess: the app sent more than its Content-Length or its status allows; what was over has been cut
            (W-56, H-03).
    """

    __slots__ = ("_sent", "excess", "head", "state")

    def __init__(self) -> None:
        self.state = State.IDLE
        self.head: Head | None = None
        self.excess = False
        self._sent = 0

    def _step(self, event: str) -> None:
        try:
            self.state = _NEXT[self.state, event]
        except KeyError:
            raise AppProtocolError(_ILLEGAL[event]) from None

    @property
    def committed(self) -> bool:
        """Whether the head has left, so that it cannot be replaced any more."""
        return self.state >= State.STREAMING

    @property
    def done(self) -> bool:
        """Whether the end has come."""
        return self.state is State.DONE

    @property
    def held(self) -> Head:
        """The head, once there is one.

        Raises:
            AppProtocolError: there was no start.
        """
        if self.head is None:
            raise AppProtocolError(_ILLEGAL["data"])
        return self.head

    @property
    def full(self) -> bool:
        """Whether nothing the app could still send may leave."""
        head = self.head
        return head is not None and (head.bodiless or self._sent == head.length)

    def start(self, head: Head, *, replace: bool = False) -> None:
        """Hold a head back until the first block.

        Raises:
            AppProtocolError: there is one already and it may not be replaced.
        """
        self._step("restart" if replace else "start")
        self.head = head

    def refuse(self) -> None:
        """Note that a start broke a rule: a plain second one stays an error (W-34)."""
        if self.state is State.IDLE:
            self.state = State.REFUSED

    def data(self, block: bytes) -> bytes:
        """Take a non-empty block and give what of it may leave.

        Returns:
            The block, cut where Content-Length ends; empty for a response without body.

        Raises:
            AppProtocolError: there was no start.
        """
        self._step("data")
        head = self.head
        if head is None or head.bodiless:
            if block and head is not None and head.status in _WITHOUT_BODY:  # HEAD may well try (H-01, H-03)
                self.excess = True
            return b""
        if self.state is State.DONE:
            self.excess = True
            return b""
        if head.length is not None:
            room = head.length - self._sent
            if len(block) > room:
                self.excess = True
                block = block[:room]
        self._sent += len(block)
        return block

    def check(self, size: int, *, last: bool) -> None:
        """Check the next block against Content-Length before it is taken.

        Raises:
            AppProtocolError: it is too long, or the last one and too short; nothing has changed.
        """
        head = self.head
        if head is None or head.length is None or head.bodiless:
            return
        total = self._sent + size
        if total > head.length:
            raise AppProtocolError("the response body is longer than its Content-Length")
        if last and total < head.length:
            raise AppProtocolError(
                f"the response body ended after {total} of {head.length} bytes of its Content-Length"
            )

    def end(self) -> None:
        """Take the end of the body.

        Raises:
            AppProtocolError: there was no start, or less came than Content-Length declared; the
                response must then be cut, so that the client can tell (W-57, H-26).
        """
        self.check(0, last=True)
        self._step("end")
