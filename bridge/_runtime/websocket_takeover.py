"""The socket of a WSGI request, taken over from its server.

WSGI ends with the response, and a server then shuts its socket down. So the bridge goes on with a duplicate
of the descriptor, and puts an ended socket under the number that the server has: whatever the server still
writes, shuts down or reads goes there. The server's thread is free, and its count of connections right.

Under TLS the keys are in the server's socket object, which cannot be duplicated: there the server's thread
stays, and carries bytes between that socket and a pair of sockets.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import sys
import time
from io import BufferedReader
from typing import Any, Final, NamedTuple, cast

from bridge.types import Environ

__all__ = ["Relay", "Taken", "socket_of", "take_over"]

_KEYS: Final = ("gunicorn.socket", "werkzeug.socket")
_READ_BYTES: Final = 64 * 1024
_LOOK_SECONDS: Final = (
    1.0  # how often to see whether the bridge's end is closed while the client takes nothing
)
_LAST_SECONDS: Final = 5.0  # how long the client then has to take what is left


def socket_of(environ: Environ) -> socket.socket | None:
    """Find the socket that a server hands out; None where it does not (waitress, uWSGI, mod_wsgi)."""
    for key in _KEYS:
        found = environ.get(key)
        if isinstance(found, socket.socket) and found.fileno() >= 0:
            return found
    return None


class Taken(NamedTuple):
    """A connection that is the bridge's.

    Attributes:
        sock: speaks for it, in the clear; the taker closes it.
        early: bytes of the client that the server had read already (S-32).
        relay: what the server's thread has to run, under TLS; else None.
    """

    sock: socket.socket
    early: bytes
    relay: Relay | None


def take_over(sock: socket.socket, environ: Environ) -> Taken:
    """Take a connection from its server. Called in the server's thread, once.

    Raises:
        OSError: there is no descriptor for it; the connection is still the server's.
    """
    if isinstance(sock, ssl.SSLSocket):
        ours, theirs = socket.socketpair()
        # The loop is in another thread of the system, whose hub is not that of gevent's socket.
        ours = _plain_socket().socket(ours.family, ours.type, ours.proto, fileno=ours.detach())
        early = _early(environ, _buffered_only)
        return Taken(ours, early, Relay(sock, theirs))
    taken = _swap(sock)
    # Read after the swap: where the server's reader has nothing it now finds an end, and cannot wait.
    return Taken(taken, _early(environ, _to_the_end), None)


def _swap(sock: socket.socket) -> socket.socket:
    left, right = _plain_socket().socketpair()
    with left, right:
        right.close()  # so that writing to it fails, and reading from it ends
        mine = os.dup(sock.fileno())
        try:
            os.dup2(left.fileno(), sock.fileno(), inheritable=False)
        except OSError:
            os.close(mine)
            raise
    family, kind, proto = sock.family, sock.type, sock.proto
    taken: socket.socket = _plain_socket().socket(family, kind, proto, fileno=mine)
    return taken


def _plain_socket() -> Any:
    """Give the module of real sockets: gevent puts its own in their place, which wait on its hub."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return socket

    class Original:
        socket = monkey.get_original("socket", "socket")
        socketpair = staticmethod(monkey.get_original("socket", "socketpair"))

    return Original


def _hung_up(sock: socket.socket) -> bool:
    """Tell whether the other end is closed, whatever of it is still unread. Does not wait."""
    monkey: Any = sys.modules.get("gevent.monkey")  # whose poll tells of no hang-up
    poll = select.poll() if monkey is None else monkey.get_original("select", "poll")()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def _early(environ: Environ, read: Any) -> bytes:
    """Give what the server has read beyond the request.

    gunicorn 27 keeps it in the unreader of its parser, Werkzeug 3.1 in the buffer of its `rfile`. Middleware
    that put something else under `wsgi.input` hides it, and such bytes are lost: a client that sends frames
    before it has seen the 101 breaks RFC 6455 section 4.1.
    """
    stream = environ.get("wsgi.input")
    unreader = getattr(getattr(stream, "reader", None), "unreader", None)
    if unreader is not None and hasattr(unreader, "take_buffered"):
        early: bytes = unreader.take_buffered()
        return early
    if unreader is not None and hasattr(unreader, "buf"):  # before gunicorn 25
        early, unreader.buf = unreader.buf.getvalue(), type(unreader.buf)()
        return early
    if isinstance(stream, BufferedReader):
        with contextlib.suppress(OSError, ValueError):
            return cast("bytes", read(stream))
    return b""


