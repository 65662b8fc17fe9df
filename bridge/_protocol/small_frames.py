"""Whole small messages in one frame each, without wsproto 1.3: it takes 3 to 12 µs for one, this about 1.

What is anything else is wsproto's: fragments, control frames, compression, long messages, and all that breaks
a rule. For both to read one stream, `Alignment` tells where wsproto stands between two messages.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Alignment", "frame_of", "message_of"]

_SMALL: Final = 126  # bytes: from here on the length takes more than one byte
_TEXT: Final = 0x81  # with FIN, and without a reserved bit
_BINARY: Final = 0x82
_MASKED: Final = 0x80

# RFC 6455 section 5.3 demands a key that cannot be foretold, lest a script has a client write what a proxy
# takes for HTTP. A client of this module writes to a socket pair inside the process: there is no proxy, and
# with a key of zero the payload is its own masked form.
_KEY: Final = bytes(4)


def frame_of(message: str | bytes, *, client: bool) -> bytes | None:
    """Give the frame of a small message; None for one that is not small."""
    first, payload = (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)
    size = len(payload)
    if size >= _SMALL:
        return None
    if client:
        return bytes((first, _MASKED | size)) + _KEY + payload
    return bytes((first, size)) + payload


def message_of(data: bytes, *, client: bool) -> str | bytes | None:
    """Give the message, where some bytes are one whole small frame for this endpoint, and right; else None.

    Args:
        data: as it came, at the start of a frame.
        client: whether this endpoint is one: its peer does not mask.
    """
    total = len(data)
    if total < 2 or data[0] not in (_TEXT, _BINARY):
        return None
    size = data[1]
    if client:
        if size >= _SMALL or total != size + 2:
            return None
        payload = data[2:]
    else:
        size -= _MASKED
        if not 0 <= size < _SMALL or total != size + 6:
            return None
        key = (data[2:6] * (size // 4 + 1))[:size]
        number = int.from_bytes(data[6:], "big") ^ int.from_bytes(key, "big")
        payload = number.to_bytes(size, "big")
    if data[0] == _BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


class Alignment:
    """Follows the headers of frames that go to wsproto: whether the next byte begins a message.

    Of frames that break a rule it need not be right: wsproto ends the connection for them.
    """

    __slots__ = ("_header", "_in_message", "_left")

    def __init__(self) -> None:
        self._header = b""  # of a frame whose header has not come whole
        self._left = 0  # bytes of the payload that are to come
        self._in_message = False  # between its fragments

    @property
    def between_messages(self) -> bool:
        """Whether what came so far is whole messages and control frames."""
        return not (self._left or self._in_message or self._header)

    def follow(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._left > len(data):
            self._left -= len(data)
            return
        begin = self._left
        if self._header:
            data, begin = self._header + data, 0
        while begin < len(data):
            end = _end_of_frame(data, begin)
            if end is None:
                break
            if not data[begin] & 0x08:  # a control frame may stand between fragments
                self._in_message = not data[begin] & 0x80
            begin = end
        self._header = data[begin:]
        self._left = 0 if self._header else begin - len(data)


def _end_of_frame(data: bytes, begin: int) -> int | None:
    """Give where the frame that begins here ends; None where its length has not come."""
    start = begin + 2
    if len(data) < start:
        return None
    second = data[begin + 1]
    size = second & 0x7F
    if size >= _SMALL:
        start += 2 if size == _SMALL else 8
        if len(data) < start:
            return None
        size = int.from_bytes(data[begin + 2 : start], "big")
    return start + 4 * (second >> 7) + size
