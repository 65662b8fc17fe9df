"""`wsgi.file_wrapper` of a WSGI app under an ASGI server: a real file is sent without the app's thread.

The thread that has called the app makes a descriptor of its own for the file, closes the response of the
app and is free. The loop then has the server send the file, or reads it block by block. So a slow download
costs a descriptor, and a thread for as long as one read takes.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from bridge._protocol.sendfile import FILE_BLOCK_BYTES, PATHSEND, ZEROCOPYSEND, piece_bytes
from bridge.errors import AppProtocolError
from bridge.types import Send

__all__ = ["FilePiece", "FileWrapper", "file_piece"]


class FileWrapper:
    """The class behind `wsgi.file_wrapper`: an iterable of the blocks of anything with `read()`.

    Nothing is read before the first block is asked for. If the app returns one around a file of its own
    that `open()` has made, the file is sent without it.

    Args:
        filelike: has `read(size)`, and maybe `close()`.
        block_size: of the blocks, in bytes.

    Spec:
        PEP 3333 "Optional Platform-Specific File Handling".
    """

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration


class FilePiece:
    """A piece of a regular file, which stays there when the app closes or removes its own.

    Args:
        file: with a descriptor of its own; closed with this.
        offset: of the first byte.
        count: how many bytes.
        path: absolute, where the piece is a whole file that had a name; else None.

    Attributes:
        count: the same.
        sent: how many bytes the server has taken.
    """

    def __init__(self, file: io.FileIO, offset: int, count: int, path: str | None) -> None:
        self._file = file
        self._offset = offset
        self._path = path
        self.count = count
        self.sent = 0

    def close(self) -> None:
        """Give the descriptor back; again does nothing."""
        self._file.close()

    async def send(self, send: Send, offered: Collection[str], watch: Callable[[], None]) -> None:
        """Send the piece as the body of a response whose start has been sent.

        Args:
            send: of the server.
            offered: the extensions.
            watch: called before each block; raises if the client has gone.

        Raises:
            ClientDisconnected: the client has gone.
            AppProtocolError: the file has become shorter.
        """
        if PATHSEND in offered and self._path is not None and self._is_at(self._path):
            await send({"type": PATHSEND, "path": self._path})
            self.sent = self.count
        elif ZEROCOPYSEND in offered:
            await send(
                {
                    "type": ZEROCOPYSEND,
                    "file": self._file,
                    "offset": self._offset,
                    "count": self.count,
                    "more_body": False,
                }
            )
            self.sent = self.count
        else:
            await self._send_blocks(send, watch)

    def _is_at(self, path: str) -> bool:
        """Tell whether a path leads to this very file, whole: the server will open it by name (SEC-32)."""
        try:
            there = Path(path).stat()
        except (OSError, ValueError):
            return False
        here = os.fstat(self._file.fileno())
        return os.path.samestat(here, there) and there.st_size == self.count

    async def _send_blocks(self, send: Send, watch: Callable[[], None]) -> None:
        descriptor, left = self._file.fileno(), self.count
        while left:
            watch()
            offset, size = self._offset + self.sent, min(left, FILE_BLOCK_BYTES)
            # Not on the loop: a disk may be slow. The bridge's own threads are left to the app.
            data = await asyncio.to_thread(os.pread, descriptor, size, offset)
            if not data:
                raise AppProtocolError(f"the file became shorter by {left} bytes while it was sent")
            left -= len(data)
            await send({"type": "http.response.body", "body": data, "more_body": left > 0})
            self.sent += len(data)
        if not self.count:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def file_piece(wrapper: FileWrapper, length: int | None) -> FilePiece | None:
    """Make a piece of the file in a wrapper, from where it stands; None where its blocks must be asked for.

    Only of what `open()` gives for reading: any other object may give other bytes than its descriptor, as a
    GzipFile does.

    Args:
        wrapper: as the app has returned it.
        length: the declared Content-Length; None without one.
    """
    file = wrapper.filelike
    raw = file.raw if type(file) is io.BufferedReader else file
    if type(raw) is not io.FileIO or not hasattr(os, "pread"):
        return None
    try:
        found = os.fstat(raw.fileno())
        position = file.tell()
        count = piece_bytes(found.st_size, position, length)
        if count is None or not raw.readable() or not stat.S_ISREG(found.st_mode):
            return None
        own = io.FileIO(os.dup(raw.fileno()), "rb")
    except (OSError, ValueError):  # closed already, no descriptor left, …: the app's iteration will tell
        return None
    whole = position == 0 and count == found.st_size
    return FilePiece(own, position, count, _absolute(raw.name) if whole else None)


def _absolute(name: object) -> str | None:
    """Give an absolute path; None where the file was opened by a descriptor."""
    if not isinstance(name, (str, bytes, os.PathLike)):
        return None
    return str(Path(os.fsdecode(name)).absolute())
