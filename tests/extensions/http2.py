"""A client of HTTP/2 with prior knowledge, which shows every head, the body and the trailers."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events


@dataclass
class Answer:
    """What came.

    Attributes:
        heads: of each response, the interim ones first.
        ended: whether the stream was ended, and not reset.
    """

    heads: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] | None = None
    ended: bool = False


def http2_get(sock: socket.socket, path: str, *fields: tuple[str, str], method: str = "GET") -> Answer:
    """Ask once, and read to the end of the stream."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    connection.initiate_connection()
    pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "127.0.0.1")]
    connection.send_headers(1, [*pseudo, *fields], end_stream=True)
    answer = Answer()
    while True:
        sock.sendall(connection.data_to_send())
        data = sock.recv(65536)
        assert data, "the server closed the connection"
        for event in connection.receive_data(data):
            if isinstance(event, (h2.events.InformationalResponseReceived, h2.events.ResponseReceived)):
                answer.heads.append(_pairs(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data or b""
            elif isinstance(event, h2.events.TrailersReceived):
                answer.trailers = _pairs(event.headers)
            elif isinstance(event, h2.events.StreamReset):
                return answer
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True
                return answer


def _pairs(fields: object) -> list[tuple[bytes, bytes]]:
    assert isinstance(fields, list)
    return [(bytes(name), bytes(value)) for name, value in fields]
