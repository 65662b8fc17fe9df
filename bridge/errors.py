"""Every error that the bridge raises, in one tree.

    BridgeError
    ├─ ConfigurationError(ValueError)    a wrong argument, found at construction
    ├─ ProtocolError                     a specification was broken; carries .status_hint
    │  ├─ AppProtocolError               by the wrapped app (500)
    │  │  └─ AppTypeError(TypeError)     a block or a response of the wrong type
    │  └─ PeerProtocolError              by the server or the client (400)
    │     └─ BodyTooLarge                the request body is over the limit (413)
    ├─ Overloaded                        no room for one more request (503)
    ├─ RequestTimedOut                   the wrapped app did not begin its response in time (504)
    ├─ ClientDisconnected(OSError)       the client is gone: ordinary life, never logged as an error
    │  └─ ReceiveTimedOut                the client sent nothing of its request body for too long (408)
    └─ LifespanFailed                    the wrapped app refused to start

An exception of the wrapped app is none of these: it passes through unchanged, with its traceback.
"""

from __future__ import annotations

import errno

__all__ = [
    "AppProtocolError",
    "AppTypeError",
    "BodyTooLarge",
    "BridgeError",
    "ClientDisconnected",
    "ConfigurationError",
    "LifespanFailed",
    "Overloaded",
    "PeerProtocolError",
    "ProtocolError",
    "ReceiveTimedOut",
    "RequestTimedOut",
]


class BridgeError(Exception):
    """The root of every error raised by this library."""


class ConfigurationError(BridgeError, ValueError):
    """An argument is wrong; the message names it, its value and what would do."""


class ProtocolError(BridgeError):
    """A message or a call breaks WSGI, ASGI or HTTP.

    Attributes:
        status_hint: the HTTP status that tells the client whose fault it was.
    """

    status_hint = 500


class AppProtocolError(ProtocolError):
    """The wrapped app broke its protocol; raised inside the app wherever the call allows it."""


class AppTypeError(AppProtocolError, TypeError):
    """The wrapped app gave something of the wrong type where bytes, or an iterable of them, belong."""


class PeerProtocolError(ProtocolError):
    """The server or the client sent a request that cannot be translated safely.

    Args:
        message: what is wrong; never repeats a header value.
        status_hint: the status to answer with, a 4xx.
    """

    status_hint = 400

    def __init__(self, message: str, *, status_hint: int = 400) -> None:
        super().__init__(message)
        self.status_hint = status_hint


class BodyTooLarge(PeerProtocolError):
    """The request body is larger than `max_body_bytes`, by declaration or by count."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_hint=413)


class Overloaded(BridgeError):
    """The bridge has no room for one more request, or is being closed."""

    status_hint = 503


class RequestTimedOut(BridgeError):
    """The wrapped app did not begin its response within `request_timeout`."""

    status_hint = 504


class ClientDisconnected(BridgeError, OSError):
    """The client left before the exchange was complete (ASGI www "Disconnected Client").

    Its errno is ECONNRESET, which servers take for what it is: gunicorn 27 logs any other OSError.
    """

    def __init__(self, message: str = "the client disconnected") -> None:
        super().__init__(errno.ECONNRESET, message)


class ReceiveTimedOut(ClientDisconnected):
    """The client sent nothing of its request body for `receive_timeout`, while the app waited for it."""

    status_hint = 408

    def __init__(self) -> None:
        super().__init__("the client sent nothing of its request body for too long")


class LifespanFailed(BridgeError):
    """The wrapped ASGI app answered `lifespan.startup.failed`, or did not start in time."""
