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

__all__ = ["Closable", "close_at_exit"]

_log = logging.getLogger("bridge.loop")


class Closable(Protocol):
    """What has to be closed before the process ends."""

    def close_for_good(self) -> None:
        """Close, and do not open again."""


_open: list[ref[Closable]] = []
_registered = False


def close_at_exit(item: Closable) -> None:
    """Have `item.close_for_good()` called at the end of the process, if it still lives then.

    A forked child inherits this; what it has not opened itself has nothing to close there.
    """
    global _registered
    if not _registered:
        _registered = True
        import concurrent.futures.thread  # noqa: F401 - registers its own end, so that it comes after ours

        getattr(threading, "_register_atexit", atexit.register)(_close_all)
    if not any(reference() is item for reference in _open):
        _open.append(ref(item, _open.remove))


def _close_all() -> None:
    for reference in reversed(_open.copy()):
        item = reference()
        try:
            if item is not None:
                item.close_for_good()
        except BaseException:  # the others have to be closed all the same
            _log.exception("%s could not be closed at the end of the process", item)
