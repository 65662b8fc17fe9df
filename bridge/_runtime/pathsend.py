"""`http.response.pathsend` of an ASGI app: the file behind a path, opened once, is the body."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from bridge._protocol.head import Head
from bridge._protocol.response import ResponseCycle
from bridge.errors import AppProtocolError

__all__ = ["file_part"]


def file_part(cycle: ResponseCycle, path: object) -> tuple[Head, bytes, bool | io.FileIO]:
    """Make the whole of a response of one file, which the server's wrapper sends.

    Args:
        cycle: of the response; it is done then.
        path: absolute, as the extension demands.

    Returns:
        The head, no block, and the file, which the caller closes; False where there is nothing to send of it.

    Raises:
        AppProtocolError: the response has not started, or its body has; see `_opened()`.

    Spec:
        ASGI extensions "Path Send".
    """
    head = cycle.head
    if head is None or cycle.committed:
        raise AppProtocolError("http.response.pathsend must follow the start, and be all of the body")
    file, size = _opened(path)
    try:
        head.declare_whole(size)
        more = cycle.file(size)
    except BaseException:
        file.close()
        raise
    if more:
        return head, b"", file
    file.close()
    return head, b"", False


def _opened(path: object) -> tuple[io.FileIO, int]:
    """Open the file of an event; give it and its size in bytes.

    Raises:
        AppProtocolError: no absolute path of a regular file that can be read. No OSError: to an ASGI app that
            would say that its client has left.
    """
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise AppProtocolError("http.response.pathsend got a path that is not absolute")
    try:
        # A pipe would have the loop wait for its other end.
        file = io.FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    except (OSError, ValueError) as exc:
        raise AppProtocolError("http.response.pathsend got a path that cannot be opened") from exc
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise AppProtocolError("http.response.pathsend got a path that is no regular file")
    return file, found.st_size
