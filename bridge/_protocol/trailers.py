"""Trailers, the fields after a response: `gunicorn.http2.send_trailers` and `http.response.trailers`.

An app of either kind announces them before its body, and names them after it. The name of the environ key is
gunicorn's (27, HTTP/2 only), which is the one WSGI server that can send them: what runs there runs under an
ASGI server unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from bridge._protocol.response_headers import raw_from_native_headers, raw_headers
from bridge.errors import AppProtocolError
from bridge.types import RawHeaders

__all__ = ["SEND_TRAILERS", "TRAILERS", "TrailersCycle", "asked_for", "trailers_from_native"]

TRAILERS: Final = "http.response.trailers"
"""The extension by which an ASGI server offers trailers, and the type of its event."""

SEND_TRAILERS: Final = "gunicorn.http2.send_trailers"
"""The environ key of a function that takes the trailers of the response, as native pairs."""

# RFC 9110 section 6.5.1: what frames or routes a message, what modifies or authenticates a request, what
# controls a response and what says how its content is to be read has to be known before the body.
_FORBIDDEN: Final = frozenset(
    {
        *(b"connection", b"content-length", b"host", b"keep-alive", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"authorization", b"proxy-authenticate", b"proxy-authorization", b"set-cookie"),
        *(b"www-authenticate", b"cache-control", b"expect", b"max-forwards", b"pragma", b"range"),
        *(b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since"),
        *(b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning"),
        *(b"content-encoding", b"content-range", b"content-type"),
    }
)


def asked_for(te: str) -> bool:
    """Tell whether a client takes trailers, by its TE field (RFC 9110 section 10.1.4); without one, no."""
    return any(member.partition(";")[0].strip(" \t").lower() == "trailers" for member in te.split(","))


def trailers_from_native(fields: Iterable[object]) -> RawHeaders:
    """Check trailers of a WSGI app and make them raw.

    Raises:
        AppProtocolError: a field breaks a rule of response fields, or may not be a trailer.
    """
    return _checked(raw_from_native_headers(list(fields)))


def _checked(fields: RawHeaders) -> RawHeaders:
    for name, _ in fields:
        if name in _FORBIDDEN:
            raise AppProtocolError(
                f"the app sent {name.decode('latin-1')!r} as a trailer, where it may not stand"
            )
    return fields


class _State(Enum):
    IDLE = "idle"
    ANNOUNCED = "announced"
    DUE = "due"
    DONE = "done"


class TrailersCycle:
    """The trailers of one response of an ASGI app: announced with its start, due after its body, then done.

    In any other order they raise. `announce()` and `end_of_body()` are called once each, in this order.
    """

    __slots__ = ("_fields", "_state")

    def __init__(self) -> None:
        self._state = _State.IDLE
        self._fields: RawHeaders = []

    def announce(self) -> None:
        """Note that the start announced them."""
        self._state = _State.ANNOUNCED

    @property
    def announced(self) -> bool:
        """Whether they end the response, instead of the last block of the body."""
        return self._state is not _State.IDLE

    @property
    def due(self) -> bool:
        """Whether the body is over: only trailers may come."""
        return self._state in (_State.DUE, _State.DONE)

    def end_of_body(self) -> None:
        """Note that the body is over."""
        self._state = _State.DUE

    def add(self, fields: object, *, more: bool) -> RawHeaders | None:
        """Take the fields of one event.

        Args:
            fields: raw pairs.
            more: whether another event follows.

        Returns:
            All fields, with the last of them; None before.

        Raises:
            AppProtocolError: they are not due, or a field is wrong; nothing has changed.
        """
        if self._state is not _State.DUE:
            raise AppProtocolError(
                "http.response.trailers must be announced with the start, and follow the body"
            )
        if isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable):
            raise AppProtocolError(f"http.response.trailers got headers of type {type(fields).__name__}")
        self._fields = [*self._fields, *_checked(raw_headers(fields))]
        if more:
            return None
        self._state = _State.DONE
        return self._fields
