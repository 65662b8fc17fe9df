"""The end of the process: what is still open is closed, in the reverse order of its opening.

`atexit` comes too late. By then the interpreter has joined its threads and starts no new one, so an app
whose shutdown does anything in a thread, as `asyncio.to_thread` and every `def` dependency do, would fail;
and the workers of `multiprocessing`, which end by `os._exit`, never come there. `threading._register_atexit`
comes before the threads are joined; it is private, but it is how concurrent.futures ends its own threads
(CPython 3.9 to 3.14).
"""

from __future__ import annotations

import atexit
import logging
import threading
from typing import Protocol
from weakref import ref

__all__ = ["Closable", "OpenSet", "close_at_exit"]

_log = logging.getLogger("bridge.loop")


class Closable(Protocol):
    """What has to be closed before the process ends."""

    def close(self) -> None:
        """Close; it may be opened again."""

    def close_for_good(self) -> None:
        """Close, and do not open again."""


class OpenSet:
    """What is open: held weakly, and closed in the reverse order of its opening."""

    def __init__(self) -> None:
        self._open: list[ref[Closable]] = []

    def add(self, item: Closable) -> None:
        """Add what has been opened; it is in the set once."""
        if not any(reference() is item for reference in self._open):
            self._open.append(ref(item, self._open.remove))

    def close(self, *, for_good: bool = False) -> None:
        """Close all that still lives; what one raises is logged, and the others are closed all the same."""
        for reference in reversed(self._open.copy()):
            item = reference()
            try:
                if item is not None:
                    item.close_for_good() if for_good else item.close()
            except BaseException:
                _log.exception("%s could not be closed", item)


_open = OpenSet()
_registered = False


def close_at_exit(item: Closable) -> None:
    """Have `item.close_for_good()` called at the end of the process, if it still lives then.

    A forked child inherits this; what it has not opened itself has nothing to close there.
    """
    global _registered
    if not _registered:
        _registered = True
        import concurrent.futures.thread  # noqa: F401 - registers its own end, so that it comes after ours

        getattr(threading, "_register_atexit", atexit.register)(_open.close, for_good=True)
    _open.add(item)
