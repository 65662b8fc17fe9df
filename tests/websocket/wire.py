"""A WebSocket client that sends whatever a test wants, byte for byte."""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import NamedTuple

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = True

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    def to_bytes(self) -> bytes:
        first = self.fin << 7 | self.rsv << 4 | self.opcode
        mask_bit = self.masked << 7
        size = len(self.payload)
        if size < 126:
            head = bytes([first, mask_bit | size])
        elif size < 65536:
            head = struct.pack("!BBH", first, mask_bit | 126, size)
        else:
            head = struct.pack("!BBQ", first, mask_bit | 127, size)
        if not self.masked:
            return head + self.payload
        mask = os.urandom(4)
        repeated = (mask * (size // 4 + 1))[:size]
        number = int.from_bytes(self.payload, "big") ^ int.from_bytes(repeated, "big")
        return head + mask + number.to_bytes(size, "big")


class Wire:
    """One connection; `request` gives the handshake to send, fields of which a test replaces or removes."""

    def __init__(self, port: int, path: str = "/echo", early: bytes = b"", **fields: str | None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 20)
        self.buffer = b""
        self.sock.sendall(request(path, **fields) + early)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def open(self) -> Wire:
        head = self.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return self

    def send(self, *frames: Frame) -> None:
        self.sock.sendall(b"".join(frame.to_bytes() for frame in frames))

    def frame(self) -> Frame:
        while True:
            found = parse(self.buffer)
            if found is not None:
                frame, self.buffer = found
                return frame
            self._more()

    def at_end(self) -> bool:
        """Whether the server has closed the connection, and sent nothing before."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(self.buffer)
        self.buffer += data


def request(path: str = "/echo", **fields: str | None) -> bytes:
    """Give an opening handshake; a field given as None is left out."""
    method = fields.pop("method", "GET")
    version = fields.pop("version", "HTTP/1.1")
    headers: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
        **fields,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode()


def parse(data: bytes) -> tuple[Frame, bytes] | None:
    if len(data) < 2:
        return None
    size, start = data[1] & 127, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, start = struct.unpack("!H", data[2:4])[0], 4
    elif size == 127:
        if len(data) < 10:
            return None
        size, start = struct.unpack("!Q", data[2:10])[0], 10
    masked = bool(data[1] & 128)
    if len(data) < start + size:
        return None
    frame = Frame(data[0] & 15, data[start : start + size], bool(data[0] & 128), data[0] >> 4 & 7, masked)
    return frame, data[start + size :]


def new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()
