"""The errors of an ASGI app whose client has left, and those that a WSGI server must not get from it."""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.errors import AppProtocolError, ClientDisconnected

__all__ = ["Loss", "error_for_server", "means_gone"]

_HEARD_SECONDS: Final = 0.1
"""What an app that hears of the loss by `receive()` has to act on it before its `send()` raises."""

_MISREAD: Final = (StopIteration, StopAsyncIteration, OSError)
"""What would pass for the end of an iteration, or for a lost client: gunicorn 27 closes the connection
without an answer for a StopIteration or an OSError, and does not even log an app's ConnectionResetError."""


class Loss:
    """How `send()` tells an app that its client has left.

    An app that hears of it by `receive()` may cancel what sends, before a `send()` raises. Django's handler
    does (5.2): it sends `request_finished` after a cancellation, and not after an error. And a cancellation
    within `send()` ends its own generators, but the one of the view only when the response is collected. So
    the first `send()` behind the loss goes nowhere, as uvicorn's do (0.54), and the app comes to what it
    waits for itself; without that one of 100 to 1,000 abandoned streams stayed open until a collection.

    Attributes:
        heard: whether the app hears of it by `receive()`.
    """

    __slots__ = ("_spared", "heard")

    def __init__(self, *, heard: bool) -> None:
        self.heard = heard
        self._spared = False

    async def at_send(self) -> None:
        """Return once if the app hears of the loss; raise otherwise.

        Raises:
            ClientDisconnected: the client has left (A-31).
        """
        if self.heard:
            if not self._spared:
                self._spared = True
                return
            await asyncio.sleep(_HEARD_SECONDS)
        raise ClientDisconnected


def means_gone(exc: BaseException) -> bool:
    """Tell whether an error only says that the client left; Starlette has names of its own for that."""
    return isinstance(exc, (OSError, asyncio.CancelledError)) or type(exc).__name__ in (
        "ClientDisconnect",
        "WebSocketDisconnect",
    )


def error_for_server(exc: BaseException, name: str) -> BaseException:
    """Give what the server's thread is to raise for what the app raised: the same, if no server misreads it.

    Args:
        exc: what the app raised before its answer was complete.
        name: of the app.
    """
    if isinstance(exc, Exception) and not isinstance(exc, _MISREAD):
        return exc
    wrapped = AppProtocolError(f"the ASGI app {name} raised {type(exc).__name__}")
    wrapped.__cause__ = exc  # also of what would end the server's worker
    return wrapped
