"""The calls of `receive()` for a WSGI app: by the task of the request once, or by one that pulls.

When each is called, and so that there is one at a time, is the rule of `bridge._protocol.listening`.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Final

from bridge._protocol.listening import Listening
from bridge._protocol.request_body import data_from_event
from bridge.errors import BodyTooLarge, ClientDisconnected, ReceiveTimedOut
from bridge.types import Message

if TYPE_CHECKING:
    from bridge._runtime.body import BodyFeed

__all__ = ["LOOK_SECONDS", "prefetch", "pull"]

LOOK_SECONDS = 1.0
"""How long the first look for a lost client waits where it costs something; each look doubles the wait."""

# By names of their own: see bridge._protocol.response.
_UNASKED: Final = Listening.UNASKED
_FETCHING: Final = Listening.FETCHING
_ENDED: Final = Listening.ENDED


async def prefetch(feed: BodyFeed) -> io.BytesIO | None:
    """Take the first event in the request's own task, before a thread is taken.

    Returns:
        The whole body if it came in one event; None where the rest is to be pulled.

    Raises:
        ClientDisconnected: the client left, or sent less than it declared.
        ReceiveTimedOut: the client sent nothing for `receive_timeout`.
        BodyTooLarge: the body is over its limit.
    """
    feed.state = _FETCHING
    try:
        event = await feed.receive()
    except asyncio.CancelledError as exc:
        if feed.stalled(exc):
            raise ReceiveTimedOut from None
        raise
    data = data_from_event(event)
    if data is None:
        raise ClientDisconnected()
    data = feed.cycle.data(data)
    if not event.get("more_body", False):
        feed.state = _ENDED
        feed.cycle.end()
        return io.BytesIO(data)
    feed.state = _UNASKED
    if data:
        feed.opened().put(data, len(data))
    return None


async def pull(feed: BodyFeed) -> None:
    """Pull for as long as the state of a feed says so, no further ahead of its reader than there is room.

    One at a time for each feed, which cancels it at the end of the request.
    """
    look = LOOK_SECONDS
    try:
        while feed.state.pulled:
            _take(feed, await feed.receive())
            if feed.state.pulled:
                look = await _hold_back(feed, look)
    except OSError:
        feed.left()
    except Exception as exc:  # told to the reader, which is where it can be handled
        feed.failed(exc)
    except asyncio.CancelledError:  # at the end of the request, or by something behind `receive()`
        feed.failed(ClientDisconnected("the receiving of the request body was cancelled"))
        raise
    finally:
        feed.pulling = None


def _take(feed: BodyFeed, event: Message) -> None:
    """Hand what an event brings to the reader.

    Raises:
        ClientDisconnected: the client has left, or has sent less than it declared.
        ProtocolError: it is no event of a request.
    """
    data = data_from_event(event)
    if data is None:
        raise ClientDisconnected
    if not feed.state.coming:
        return  # it follows a body that is too large, or a request that is over
    try:
        data = feed.cycle.data(data)
    except BodyTooLarge as exc:
        feed.refusal = exc.with_traceback(None)
        feed.end(feed.state.when_ended, exc)
        return
    if data:
        feed.opened().put(data, len(data))
    if not event.get("more_body", False):
        feed.cycle.end()
    elif not feed.cycle.complete:
        return
    feed.end(feed.state.when_ended, b"")


async def _hold_back(feed: BodyFeed, look: float) -> float:
    """Wait until the reader has caught up; a watched client is looked after all the same.

    An app may never read its body, and only `receive()` tells of a client that has left. A look can bring
    one more event, so each waits twice as long as the one before: of an hour without a reader a dozen.

    Args:
        feed: what is pulled for.
        look: how long to wait, in seconds, before the next event is taken nevertheless.

    Returns:
        How long to wait the next time.
    """
    items = feed.items
    if items is None or not (items.crowded or feed.refusal is not None):
        return look
    if not feed.state.watched:
        await items.room()
        return look
    try:
        async with asyncio.timeout(look):
            await (items.room() if feed.refusal is None else asyncio.get_running_loop().create_future())
    except TimeoutError:
        return look * 2
    return LOOK_SECONDS
