"""How many requests of an ASGI app there may be at once: one more is refused, and nobody waits."""

from __future__ import annotations

import threading

from bridge._protocol.admission import Admission, Verdict
from bridge._protocol.response import ends_body
from bridge._runtime.fork import reset_in_child
from bridge.errors import Overloaded
from bridge.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Concurrency", "Place"]


class Concurrency:
    """The places of one app, for requests in the threads of a WSGI server.

    There is no queue: what would wait here holds a thread of the server, which has a queue of its own.

    Args:
        most: how many places there are, 1 or more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, where no request runs."""
        self._lock = threading.Lock()
        self._admission = Admission(self._most, 0)

    def enter(self, app: ASGIApp) -> Place:
        """Take a place for one request.

        Raises:
            Overloaded: there is none.
        """
        with self._lock:
            if self._admission.arrive() is Verdict.REFUSE:
                raise Overloaded("as many requests of the app run as may")
        return Place(self, app)

    def leave(self) -> None:
        """Give one place back."""
        with self._lock:
            self._admission.end()


class Place:
    """One request in its place: stands for the app, and leaves when that has answered or ended.

    Background work that follows the answer has no place; an app that its client has left keeps it until it
    ends, so that clients who come and go cannot pile up what runs.
    """

    __slots__ = ("_app", "_concurrency")

    def __init__(self, concurrency: Concurrency, app: ASGIApp) -> None:
        self._concurrency: Concurrency | None = concurrency
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, on the loop."""

        async def leave_and_send(message: Message) -> None:
            if ends_body(message):
                self.leave()  # first: a client that has its answer may come again at once
            await send(message)

        try:
            await self._app(scope, receive, leave_and_send)
        finally:
            self.leave()

    def leave(self) -> None:
        """Give the place back; again does nothing."""
        concurrency, self._concurrency = self._concurrency, None
        if concurrency is not None:
            concurrency.leave()
