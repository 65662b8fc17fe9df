"""After a fork: what has threads begins afresh in the child.

`gunicorn --preload`, uWSGI without `lazy-apps` and Passenger import the app, perhaps even call it, and
then fork. Threads do not survive that, and a lock may have been held by one of them.
"""

from __future__ import annotations

import _thread
import os
import threading
from types import TracebackType
from typing import Protocol
from weakref import WeakSet

__all__ = ["Forkable", "LateLock", "not_forked_meanwhile", "reset_in_child"]

not_forked_meanwhile = _thread.allocate_lock()
"""Held where a thread imports a module: who forks waits for it.

A child inherits the lock of a module that another thread imports at that moment, held by nobody, and waits
for ever where it imports it too (CPython 3.11 to 3.13 free the lock of the import system, not those of the
modules). Of the interpreter's own, since gevent would have the hub wait for a thread that it cannot see.
"""


class Forkable(Protocol):
    """Something whose threads are lost in a forked child."""

    def after_fork(self) -> None:
        """Forget the threads, queues and locks of the parent without touching them."""


class LateLock:
    """A lock made by its first use, which may be held across a wait.

    gunicorn's gevent worker patches `threading` after the fork, so with `--preload` after the app is there: a
    lock from before would stop the hub where it only should stop a greenlet.
    """

    def __enter__(self) -> None:
        lock: threading.Lock = self.__dict__.setdefault(
            "_lock", threading.Lock()
        )  # at once: one lock for all
        lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__dict__["_lock"].release()


_live: WeakSet[Forkable] = WeakSet()


def reset_in_child(item: Forkable) -> None:
    """Have `item.after_fork()` called in every child forked from here on, as long as `item` lives."""
    _live.add(item)


def _in_child() -> None:
    for item in list(_live):
        item.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)
    os.register_at_fork(
        before=not_forked_meanwhile.acquire,
        after_in_parent=not_forked_meanwhile.release,
        after_in_child=not_forked_meanwhile.release,
    )
