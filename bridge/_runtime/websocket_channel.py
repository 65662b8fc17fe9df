"""An open WebSocket on an event loop: a socket, its frames, and what waits in either direction."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from bridge._protocol.heartbeat import Heartbeat
from bridge._protocol.websocket import ABNORMAL, Close, sendable
from bridge._runtime.changes import Changes
from bridge._runtime.client_probe import bytes_left, bytes_unread, bytes_untaken
from bridge.errors import ClientDisconnected

if TYPE_CHECKING:
    from bridge._protocol.frames import Frames

__all__ = ["Channel", "Incoming", "open_channel"]

Incoming: TypeAlias = "str | bytes | Close"

CLOSE_SECONDS: Final = 5.0
"""How long the other end has to answer a close, and to take what is still unsent, before it is cut off."""

_HIGH_WATER_BYTES: Final = 64 * 1024  # of each direction; there may be thousands of sockets
_MESSAGE_OVERHEAD_BYTES: Final = 128  # what a waiting message costs beside its bytes
_MOST_HEAD_BYTES: Final = 64 * 1024
_MOST_REST_BYTES: Final = 256 * 1024  # a socket pair holds 208 KiB on Linux, a socket of TCP some MB
_TURN_BYTES: Final = 8 * 1024
"""What is parsed in one turn of the loop: 6 bytes can be a frame, which takes wsproto 1.3 10 to 16 µs."""


class Channel(asyncio.Protocol):
    """Messages over one socket. Used on its loop only.

    The socket is read while less than the high-water mark waits for `receive()` and while what is sent is
    taken: TCP holds the other end back (S-28), and a flood of pings cannot pile up pongs.

    Args:
        frames: of this endpoint.
        awaits_head: whether an HTTP head comes before the first frame; `head()` gives it.
        ping_interval: how often to ask the other end for a sign of life, in seconds; one that gives none
            until the next time is taken for lost. None to wait for ever.
        on_end: told, once, that no message will come any more.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        awaits_head: bool = False,
        ping_interval: float | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._frames = frames
        self._head: bytearray | None = bytearray() if awaits_head else None
        self._found_head: bytes | None = None
        self._ping_interval = ping_interval
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._messages: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._unparsed = bytearray()
        self._reading = True
        self._writable = True
        self._heartbeat = Heartbeat()
        self._end: Close | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changes = Changes()
        self._hung_up = False
        self._lost = False

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        if self._ping_interval is not None:
            self._timer = self._loop.call_later(self._ping_interval, self._ping)

    def data_received(self, data: bytes) -> None:
        """Take what came; called by the loop."""
        self._heartbeat.heard()
        if self._head is not None:
            self._head_received(self._head, data)
            return
        if self._unparsed:  # of a transport that reads on though it was told to pause
            self._unparsed += data
        elif len(data) > _TURN_BYTES:
            self._unparsed += data
            self._parse_on()
        else:
            self._parse(data)

    def _parse_on(self) -> None:
        """Parse the next piece of what has come; the loop has other work between two of them.

        Nothing is read meanwhile, so the end of the socket comes after all of it, unless it was cut.
        """
        if self._lost:
            return
        data = bytes(self._unparsed[:_TURN_BYTES])
        del self._unparsed[:_TURN_BYTES]
        if self._unparsed:
            self._loop.call_soon(self._parse_on)
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        received = self._frames.receive(data)
        if received.reply:
            self._write(received.reply)
        if self._end is None:
            for message in received.messages:
                self._waiting_bytes += len(message) + _MESSAGE_OVERHEAD_BYTES
            self._messages += received.messages
        if self._frames.ended is not None:
            self._finish(self._frames.ended)
            self._hang_up(at_once=not self._frames.failed)
        self._set_reading()
        self._changes.announce()

    def _head_received(self, head: bytearray, data: bytes) -> None:
        head += data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            if len(head) > _MOST_HEAD_BYTES:
                self.abort()
            return
        rest = bytes(head[end + 4 :])
        self._found_head, self._head = bytes(head[:end]), None
        self._changes.announce()
        if rest:
            self.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the socket; called by the loop, once.

        What could not be written was for an end that has left: what it had sent before that, its close frame
        perhaps, is still unread, and the transport reads no more.
        """
        self._stop_timer()
        transport = self._transport
        if isinstance(exc, OSError) and self._end is None and transport is not None:
            rest = bytes_left(self._descriptor(transport), _MOST_REST_BYTES)
            if rest:
                self.data_received(rest)
            self._lose_when_parsed()
        else:
            self._lose()

    def _lose_when_parsed(self) -> None:
        if self._unparsed:
            self._loop.call_soon(self._lose_when_parsed)
        else:
            self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._stop_timer()
        self._finish(Close(ABNORMAL))
        self._changes.announce()

    def pause_writing(self) -> None:
        """Hold `send()` back; called by the loop."""
        self._writable = False
        self._set_reading()

    def resume_writing(self) -> None:
        """Let `send()` go on; called by the loop."""
        self._writable = True
        self._set_reading()
        self._changes.announce()

    def _set_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # Half the mark to begin again; an ended channel reads on to see the socket end.
        low = _HIGH_WATER_BYTES if self._reading else _HIGH_WATER_BYTES // 2
        wanted = self._end is not None or (self._writable and self._waiting_bytes <= low)
        wanted = wanted and not self._unparsed
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _ping(self) -> None:
        if self._end is not None:
            return
        unsent = self._unsent()
        if not self._heartbeat.beat(reading=self._reading, writable=self._writable, unsent=unsent):
            self.abort()
            return
        # Not behind what is not taken: it would be unsent too, and look as if something had been taken.
        if self._writable and not self._frames.closing and self._head is None:
            self._write(self._frames.ping())
        self._timer = self._loop.call_later(self._ping_interval or 0.0, self._ping)

    def _unsent(self) -> int:
        if self._transport is None or self._writable:
            return 0
        return self._transport.get_write_buffer_size() + bytes_untaken(self._descriptor(self._transport))

    def _descriptor(self, transport: asyncio.Transport) -> int:
        descriptor: int = transport.get_extra_info("socket").fileno()
        return descriptor

    # ------------------------------------------------------------ for the owner

    def write_head(self, head: bytes) -> None:
        """Send an HTTP head, before the first frame."""
        self._write(head)

    async def head(self) -> bytes:
        """Wait for the HTTP head, without its empty line.

        Raises:
            ClientDisconnected: the socket ended without one.
        """
        while self._found_head is None:
            if self._end is not None:
                raise ClientDisconnected("the socket ended before the handshake")
            await self._changes.next()
        return self._found_head

    async def written_head(self) -> bytes | None:
        """Give the HTTP head if the other end has written all of it by now; None otherwise.

        A loop looks at its sockets once a turn, so what a thread wrote may still be unread when the loop
        hears of what the thread did next.
        """
        transport = self._transport
        while self._found_head is None and self._end is None and transport is not None:
            if not bytes_unread(self._descriptor(transport)):
                break
            await asyncio.sleep(0)  # the next turn reads it
        return self._found_head

    async def receive(self) -> Incoming:
        """Wait for a message, or give the end, again and again. Cancelling it loses nothing."""
        while not self._messages:
            if self._end is not None:
                return self._end
            await self._changes.next()
        message = self._messages.popleft()
        self._waiting_bytes -= len(message) + _MESSAGE_OVERHEAD_BYTES
        if not self._reading:
            self._set_reading()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message; wait while the other end does not take what is there.

        Raises:
            ClientDisconnected: the connection has ended.
        """
        if self._end is not None or self._frames.closing:
            raise ClientDisconnected
        self._write(self._frames.message(message))
        while not self._writable:
            if self._end is not None:
                raise ClientDisconnected
            await self._changes.next()

    def close(self, code: int, reason: str = "") -> None:
        """Send the close frame; the socket ends with the answer, or after `CLOSE_SECONDS`.

        Args:
            code: a code that may not be sent stands for a frame without one.
            reason: text.
        """
        if self._lost or self._frames.closing:
            return
        self._write(self._frames.close(code if sendable(code) else None, reason))
        self._set_deadline()
        self._finish(Close(code, reason))
        self._messages.clear()
        self._set_reading()
        self._changes.announce()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, end: Close) -> None:
        if self._end is None:
            self._end = end
            if self._on_end is not None:
                self._on_end()

    def _hang_up(self, *, at_once: bool) -> None:
        """Close the socket once what is unsent is out.

        Where the other end may still be sending, its data is read and dropped until it stops: a socket closed
        over unread data is reset, and the close frame lost with it (as RFC 9112 section 9.6 says of HTTP).
        """
        transport = self._transport
        if transport is None or self._hung_up or transport.is_closing():
            return
        self._hung_up = True
        self._set_deadline()
        if at_once:
            transport.close()
        elif transport.can_write_eof():
            transport.write_eof()

    def _set_deadline(self) -> None:
        self._stop_timer()
        if not self._lost:
            self._timer = self._loop.call_later(CLOSE_SECONDS, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def ended(self) -> Close | None:
        """How the connection ended; None while it is open."""
        return self._end

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        while not self._lost:
            await self._changes.next()


async def open_channel(sock: socket.socket, channel: Channel) -> None:
    """Give a connected socket to a channel, which closes it from now on."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    try:
        if sock.family == getattr(socket, "AF_UNIX", None):
            await loop.create_unix_connection(lambda: channel, sock=sock)
        else:
            await loop.create_connection(lambda: channel, sock=sock)
    except BaseException:
        sock.close()
        raise
