"""Messages to frames and back (RFC 6455, RFC 7692), for a server and for a client, without any I/O.

The only module that imports wsproto; it is imported with the first WebSocket, never before.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

try:
    from wsproto.connection import Connection, ConnectionState, ConnectionType
    from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
    from wsproto.extensions import PerMessageDeflate
    from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
except ImportError as exc:
    raise ImportError('WebSockets need wsproto: pip install "asgi-wsgi-bridge[websocket]"') from exc

from bridge._protocol.deflate import Deflate
from bridge._protocol.small_frames import Alignment, frame_of, message_of
from bridge._protocol.websocket import Close, fits

__all__ = ["Frames", "Received"]


class Received(NamedTuple):
    """What came of some bytes.

    Attributes:
        messages: those that are whole now, text or bytes as their opcode says (S-11, S-12).
        reply: bytes to send back at once: pongs, and the close frame that ends the connection.
    """

    messages: list[str | bytes]
    reply: bytes


class Frames:
    """One endpoint of a connection that is open: bytes in, messages out, and back. Not thread-safe.

    Args:
        client: whether this endpoint masks its frames, as a client does.
        max_message_bytes: how large a message may grow, inflated; more fails the connection with 1009.
        deflate: what was negotiated of permessage-deflate; None without it.

    Attributes:
        ended: how the other endpoint ended the connection, or what it did to have it failed; None while it
            may send.
        failed: whether it was this endpoint that ended it, for what the other one sent.
    """

    __slots__ = (
        "_alignment",
        "_client",
        "_connection",
        "_fragmented",
        "_max_bytes",
        "_pieces",
        "_plain",
        "_sent_close",
        "ended",
        "failed",
    )

    def __init__(self, *, client: bool, max_message_bytes: int, deflate: Deflate | None = None) -> None:
        role = ConnectionType.CLIENT if client else ConnectionType.SERVER
        extensions = [] if deflate is None else [_BoundedDeflate(deflate, max_message_bytes)]
        self._connection = Connection(role, list(extensions))
        self._client = client
        self._plain = deflate is None
        self._alignment = Alignment()
        self._max_bytes = max_message_bytes
        self._pieces = bytearray()  # of the message that is coming, text in UTF-8
        self._fragmented = False
        self._sent_close = False
        self.ended: Close | None = None
        self.failed = False

    # ------------------------------------------------------------ in

    def receive(self, data: bytes) -> Received:
        """Take bytes as they came; what follows the end is ignored (S-23)."""
        messages: list[str | bytes] = []
        reply = b""
        if self.ended is not None:
            return Received(messages, reply)
        if self._plain and self._alignment.between_messages:
            small = message_of(data, client=self._client)
            if small is not None and len(data) <= self._max_bytes:  # with its header: on the safe side
                messages.append(small)
                return Received(messages, reply)
        self._alignment.follow(data)
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                if not self._add(event, messages):
                    reply += self._fail(CloseReason.MESSAGE_TOO_BIG, "the message is too large")
                    break
            elif isinstance(event, Ping):
                if not self._sent_close:  # no frame follows a close
                    reply += self._connection.send(event.response())
            elif isinstance(event, CloseConnection):
                reply += self._end(event)
                break
            elif not isinstance(event, Pong):  # pragma: no cover - wsproto 1.3 has no other event here
                continue
        return Received(messages, reply)

    def _add(self, event: TextMessage | BytesMessage, messages: list[str | bytes]) -> bool:
        data = event.data
        if event.message_finished and not self._fragmented:
            if not fits(data, self._max_bytes):
                return False
            messages.append(data if isinstance(data, str) else bytes(data))
            return True
        # One buffer, not a list: of empty fragments any number fits into a message (SEC-28).
        self._fragmented = True
        self._pieces += data.encode() if isinstance(data, str) else data
        if len(self._pieces) > self._max_bytes:
            return False
        if event.message_finished:
            messages.append(self._pieces.decode() if isinstance(data, str) else bytes(self._pieces))
            self._forget()
        return True

    def _forget(self) -> None:
        self._pieces = bytearray()
        self._fragmented = False

    def _end(self, event: CloseConnection) -> bytes:
        """Take a close frame, or what wsproto makes of a broken frame: a close while it is open."""
        if self._connection.state in (ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED):
            self.ended = Close(int(event.code), event.reason or "")
            if self._sent_close:
                return b""
            self._sent_close = True
            return self._connection.send(event.response())  # the same code (S-23)
        return self._fail(event.code, "")

    def _fail(self, code: int, reason: str) -> bytes:
        self._forget()
        self.failed = True
        self.ended = Close(int(code), reason)
        return self.close(int(code), reason)

    # ------------------------------------------------------------ out

    def message(self, data: str | bytes) -> bytes:
        """Give the frame of a message."""
        if self._plain and not self._sent_close and self.ended is None:
            small = frame_of(data, client=self._client)
            if small is not None:
                return small
        if isinstance(data, str):
            return self._connection.send(TextMessage(data=data))
        return self._connection.send(BytesMessage(data=data))

    def ping(self) -> bytes:
        """Give a ping."""
        return self._connection.send(Ping())

    def close(self, code: int | None, reason: str) -> bytes:
        """Give the close frame, once; empty if one has been sent.

        Args:
            code: one that may stand on the wire; None for a frame without a code.
            reason: 123 bytes of UTF-8 at most.
        """
        if self._sent_close:
            return b""
        self._sent_close = True
        if code is None:
            return self._connection.send(CloseConnection(code=CloseReason.NO_STATUS_RCVD))
        return self._connection.send(CloseConnection(code=code, reason=reason or None))

    @property
    def closing(self) -> bool:
        """Whether a close frame has been sent: no message may follow it (S-23)."""
        return self._sent_close


_NO_BITS: Final = RsvBits(False, False, False)


class _BoundedDeflate(PerMessageDeflate):
    """permessage-deflate that inflates no more than a message may have: a bomb is never unpacked (SEC-28).

    wsproto 1.3 inflates without a bound, and forgets that a message is compressed when a control frame comes
    between its fragments.
    """

    def __init__(self, deflate: Deflate, max_bytes: int) -> None:
        super().__init__(
            client_no_context_takeover=deflate.client_no_context_takeover,
            server_no_context_takeover=deflate.server_no_context_takeover,
            server_max_window_bits=deflate.server_max_window_bits,
        )
        self._enabled = True
        self._max_bytes = max_bytes
        self._control = False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._control = opcode.iscontrol()
        if self._control:
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else _NO_BITS
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - the name is wsproto's
        data: bytes,
    ) -> bytes | CloseReason:
        if self._control or not self._inbound_compressed or self._decompressor is None:
            return data
        try:
            inflated = self._decompressor.decompress(data, self._max_bytes + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if self._decompressor.unconsumed_tail:
            return CloseReason.MESSAGE_TOO_BIG
        return inflated

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        return None if self._control else super().frame_inbound_complete(proto, fin)
