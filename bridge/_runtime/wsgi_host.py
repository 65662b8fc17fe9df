"""What the requests of one WSGI app share beside their settings."""

from __future__ import annotations

import logging

from bridge._protocol.head import Head
from bridge._protocol.headers import KEPT_NAMES
from bridge._runtime.ending import Closable, OpenSet
from bridge._runtime.hooks import Hook
from bridge._runtime.worker import current_worker
from bridge.errors import AppProtocolError

__all__ = ["WSGIHost", "close_with_caller"]

_log = logging.getLogger("bridge.wsgi")


class WSGIHost:
    """What the requests of one app share: what it is called, and what was said of it already.

    Args:
        name: of the app, in log lines and errors.
        strict: see `WSGIToASGI`.
        after_request: called after each request: in its thread and context, also if it failed (W-62).

    Attributes:
        after_request: the same.
        begun: what the app has started, and ends with its adapter: ASGI apps that it calls through bridges.
    """

    def __init__(self, name: str, *, strict: bool, after_request: Hook | None = None) -> None:
        self.name = name
        self.after_request = after_request
        self.begun = OpenSet()
        self._strict = strict
        self._reported: set[bytes] = set()

    def dropped(self, head: Head) -> None:
        """Report hop-by-hop fields that were taken out, each once (D-05).

        An app that passes another server's fields on may bring any number of names: some are not reported.

        Raises:
            AppProtocolError: the host is strict.
        """
        names = ", ".join(sorted({name.decode("latin-1") for name in head.dropped}))
        if self._strict:
            raise AppProtocolError(f"the app set hop-by-hop headers, which belong to the server: {names}")
        if len(self._reported) < KEPT_NAMES and not self._reported.issuperset(head.dropped):
            self._reported.update(head.dropped)
            _log.warning("%s set hop-by-hop headers; dropped: %s", self.name, names)


def close_with_caller(item: Closable) -> None:
    """Have an item closed with the adapter whose request this thread serves, if it serves one.

    No lifespan comes through a WSGI app, and uvicorn ends its process by the signal that has stopped it, so
    that nothing runs at its exit (0.54, `Server.capture_signals`).
    """
    worker = current_worker()
    if worker is not None:
        host: WSGIHost | None = getattr(worker.job, "host", None)  # that of a WebSocket has one too
        if host is not None:
            host.begun.add(item)
