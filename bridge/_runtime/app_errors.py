"""The errors of an ASGI app whose client has left, and those that a WSGI server must not get from it."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from bridge.errors import AppProtocolError, ClientDisconnected

__all__ = ["error_for_server", "means_gone", "raise_gone"]

_HEARD_SECONDS: Final = 0.1
"""What an app that hears of the loss by `receive()` has to act on it before its `send()` raises."""

_MISREAD: Final = (StopIteration, StopAsyncIteration, OSError)
"""What would pass for the end of an iteration, or for a lost client: gunicorn 27 closes the connection
without an answer for a StopIteration or an OSError, and does not even log an app's ConnectionResetError."""


async def raise_gone(*, heard: bool) -> NoReturn:
    """Have `send()` raise; an app that has heard of it by `receive()` may cancel what sends before that.

    Django's handler does (5.2): it sends `request_finished` after a cancellation, and not after an error.
    """
    if heard:
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
