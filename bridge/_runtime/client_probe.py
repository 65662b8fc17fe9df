"""What some servers let us know of the client of a WSGI request: whether it has left, what it has sent."""

from __future__ import annotations

import _socket
import socket
import ssl
from array import array

from bridge.types import Environ

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["bytes_waiting", "client_has_left"]

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
    found = _plain_socket(environ)
    return found is not None and _at_end(found.fileno())


def bytes_waiting(environ: Environ) -> int:
    """Tell how many bytes of the client wait in the kernel; 0 where the server does not let us know."""
    found = _plain_socket(environ)
    if found is None or fcntl is None:
        return 0
    count = array("i", [0])
    try:
        fcntl.ioctl(found.fileno(), termios.FIONREAD, count)
    except (OSError, ValueError):  # closed by the server
        return 0
    return count[0]


def _plain_socket(environ: Environ) -> socket.socket | None:
    for name in _SOCKETS:
        found = environ.get(name)
        if isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket):
            return found
    return None


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
