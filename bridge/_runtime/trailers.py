"""Trailers of a WSGI app under an ASGI server that offers them: `gunicorn.http2.send_trailers`."""

from __future__ import annotations

from collections.abc import Iterable

from bridge._protocol.head import Head
from bridge._protocol.trailers import TRAILERS, trailers_from_native
from bridge._runtime.wsgi_run import WSGIRun
from bridge.errors import AppProtocolError
from bridge.types import Message, RawHeaders, Send

__all__ = ["ResponseTrailers"]


class ResponseTrailers:
    """Takes trailers in the thread of the app, and sends them on the loop after its body.

    ASGI wants them announced with the start, and Firefox asks for them with each request of HTTP/2: so they
    are expected only of an app that called this before its first block, or that sent a Trailer field.

    Args:
        run: of the request.
        send: of the server.
        asked: whether the client takes trailers; those of one that does not are dropped (H-23).
    """

    __slots__ = ("_asked", "_due", "_fields", "_run", "_send")

    def __init__(self, run: WSGIRun, send: Send, *, asked: bool) -> None:
        self._run = run
        self._send = send
        self._asked = asked
        self._due = False
        self._fields: RawHeaders = []

    def __call__(self, fields: Iterable[object], /) -> None:
        """Have these sent after the body; a second call replaces the first, as gunicorn's does.

        Args:
            fields: native pairs of name and value; an empty list only announces them.

        Raises:
            AppProtocolError: a field is wrong or may not be a trailer, or it is too late.

        Spec:
            RFC 9110 section 6.5; ASGI extensions "HTTP Trailers"; gunicorn 27 `workers/gthread.py`.
        """
        checked = trailers_from_native(fields)
        if not self._run.announce_trailers():
            raise AppProtocolError("trailers came after the response began, and were not announced")
        self._fields = checked

    async def send(self, message: Message) -> None:
        """Send an event of the response; the start announces trailers, and the end of the body brings them.

        Raises:
            AppProtocolError: the app has announced trailers, and named none; the response is then cut.
        """
        if message["type"] == "http.response.start":
            self._due = self._follow(self._run.head)
            await self._send({**message, "trailers": True} if self._due else message)
            return
        last = self._due and not message.get("more_body")  # a file is the end too
        if last and not self._fields:  # none are no way to end: h2 4.4 fails on an empty list
            raise AppProtocolError("the app announced trailers and sent none")
        await self._send(message)
        if last:
            await self._send({"type": TRAILERS, "headers": self._fields, "more_trailers": False})

    def _follow(self, head: Head | None) -> bool:
        return self._asked and self._run.trailed and head is not None and not head.bodiless
