"""What the requests of one event loop share."""

from __future__ import annotations

import asyncio

from bridge._runtime.mailbox import Mailbox
from bridge._runtime.watch import Watchkeeper
from bridge._runtime.worker import current_worker

__all__ = ["Desk"]


class Desk:
    """One loop, as the requests of an adapter see it.

    Attributes:
        mailbox: what threads post to the loop.
        watchkeeper: looks after the requests.
        worker: whose thread the loop runs in, if it is one: a WSGI app may run a loop of its own.
    """

    __slots__ = ("__weakref__", "mailbox", "watchkeeper", "worker")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.mailbox = Mailbox(loop)
        self.watchkeeper = Watchkeeper(loop)
        self.worker = current_worker()
