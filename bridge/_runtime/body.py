"""The request body of a WSGI app under an ASGI server, on its way from `receive()` to the thread.

`BodyFeed` stands between them. When `receive()` is called is the rule of `bridge._protocol.listening`, and
`body_receive` calls it. What the app holds is in `wsgi_input`.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

from bridge._protocol.listening import Listening
from bridge._protocol.request_body import RequestBodyCycle
from bridge._runtime.body_receive import pull
from bridge._runtime.fork import reset_in_child
from bridge._runtime.inlet import Inlet
from bridge._runtime.outlet import Outlet
from bridge._runtime.stall import PeerTimeouts, StallWatch
from bridge.errors import BodyTooLarge, ClientDisconnected, ReceiveTimedOut
from bridge.types import Environ, Receive

__all__ = ["BUFFER_BYTES", "BodyFeed", "opening"]

BUFFER_BYTES = 256 * 1024
"""How much of a body is pulled ahead of an app that reads it."""

CONTINUE_SECONDS = 5.0
"""How long a client that waits for `100 Continue` is not looked at for an app that asks: a look sends that.

PEP 3333 lets a server send it at once, and the client sends its body unasked after a while (RFC 9110 section
10.1.1), curl after 1 s.
"""

# By names of their own: see bridge._protocol.response.
_UNASKED: Final = Listening.UNASKED
_SPARED: Final = Listening.SPARED
_FETCHING: Final = Listening.FETCHING
_LOST: Final = Listening.LOST


class _Opening:
    """The lock under which a feed gets its queue, and its reader; a forked child must not inherit it held."""

    def __init__(self) -> None:
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


opening = _Opening()


class BodyFeed:
    """What is received of one request, for a reader in a thread; and whether its client is there.

    Most servers ignore `send()` to a lost client, so a pending `receive()` is the only way to know (D-07). A
    common request needs none of this, and makes none of it.

    Args:
        environ: of the request: what it says of the body.
        receive: of the ASGI request; awaited as it is given (granian 2.8 needs that).
        outlet: of the response; cut when the client has gone.
        limit: the most bytes of a body that are accepted; None for no limit.
        timeouts: how long the client may make no progress.

    Attributes:
        state: who waits for what; written on the loop only.
        cycle: how much of the body has come.
        receive: the same.
        wanted: whether a body was announced, and may be fetched before the app asks: not where the client
            waits for `100 Continue`, which the first `receive()` sends (W-51).
        outlet: the same.
        timeouts: the same.
        items: pieces of the body, then its one end, empty or an error; None as long as nobody needs it.
        pulling: the task that pulls; None while there is none.
        task: of the request; None where nobody is to end it.
        refusal: set when the body has gone over its limit, or has not come for too long.
        stall: ends the task of a client that makes no progress; None as long as the request is young.

    Raises:
        BodyTooLarge: the declared length is over the limit already.
    """

    __slots__ = (
        "_timer",
        "cycle",
        "items",
        "outlet",
        "pulling",
        "receive",
        "refusal",
        "stall",
        "state",
        "task",
        "timeouts",
        "wanted",
    )

    def __init__(
        self,
        environ: Environ,
        receive: Receive,
        outlet: Outlet[Any],
        limit: int | None,
        timeouts: PeerTimeouts,
    ) -> None:
        declared = environ.get("CONTENT_LENGTH")
        length = int(declared) if declared is not None else None  # digits: `environ_from_scope` has checked
        self.cycle = RequestBodyCycle(length, limit)
        self.receive = receive
        self.outlet = outlet
        self.timeouts = timeouts
        if "HTTP_EXPECT" in environ:
            self.state = _SPARED
            self.wanted = False
        else:
            self.state = _UNASKED
            self.wanted = bool(length)
        self.items: Inlet[bytes | Exception] | None = None
        self.pulling: asyncio.Task[None] | None = None
        self.task: asyncio.Task[Any] | None = None
        self.refusal: BodyTooLarge | ReceiveTimedOut | None = None
        self.stall: StallWatch | None = None
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> Inlet[bytes | Exception]:
        """Give `items`, made for whoever needs them first; from any thread."""
        items = self.items
        if items is None:
            # The reader and the loop may both be the first: what one put must not be lost.
            with opening.lock:
                items = self.items
                if items is None:
                    items = self.items = Inlet(self.outlet.mailbox, BUFFER_BYTES)
        return items

    # ------------------------------------------------------------ from any thread

    @property
    def received(self) -> int:
        """How many bytes of the body have come."""
        return self.cycle.received

    @property
    def fetching(self) -> bool:
        """Whether the task waits for the first event of the body."""
        return self.state is _FETCHING

    @property
    def lost(self) -> bool:
        """Whether the request is over without a complete response."""
        return self.state is _LOST

    def asked(self) -> Inlet[bytes | Exception]:
        """Give what the pieces of the body come through, and have them pulled; called by its reader.

        Raises:
            ClientDisconnected: the request is over, and nothing is left of its body.
        """
        items = self.items
        if items is None:
            # Made here before the loop hears of it, and the state looked at after it is made, as the end of
            # the request looks at it after it set the state: one of the two always sees the other.
            items = self.opened()
        if items.empty:
            state = self.state
            if state.over:
                raise ClientDisconnected("the request is over")
            if not state.pulled:
                self.outlet.mailbox.post(self._read)
        return items

    def client_disconnected(self) -> bool:
        """Tell whether the client is known to have left; what `environ["bridge.client_disconnected"]` is.

        A response that is complete was not cut short, whoever leaves later. The first call has the loop watch
        from then on, so it may be too early to know: for 5 s where the client waits for `100 Continue`, which
        a look would send.
        """
        state = self.state
        if state is _LOST:
            return True
        if not (state.watched or state.over):
            try:
                self.outlet.mailbox.post(self._asked_after)
            except ClientDisconnected:  # the loop is closed
                return True
        return False

    # ------------------------------------------------------------ on the loop: who waits

    def _read(self) -> None:
        self._go_on(self.state.when_read)

    def watch(self) -> None:
        """Go on pulling after the end of the body, to learn of a disconnect."""
        self._go_on(self.state.when_watched)

    def outlived(self) -> None:
        """Watch a request that takes its time, unless that would be rude; end it if its client stalls."""
        if self.state.over:
            return
        if self.stall is None and self.task is not None and self.timeouts.shortest is not None:
            self.stall = StallWatch(self, self.task)
        self._go_on(self.state.when_outlived)

    def _asked_after(self) -> None:
        """The app wants to know whether its client is there: it may wait for nothing else."""
        self.outlived()
        before, self.state = self.state, self.state.when_asked
        if self.state is not before:
            self._timer = self.outlet.mailbox.loop.call_later(CONTINUE_SECONDS, self.watch)

    def _go_on(self, state: Listening) -> None:
        before, self.state = self.state, state
        if state is before or not state.pulled:
            return
        if self.pulling is None:
            self.pulling = self.outlet.mailbox.loop.create_task(pull(self))
        elif self.items is not None:
            self.items.wake()  # it may wait there for a reader that never comes

    # ------------------------------------------------------------ on the loop: what comes

    def left(self) -> None:
        """Take note that the client has gone, and the response with it."""
        self.end(
            self.state.when_lost,
            ClientDisconnected("the client disconnected before its request body was complete"),
        )
        self.outlet.cut()

    def failed(self, error: Exception) -> None:
        """Take note that nothing more will come, and why, for the reader; the response goes on."""
        self.end(self.state.when_failed, error)

    def end(self, state: Listening, end: bytes | Exception) -> None:
        """Take a last state of the body, and tell its reader how it ended: empty if it is whole."""
        before, self.state = self.state, state
        if before.coming:  # a body has one end: two of a kind each would take turns
            self.opened().put(end)

    # ------------------------------------------------------------ on the loop: the end

    def leave_to_server(self) -> None:
        """Look for a stalled client no more: the server sends a file, without a sign of its progress."""
        self.task = None
        if self.stall is not None:
            self.stall.close()

    def stalled(self, error: BaseException) -> bool:
        """Tell whether a cancellation only says that the client has made no progress."""
        return self.stall is not None and self.stall.claims(error)

    def lose(self) -> None:
        """Take note that the request is over without a complete response; to be closed."""
        self._end_request(self.state.when_lost)

    def close(self) -> None:
        """End what pulls, and have every further read raise instead of wait (W-30)."""
        self._end_request(self.state.when_closed)
        self.refusal = None  # its traceback holds this feed
        pulling, self.pulling = self.pulling, None  # one that has not begun would not take itself out
        if pulling is not None:
            pulling.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.stall is not None:
            self.stall.close()

    def _end_request(self, state: Listening) -> None:
        before, self.state = self.state, state
        if before.coming and self.items is not None:
            self.items.put(ClientDisconnected("the request is over"))