def _to_the_end(stream: BufferedReader) -> bytes:
    return stream.read()


def _buffered_only(stream: BufferedReader) -> bytes:
    """Read what is buffered: a `peek()` of an empty buffer would wait for the client."""
    raw = stream.raw
    sock: Any = getattr(raw, "_sock", None)
    if sock is None:
        return b""
    before = sock.gettimeout()
    sock.settimeout(0.0)
    try:
        return stream.read1(_READ_BYTES)
    except (ssl.SSLWantReadError, BlockingIOError):
        return b""
    finally:
        sock.settimeout(before)


class Relay:
    """Carries bytes between a TLS socket and a plain one, in the thread that calls `run()`.

    Args:
        secure: the server's; left open.
        plain: one end of a socket pair; closed at the end.
    """

    def __init__(self, secure: ssl.SSLSocket, plain: socket.socket) -> None:
        self._secure = secure
        self._plain = plain
        self._to_secure = b""
        self._to_plain = b""
        self._deadline: float | None = None  # once the bridge's end is closed

    def run(self) -> None:
        """Carry until either end closes; every wait ends with that, and the other end is the bridge's.

        A client that does not read what is left then is cut off: it would keep the thread (SEC-20).
        """
        self._secure.setblocking(False)
        self._plain.setblocking(False)
        try:
            while self._step():
                pass
        except OSError:
            pass  # either is gone, and so is the connection
        finally:
            self._plain.close()
            with contextlib.suppress(OSError):
                self._secure.setblocking(True)

    def _step(self) -> bool:
        reads: list[socket.socket] = []
        writes: list[socket.socket] = []
        if not self._to_plain:
            reads.append(self._secure)
        if not self._to_secure:
            reads.append(self._plain)
        if self._to_plain:
            writes.append(self._plain)
        if self._to_secure:
            writes.append(self._secure)
        waits = 0.0 if self._secure in reads and self._secure.pending() else None
        poll = select.poll()
        for sock in {*reads, *writes}:
            poll.register(sock, (sock in reads and select.POLLIN) | (sock in writes and select.POLLOUT))
        held = bool(self._to_secure)
        poll.poll(_LOOK_SECONDS * 1_000 if held and waits is None else waits)
        if held and self._too_late():
            return False
        return self._from_plain() and self._from_secure()

    def _too_late(self) -> bool:
        """Tell whether the bridge's end, of which nothing is read now, was closed too long ago."""
        if self._deadline is None:
            if _hung_up(self._plain):
                self._deadline = time.monotonic() + _LAST_SECONDS
            return False
        return time.monotonic() >= self._deadline

    def _from_plain(self) -> bool:
        if not self._to_secure:
            with contextlib.suppress(BlockingIOError):
                self._to_secure = self._plain.recv(_READ_BYTES)
                if not self._to_secure:
                    return False
        if self._to_secure:
            with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                self._to_secure = self._to_secure[self._secure.send(self._to_secure) :]
        return True

    def _from_secure(self) -> bool:
        if not self._to_plain:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                self._to_plain = self._secure.recv(_READ_BYTES)
                if not self._to_plain:
                    return False
        if self._to_plain:
            with contextlib.suppress(BlockingIOError):
                self._to_plain = self._to_plain[self._plain.send(self._to_plain) :]
        return True
