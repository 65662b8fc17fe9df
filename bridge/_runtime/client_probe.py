"""What some servers let us know of the client of a WSGI request: whether it has left, what it has sent."""

from __future__ import annotations

import _socket
import os
import select
import socket
import ssl
import sys
from array import array
from typing import Any

from bridge.errors import ClientDisconnected
from bridge.types import Environ

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["bytes_left", "bytes_unread", "bytes_untaken", "bytes_waiting", "client_has_left", "departure"]

_SOCKETS = ("gunicorn.socket", "werkzeug.socket")


def client_has_left(environ: Environ, *, body_read: bool = False) -> bool:
    """Tell whether the client is known to have left; False where the server does not let us know.

    Args:
        environ: of the request.
        body_read: whether the whole body of the request was read. What is there to read then is not of this
            request, and hides no end behind it.

    Waitress 3.0 offers `waitress.client_disconnected`, which learns of it only while its server reads ahead
    (`channel_request_lookahead` of 1 or more). gunicorn 27 and Werkzeug 3.1 show their socket: a look at
    what it has to read costs no byte of it. Not under TLS, where what is there to read is no data yet.
    uWSGI 2.0 tells the descriptor of the request that runs in this thread: the connection of the client, or
    of the proxy in front, which closes it when the client leaves. A `WSGIToASGI` around all of this has what
    waitress offers.
    """
    ask = environ.get("waitress.client_disconnected") or environ.get("bridge.client_disconnected")
    if ask is not None:
        return bool(ask())
    found = _plain_socket(environ)
    if found is not None:
        return _at_end(found.fileno(), body_read)
    if "uwsgi.version" in environ:
        uwsgi: Any = sys.modules.get("uwsgi")  # a module of the server's process, in no file
        try:
            return uwsgi is not None and _at_end(uwsgi.connection_fd(), body_read)
        except SystemError:  # a middleware runs us in a thread of its own, where uWSGI has no request
            return False
    return False


def bytes_waiting(environ: Environ) -> int:
    """Tell how many bytes of the client wait in the kernel; 0 where the server does not let us know."""
    found = _plain_socket(environ)
    return 0 if found is None else bytes_unread(found.fileno())


def bytes_unread(descriptor: int) -> int:
    """Tell how much of what the other end of a socket wrote is there to read; 0 where nobody knows."""
    return _asked_of_kernel(descriptor, "FIONREAD")


def bytes_untaken(descriptor: int) -> int:
    """Tell how much of what was written to a socket its other end has not taken; 0 where nobody knows.

    A kernel holds some MB, and tells of room only when much of it is free: what a transport holds back can be
    the same for minutes while the other end reads.
    """
    return _asked_of_kernel(descriptor, "TIOCOUTQ")


def bytes_left(descriptor: int, most: int) -> bytes:
    """Read, without waiting, what is there of a socket that is about to be closed; empty if nothing is."""
    try:
        return os.read(descriptor, most)
    except OSError:  # nothing has come, or no more is to be had, or this is Windows
        return b""


def _asked_of_kernel(descriptor: int, request: str) -> int:
    """Ask for a number of bytes, by the name of the request in `termios`; 0 where there is none to be had."""
    if fcntl is None or not hasattr(termios, request):
        return 0
    count = array("i", [0])
    try:
        fcntl.ioctl(descriptor, getattr(termios, request), count)
    except (OSError, ValueError):  # it is closed
        return 0
    return count[0]


def _plain_socket(environ: Environ) -> socket.socket | None:
    for name in _SOCKETS:
        found = environ.get(name)
        if isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket):
            return found
    return None


def departure(environ: Environ) -> Exception:
    """Give what to raise toward the server when the client has left, so that it is no error in its log.

    Waitress 3.0 logs any OSError of an app with its traceback, and only takes its own error, which is no
    OSError, for a lost client. The others know ours by its errno.
    """
    gone = ClientDisconnected()
    if "waitress.client_disconnected" in environ:
        own: Any = getattr(sys.modules.get("waitress.channel"), "ClientDisconnected", None)
        if own is not None:
            error: Exception = own(str(gone))
            return error
    return gone


def _at_end(descriptor: int, body_read: bool) -> bool:
    """Peek without waiting; through the plain socket of C, since gevent's would wait."""
    if descriptor < 0:
        return True
    try:
        peeking = _socket.socket(fileno=descriptor)
    except OSError:
        return True
    try:
        if peeking.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) == b"":
            return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peeking.detach()  # the descriptor stays the server's
    return body_read and _end_was_sent(descriptor)


def _end_was_sent(descriptor: int) -> bool:
    """Tell whether the client has sent its end, whatever of it is still unread. Does not wait."""
    if not hasattr(select, "POLLRDHUP"):  # Linux has it
        return False
    monkey: Any = sys.modules.get("gevent.monkey")  # whose poll tells of no hang-up
    poll = select.poll() if monkey is None else monkey.get_original("select", "poll")()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))
