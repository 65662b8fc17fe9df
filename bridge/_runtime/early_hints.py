"""Early hints of a WSGI app under an ASGI server that offers them: `wsgi.early_hints` in the environ."""

from __future__ import annotations

from collections.abc import Iterable

from bridge._protocol.early_hints import EARLY_HINT, InterimHead, links_from_native
from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES
from bridge._runtime.outlet import Outlet
from bridge._runtime.wsgi_run import Part, WSGIRun
from bridge.types import Send

__all__ = ["EarlyHints"]


class EarlyHints:
    """Takes hints in the thread of the app, and sends them on the loop before the response.

    Args:
        run: of the request.
        outlet: of the run.
        send: of the server.
        interim: whether the client can take an interim response: not with HTTP/1.0 (RFC 9110 section 15.2).
    """

    __slots__ = ("_interim", "_outlet", "_run", "_send")

    def __init__(self, run: WSGIRun, outlet: Outlet[Part], send: Send, *, interim: bool) -> None:
        self._run = run
        self._outlet = outlet
        self._send = send
        self._interim = interim

    def __call__(self, headers: Iterable[object], /) -> None:
        """Send a 103 response with the Link fields among these; nothing once the response has begun.

        Args:
            headers: native pairs of name and value.

        Raises:
            AppProtocolError: a field breaks a rule of response fields.
            ClientDisconnected: nobody is left to send it to.

        Spec:
            RFC 8297 section 2; ASGI extensions "Early Hints"; gunicorn 27 `http/wsgi.py`.
        """
        links = links_from_native(headers)
        if links and self._interim and not self._run.committed:
            self._outlet.put((InterimHead(links), b"", True), BLOCK_OVERHEAD_BYTES)

    async def final_part(self) -> Part:
        """Send the hints as they come, and give the first part of the response.

        Raises:
            ClientDisconnected: the client has gone.
            BaseException: what the app raised.
        """
        while True:
            part = await self._outlet.take()
            head = part[0]
            if not isinstance(head, InterimHead):
                return part
            await self._send({"type": EARLY_HINT, "links": head.links})
            self._outlet.sent(BLOCK_OVERHEAD_BYTES)
