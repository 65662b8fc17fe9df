"""`wsgi.errors`: a text stream that takes whatever an app writes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

__all__ = ["ErrorsStream"]


class ErrorsStream:
    """Writes to standard error, or to a stream of the user's; never raises for a character (W-31, W-32).

    Args:
        stream: None for whatever `sys.stderr` is at the time of the write.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write text; what the stream cannot encode is escaped."""
        stream = self._stream or sys.stderr
        if stream is None:  # pythonw, a daemon without standard streams
            return len(text)
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        stream = self._stream or sys.stderr
        if stream is not None:
            stream.flush()
