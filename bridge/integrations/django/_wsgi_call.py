"""Calls a WSGI app from a Django view: its response as a status, raw headers and the blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from bridge._protocol.head import head_from_wsgi
from bridge._runtime.naming import name_of
from bridge.errors import AppProtocolError
from bridge.types import Environ, ExcInfo, RawHeaders, WSGIApp

__all__ = ["call_wsgi"]


def call_wsgi(app: WSGIApp, environ: Environ) -> tuple[int, RawHeaders, list[bytes] | Blocks]:
    """Call a WSGI app and wait for its head.

    Returns:
        The status, raw header pairs, and the blocks: a list if all are there, else an iterator to be closed.

    Raises:
        AppProtocolError: the app broke PEP 3333.
        Exception: what the app raised.
    """
    heads: list[tuple[int, RawHeaders]] = []
    written: list[bytes] = []
    method: str = environ["REQUEST_METHOD"]

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> object:
        if heads and exc_info is None:
            raise AppProtocolError("the response was started twice")
        head = head_from_wsgi(status, headers, method)
        heads[:] = [(head.status, head.headers)]
        return written.append

    result = app(environ, start_response)  # type: ignore[arg-type]  # its write is list.append
    if isinstance(result, (list, tuple)) and heads:
        if hasattr(result, "close"):
            result.close()
        return *heads[0], [*written, *result]
    blocks = Blocks(result, written)
    try:
        blocks.begin(heads)
    except BaseException:
        blocks.close()
        raise
    if not heads:
        blocks.close()
        raise AppProtocolError(f"{name_of(app)} returned without calling start_response")
    return *heads[0], blocks


class Blocks:
    """The blocks of a WSGI response, those that `write()` was given first. `close()` is the app's."""

    def __init__(self, result: Iterable[bytes], written: list[bytes]) -> None:
        self._result = result
        self._written = written
        self._rest: Iterator[bytes] = iter(result)

    def begin(self, heads: list[tuple[int, RawHeaders]]) -> None:
        """Iterate until the app has started its response, which it may do as late as with its first block."""
        early: list[bytes] = []
        while not heads and (block := next(self._rest, None)) is not None:
            early.append(block)
        self._rest = itertools.chain(self._written, early, self._rest)

    def __iter__(self) -> Iterator[bytes]:
        return self._rest

    def close(self) -> None:
        """Close what the app gave."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()
