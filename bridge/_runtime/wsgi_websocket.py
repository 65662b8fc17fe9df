"""One WebSocket of an ASGI server, served by a WSGI app: a task on the loop, and a call in a thread."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from typing import Any, Final

from bridge._protocol.client_handshake import Answer, answer_from_bytes, scope_as_upgrade
from bridge._protocol.request import environ_from_scope
from bridge._protocol.websocket import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL_ERROR,
    NO_STATUS,
    NORMAL,
    TOO_LARGE,
    Close,
    WebSocketCycle,
    WebSocketState,
    fits,
    sendable,
)
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.outlet import Outlet
from bridge._runtime.websocket_app import WebSocketCall, means_closed
from bridge._runtime.websocket_channel import Channel, open_channel
from bridge._runtime.wsgi_run import Part
from bridge._runtime.wsgi_settings import WSGISettings
from bridge.errors import AppProtocolError, ClientDisconnected, RequestTimedOut
from bridge.types import Message, Receive, Scope, Send, WSGIApp

__all__ = ["DENIAL", "WSGIWebSocket"]

DENIAL: Final = "websocket.http.response"
"""The extension by which a server offers to send an ordinary response in place of the upgrade."""


class WSGIWebSocket:
    """One WebSocket of an ASGI server, served by a WSGI app.

    Args:
        app: the WSGI app.
        scope: of the connection; its `websocket.connect` has been received.
        mailbox: of the loop.
        settings: of the adapter; `request_timeout` is how long the app may take to accept or to deny.

    Raises:
        PeerProtocolError: the request cannot be translated safely.
        Overloaded: there is no descriptor for it.
    """

    def __init__(self, app: WSGIApp, scope: Scope, mailbox: Mailbox, settings: WSGISettings) -> None:
        from bridge._protocol.frames import Frames

        key = base64.b64encode(os.urandom(16)).decode("ascii")
        limits = settings.limits
        environ = environ_from_scope(
            scope_as_upgrade(scope, key),
            settings.template,
            limits,
            refuse_underscores=settings.refuse_underscores,
        )
        self._scope = scope
        self._key = key
        self._accept_timeout = settings.request_timeout
        self._max_bytes = limits.max_message_bytes
        self._outlet: Outlet[Part] = Outlet(mailbox)
        self._cycle = WebSocketCycle(scope.get("subprotocols") or ())
        frames = Frames(client=True, max_message_bytes=limits.max_message_bytes)
        self._channel = Channel(frames, awaits_head=True)
        self._first_part: asyncio.Future[Part] | None = None
        self.call = WebSocketCall(app, environ, self._outlet, settings.host)

    async def serve(
        self, submit: Callable[[Callable[[], None]], object], receive: Receive, send: Send
    ) -> None:
        """Run the app in a thread and carry what is said, until either side ends it.

        Args:
            submit: gives a job to the threads.
            receive: of the server.
            send: of the server.

        Raises:
            Overloaded: there is no thread.
            RequestTimedOut: the app neither accepted nor denied in time.
            Exception: what the app raised, unchanged; after acceptance the client has got 1011 by then.
        """
        send = _telling(send)
        try:
            try:
                await open_channel(self.call.sock, self._channel)
                submit(self.call)
            except BaseException:
                self.call.close()  # which the thread would have done
                raise
            answer = await self._answer()
            if isinstance(answer, Answer):
                await self._accept(answer, send)
                await self._exchange(receive, send)
            else:
                await self._deny(answer, send)
        except ClientDisconnected:
            pass  # ordinary life: the app finds its socket closed
        finally:
            self._outlet.close()
            self._channel.abort()

    def close(self) -> None:
        """Give both ends of the pair back, of a WebSocket that is not served."""
        self.call.close()
        self.call.sock.close()

    def shut(self) -> None:
        """Have the WebSocket end with 1001: the bridge is being closed. Called on its loop."""
        self._channel.close(GOING_AWAY)

    # ------------------------------------------------------------ before the first message

    async def _answer(self) -> Answer | Part:
        """Wait for what comes first: a handshake on the socket, an ordinary response, or an error."""
        head = asyncio.ensure_future(self._channel.head())
        part = self._first_part = asyncio.ensure_future(self._outlet.take())
        try:
            async with asyncio.timeout(self._accept_timeout):
                await asyncio.wait({head, part}, return_when=asyncio.FIRST_COMPLETED)
                written = await self._channel.written_head()
                if written is not None:
                    return answer_from_bytes(written, self._key)
                # An app that only closed its socket is about to return, or to raise; one that has handed it
                # on has returned before the handshake.
                await asyncio.wait({part})
                if self.call.handed_on and not part.exception():
                    return answer_from_bytes(await head, self._key)
        except TimeoutError:
            raise RequestTimedOut("the app did not answer the handshake in time") from None
        else:
            return part.result()
        finally:
            await _cancelled(head, part)

    async def _accept(self, answer: Answer, send: Send) -> None:
        if answer.status != 101:
            raise AppProtocolError(
                f"the app wrote a response of status {answer.status} to its socket instead of returning it"
            )
        self.call.accepted = True
        headers = self._cycle.accept(answer.subprotocol, answer.headers)
        await send({"type": "websocket.accept", "subprotocol": answer.subprotocol, "headers": headers})

    async def _deny(self, part: Part, send: Send) -> None:
        """Pass on an ordinary response: the app has no WebSocket here, or not for this client (S-07)."""
        self._cycle.deny()
        head, data, more = part
        if DENIAL not in (self._scope.get("extensions") or ()):
            await send({"type": "websocket.close", "code": NORMAL})
            return
        await send({"type": f"{DENIAL}.start", "status": head.status, "headers": head.headers})
        while True:
            await send({"type": f"{DENIAL}.body", "body": data, "more_body": more})
            self._cycle.body(more=bool(more))
            if not more:
                return
            self._outlet.sent(len(data) + BLOCK_OVERHEAD_BYTES)
            _, data, more = await self._outlet.take()

    # ------------------------------------------------------------ messages

    async def _exchange(self, receive: Receive, send: Send) -> None:
        """Carry messages both ways at once until one side closes (S-28)."""
        inward = asyncio.ensure_future(self._inward(receive))
        outward = asyncio.ensure_future(self._outward(send))
        try:
            await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
            if outward.done():
                await _cancelled(inward)  # granian 2.8 sends no close while its receive() waits
                await self._app_closed(outward.result(), send)
            else:
                self._peer_closed(inward.result())
                await self._channel.closed()  # by the app's answer, or after a while
        finally:
            await _cancelled(inward, outward)

    async def _inward(self, receive: Receive) -> Close:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return Close(message.get("code") or NO_STATUS, message.get("reason") or "")
            text = message.get("text")
            data = text if text is not None else message["bytes"]
            # To an app that has ended it goes nowhere; the other task tells the client, which may be slow.
            with contextlib.suppress(ClientDisconnected):
                if fits(data, self._max_bytes):
                    await self._channel.send(data)
                else:
                    self._channel.close(TOO_LARGE, "the message is too large")

    async def _outward(self, send: Send) -> Close:
        while True:
            item = await self._channel.receive()
            if isinstance(item, Close):
                return item
            event: Message = {"type": "websocket.send"}
            event["text" if isinstance(item, str) else "bytes"] = item
            await send(event)

    async def _app_closed(self, end: Close, send: Send) -> None:
        """Pass the app's close on; one that only let its socket go has failed, or has simply returned."""
        failure, failed = await self._outcome()
        if end.code == ABNORMAL:
            end = Close(INTERNAL_ERROR if failed else NORMAL)
        close = self._cycle.close(end.code if sendable(end.code) else NORMAL, end.reason)
        await send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        if failure is not None:
            raise failure

    async def _outcome(self) -> tuple[BaseException | None, bool]:
        """Give what the app has raised by now, and whether it failed; its socket is closed only after that.

        A framework makes a response of status 500 of what its view raised.
        """
        failure = self.call.failure
        if failure is not None:
            return failure, True
        try:
            if self._first_part is not None and not self._first_part.cancelled():
                head, _, _ = await self._first_part  # it came with the handshake
            else:
                async with asyncio.timeout(0):
                    head, _, _ = await self._outlet.take()
        except Exception as exc:
            # After the handshake it does not matter whether the app returned a proper response.
            return (None, False) if means_closed(exc) or isinstance(exc, AppProtocolError) else (exc, True)
        return None, head.status >= 500

    def _peer_closed(self, end: Close) -> None:
        if self._cycle.state is WebSocketState.OPEN:
            self._cycle.lost()
        if end.code == ABNORMAL:
            self._channel.abort()  # no close frame came, so none goes on
        else:
            self._channel.close(end.code, end.reason)


def _telling(send: Send) -> Send:
    """Wrap the server's `send()`: each server has an OSError of its own for a client that has left."""

    async def wrapped(message: Message) -> None:
        try:
            await send(message)
        except OSError as exc:
            raise ClientDisconnected from exc

    return wrapped


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still waits, and wait until it has ended; errors of what is over are read."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
