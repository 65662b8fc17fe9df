"""Why `receive()` of a WSGI app's request is to be called, or is not: who waits for what of its client.

    state      read       watch      outlive    ask        end
    ─────────  ─────────  ─────────  ─────────  ─────────  ─────────
    UNASKED    READING    WATCHING   WATCHING   UNASKED    UNASKED
    SPARED     READING    WATCHING   OUTLIVED   TIMED      SPARED
    OUTLIVED   WATCHING   WATCHING   OUTLIVED   TIMED      OUTLIVED
    TIMED      WATCHING   WATCHING   TIMED      TIMED      TIMED
    FETCHING   FETCHING   FETCHING   FETCHING   FETCHING   ENDED
    READING    READING    WATCHING   WATCHING   READING    ENDED
    WATCHING   WATCHING   WATCHING   WATCHING   WATCHING   LISTENING
    LISTENING  LISTENING  LISTENING  LISTENING  LISTENING  LISTENING
    ENDED      ENDED      LISTENING  LISTENING  ENDED      ENDED
    DEAF       DEAF       DEAF       DEAF       DEAF       DEAF
    CLOSED     CLOSED     CLOSED     CLOSED     CLOSED     CLOSED
    LOST       LOST       LOST       LOST       LOST       LOST

`read` is of the app. `watch` is of a response that streams, which must learn of a lost client (AA-12), and
`outlive` of a request that takes its time. `ask` is of an app that wants to know whether its client is there,
and `end` of the body. A failure leads to DEAF, and the end of the request to CLOSED or LOST, from wherever it
is not over.

A client that waits for `100 Continue` is spared, since the first `receive()` sends that (W-51): until the app
reads, or has asked a while ago. That is no reason any more once the app has read, so what has outlived its
grace by then is watched at once.

FETCHING is where the task of the request itself waits for the first event, and leads back to UNASKED if that
is not all. Everywhere else one task calls `receive()`, and it ends when nobody wants it: so there are never
two calls at once (AA-16), and none after the last event.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["Listening"]


class Listening(Enum):
    """A state of the table of this module; its value says until when `receive()` is called.

    Attributes:
        coming: whether more of the body may come.
        pulled: whether a task is to call `receive()` again and again.
        watched: whether it is to go on after the end of the body.
        over: whether the request is.
        when_read: where `read` leads; `when_watched` and the others likewise.
    """

    UNASKED = "not yet"
    SPARED = "not yet: the client waits for 100 Continue"
    OUTLIVED = "not yet, and once it is read until the client leaves"
    TIMED = "in a while, until the client leaves"
    FETCHING = "once, by the task of the request"
    READING = "until the body ends"
    WATCHING = "until the client leaves, with more of its body to come"
    LISTENING = "until the client leaves"
    ENDED = "no more: the body has ended"
    DEAF = "no more: it has failed"
    CLOSED = "no more: the request is over"
    LOST = "no more: the request is over without a complete response"

    coming: bool
    pulled: bool
    watched: bool
    over: bool
    when_read: Listening
    when_watched: Listening
    when_outlived: Listening
    when_asked: Listening
    when_ended: Listening
    when_failed: Listening
    when_closed: Listening
    when_lost: Listening


_OVER: Final = (Listening.CLOSED, Listening.LOST)
_HEARD: Final = (Listening.LISTENING, Listening.ENDED, Listening.DEAF)
_SPARING: Final = (Listening.SPARED, Listening.OUTLIVED, Listening.TIMED)

_UNSPARED: Final = {
    Listening.UNASKED: Listening.WATCHING,
    Listening.READING: Listening.WATCHING,
    Listening.ENDED: Listening.LISTENING,
}
_WATCHED: Final = {**_UNSPARED, **dict.fromkeys(_SPARING, Listening.WATCHING)}
_OUTLIVED: Final = {**_UNSPARED, Listening.SPARED: Listening.OUTLIVED}
_READ: Final = {
    Listening.UNASKED: Listening.READING,
    Listening.SPARED: Listening.READING,
    Listening.OUTLIVED: Listening.WATCHING,
    Listening.TIMED: Listening.WATCHING,
}
_ENDED: Final = {
    Listening.FETCHING: Listening.ENDED,
    Listening.READING: Listening.ENDED,
    Listening.WATCHING: Listening.LISTENING,
}


def _join_up(state: Listening) -> None:
    """Have a state know its following ones: to look them up by hash would cost a call of Python each time."""
    state.over = state in _OVER
    state.coming = state not in (*_OVER, *_HEARD)
    state.watched = state in (Listening.WATCHING, Listening.LISTENING)
    state.pulled = state.watched or state is Listening.READING
    state.when_read = _READ.get(state, state)
    state.when_watched = _WATCHED.get(state, state)
    state.when_outlived = _OUTLIVED.get(state, state)
    state.when_asked = Listening.TIMED if state in _SPARING else state
    state.when_ended = _ENDED.get(state, state)
    state.when_failed = state if state.over else Listening.DEAF
    state.when_closed = state if state.over else Listening.CLOSED
    state.when_lost = state if state.over else Listening.LOST


for _state in Listening:
    _join_up(_state)
