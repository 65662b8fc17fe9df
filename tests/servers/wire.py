"""A client that says exactly what it is told to, and tells a whole answer from a cut one."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.support.servers import Server


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: 0 if the server closed the connection without an answer.
        whole: whether the body came to its declared end.
    """

    status: int
    body: bytes = b""
    whole: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def head(target: str, *fields: str, method: str = "GET") -> bytes:
    """Build the head of a request from its target and its further header lines."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read_reply(sock: socket.socket, method: str = "GET") -> Reply:
    """Read one answer to its end, wherever that is."""
    with contextlib.closing(http.client.HTTPResponse(sock, method=method)) as response:
        try:
            response.begin()
        except (http.client.HTTPException, ConnectionError):
            return Reply(0)
        try:
            body, whole = response.read(), True
        except http.client.IncompleteRead as exc:
            body, whole = exc.partial, False
        except ConnectionError:
            body, whole = b"", False
        return Reply(response.status, body, whole, {k.lower(): v for k, v in response.getheaders()})


def talk(server: Server, *said: bytes) -> Reply:
    """Send bytes over a new connection and read one answer."""
    with server.connect() as sock:
        try:
            for piece in said:
                sock.sendall(piece)
        except ConnectionError:
            pass  # refused while it was being said; the answer may be there
        return read_reply(sock)


def get(server: Server, target: str, *fields: str) -> Reply:
    return talk(server, head(target, *fields))


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> bytes:
    """Encode a body in chunks."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return coded + b"0\r\n\r\n" if end else coded


def recv_until(sock: socket.socket, mark: bytes, so_far: bytes = b"") -> bytes:
    """Receive until a mark has come; fail if the connection ends before."""
    while mark not in so_far:
        data = sock.recv(65536)
        if not data:
            raise AssertionError(f"the connection ended before {mark!r}: {so_far[-200:]!r}")
        so_far += data
    return so_far


def reset(sock: socket.socket) -> None:
    """Leave without a word: the peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def narrow(server: Server, size: int = 64 * 1024) -> socket.socket:
    """Connect with a small receive buffer, so that a client that does not read is soon felt."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    sock.settimeout(30.0)
    sock.connect(("127.0.0.1", server.port))
    return sock
