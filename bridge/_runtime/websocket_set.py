"""The open WebSockets of one adapter: counted, limited, and ended together."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol

from bridge._runtime.fork import reset_in_child
from bridge._runtime.mailbox import Mailbox
from bridge.errors import ClientDisconnected, Overloaded

__all__ = ["WebSocketSet"]


class Shuttable(Protocol):
    """A WebSocket that can be asked to end."""

    def shut(self) -> None:
        """End with 1001; called on its loop."""


class WebSocketSet:
    """Those that are open; used from any thread.

    Args:
        most: how many there may be at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child: the open ones are the parent's."""
        self._open: dict[Shuttable, Mailbox] = {}
        self._shut = False
        self._emptied = threading.Condition()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, item: Shuttable, mailbox: Mailbox) -> None:
        """Count one in.

        Raises:
            Overloaded: there are as many as there may be, or all have been asked to end.
        """
        with self._emptied:
            if self._shut:
                raise Overloaded("the WebSockets of the app are being ended")
            if len(self._open) >= self._most:
                raise Overloaded(f"{self._most} WebSockets are open, which is max_websockets")
            self._open[item] = mailbox

    def discard(self, item: Shuttable) -> None:
        """Count one out."""
        with self._emptied:
            self._open.pop(item, None)
            if not self._open:
                self._emptied.notify_all()

    def reopen(self) -> None:
        """Let more be added after a `shut()`."""
        with self._emptied:
            self._shut = False

    def shut(self, timeout: float | None) -> bool:
        """Ask all to end, and wait until they have; not on a loop that serves one.

        Until `reopen()` none is added.

        Args:
            timeout: how long to wait, in seconds; None for as long as they take.

        Returns:
            Whether all have ended.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._emptied:
            self._shut = True
            for item, mailbox in list(self._open.items()):
                with contextlib.suppress(ClientDisconnected):  # its loop is closed, and it is gone with it
                    mailbox.post(item.shut)
                if mailbox.loop.is_closed():
                    self._open.pop(item)
            while self._open:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._emptied.wait(0.5 if left is None else min(left, 0.5))
                for item in [item for item, mailbox in self._open.items() if mailbox.loop.is_closed()]:
                    self._open.pop(item)
        return True
