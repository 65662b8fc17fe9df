"""`http.response.pathsend` of an ASGI app: the file behind a path, opened once."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from bridge.errors import AppProtocolError

__all__ = ["open_path"]


def open_path(path: object) -> tuple[io.FileIO, int]:
    """Open the file of an event.

    Args:
        path: absolute, as the extension demands.

    Returns:
        The file, which the caller closes, and its size in bytes.

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
