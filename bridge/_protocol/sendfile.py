"""Files as responses: what of a file is to be sent, and which events can carry it."""

from __future__ import annotations

from typing import Final

__all__ = ["FILE_BLOCK_BYTES", "PATHSEND", "ZEROCOPYSEND", "piece_bytes"]

PATHSEND: Final = "http.response.pathsend"
"""The extension, and its event: the server is told a path, and sends the whole file."""

ZEROCOPYSEND: Final = "http.response.zerocopysend"
"""The extension, and its event: the server is given an open file with an offset and a count."""

FILE_BLOCK_BYTES: Final = 128 * 1024
"""What is read of a file at once, whatever block size the app has suggested (Django's is 4 KiB)."""


def piece_bytes(size: int, position: int, length: int | None) -> int | None:
    """Tell how much of a file is the response: to its end, or to the Content-Length (E-05).

    Args:
        size: of the file, in bytes.
        position: where the file stands.
        length: the declared Content-Length; None without one.

    Returns:
        Bytes; None where there are fewer than declared.
    """
    left = max(size - position, 0)
    if length is None:
        return left
    return length if length <= left else None
