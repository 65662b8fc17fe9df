"""Whether the client of a WSGI request has left: WSGI has no word for it, but some servers can tell."""

from __future__ import annotations

import _socket
import socket
import ssl

from bridge.types import Environ

__all__ = ["client_has_left"]

_SOCKETS = ("gunicorn.socket", "werkzeug.socket")


def client_has_left(environ: Environ) -> bool:
    """Tell whether the client is known to have left; False where the server does not let us know.

    Waitress 3.0 offers `waitress.client_disconnected`, which learns of it only while its server reads ahead
    (`channel_request_lookahead` of 1 or more). gunicorn 27 and Werkzeug 3.1 show their socket: a look at
    what it has to read costs no byte of it. Not under TLS, where what is there to read is no data yet.
    """
    ask = environ.get("waitress.client_disconnected")
    if ask is not None:
        return bool(ask())
    for name in _SOCKETS:
        found = environ.get(name)
        if isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket):
            return _at_end(found.fileno())
    return False


def _at_end(descriptor: int) -> bool:
    """Peek without waiting; through the plain socket of C, since gevent's would wait."""
    if descriptor < 0:
        return True
    try:
        peeking = _socket.socket(fileno=descriptor)
    except OSError:
        return True
    try:
        return peeking.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peeking.detach()  # the descriptor stays the server's
