"""Specimen WSGI apps: each shows one thing that real apps do, right or wrong.

The apps of LEGAL keep every rule of PEP 3333 and of `wsgiref.validate`; those of BROKEN break one, and
a request to them must fail. All are plain callables without state, so that a server can serve them too.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

from bridge.types import Environ, StartResponse, WSGIApp

TEXT = ("Content-Type", "text/plain; charset=utf-8")


class SpecimenError(Exception):
    """What the specimens raise; no bridge knows it."""


# ---------------------------------------------------------------- whole responses


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one block, whatever the method: also to HEAD."""
    start_response("200 OK", [TEXT])
    return [b"hello"]


def hello_with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one block and its Content-Length, whatever the method."""
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def show(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the str values of the environ as JSON."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in environ.items() if type(value) is str}).encode()]


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the request body and its content type, after reading all of it in pieces."""
    pieces = list(iter(lambda: environ["wsgi.input"].read(4096), b""))
    start_response("200 OK", [("Content-Type", environ.get("CONTENT_TYPE") or "application/octet-stream")])
    return [b"".join(pieces)]


def count_lines(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the number of lines of the request body, read by iteration."""
    count = sum(1 for _ in environ["wsgi.input"])
    start_response("200 OK", [TEXT])
    return [b"%d" % count]


def many_blocks(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a list of blocks, empty ones between them."""
    start_response("200 OK", [TEXT])
    return [b"", b"one", b"", b"two", b""]


def cookies(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Set two cookies."""
    start_response("200 OK", [TEXT, ("Set-Cookie", "b=2"), ("X-Between", "1"), ("Set-Cookie", "a=1")])
    return [b"cookies"]


# ---------------------------------------------------------------- responses without a body


def empty_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer no block at all."""
    start_response("200 OK", [TEXT])
    return []


def empty_block(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one empty block."""
    start_response("200 OK", [TEXT])
    return [b""]


def empty_stream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a generator that ends without a block."""
    start_response("200 OK", [TEXT])
    yield from ()


def no_content(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer 204 with a Content-Length, which HTTP does not allow there."""
    start_response("204 No Content", [("Content-Length", "0")])
    return []


def not_modified(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer 304 with a validator."""
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def head_aware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer the Content-Length of GET to HEAD, without the body."""
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"hello"]


def never_reads(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Refuse the upload without reading a byte of it."""
    start_response("413 Content Too Large", [TEXT])
    return [b"too much"]


# ---------------------------------------------------------------- streams


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Yield three blocks, and start the response only when the first is asked for."""
    start_response("200 OK", [TEXT])
    yield b"one "
    yield b"two "
    yield b"three"


def stream_with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Yield two blocks that make up the Content-Length."""
    start_response("200 OK", [TEXT, ("Content-Length", "6")])
    return iter([b"abc", b"def"])


def slow(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Yield three blocks, `?seconds=` apart (0.01 if it does not say)."""
    seconds = float(parse_qs(environ["QUERY_STRING"]).get("seconds", ["0.01"])[0])
    start_response("200 OK", [TEXT])
    for block in (b"one ", b"two ", b"three"):
        yield block
        time.sleep(seconds)


def echo_stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Answer each piece of the request body while the next is still to come."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    while piece := environ["wsgi.input"].read(4):
        yield piece


def large(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Yield `?blocks=` blocks (10 if it does not say) of 64 KiB."""
    blocks = int(parse_qs(environ["QUERY_STRING"]).get("blocks", ["10"])[0])
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for _ in range(blocks):
        yield bytes(65_536)


# ---------------------------------------------------------------- write() and exc_info


def writes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Use write() for two blocks and return a third."""
    write = start_response("200 OK", [TEXT])
    write(b"1")
    write(b"2")
    return [b"3"]


def replaces_its_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Start with 200, fail before any body, and replace the start by an error page with exc_info."""
    start_response("200 OK", [TEXT, ("X-First", "1")])
    try:
        raise SpecimenError("before the body")
    except SpecimenError:
        start_response("500 Internal Server Error", [TEXT, ("X-Second", "1")], sys.exc_info())
    return [b"error page"]


# ---------------------------------------------------------------- failures


def fails_early(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Raise before the response is started."""
    raise SpecimenError("early <secret>")


def fails_after_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Raise after start_response and before the first block."""
    start_response("200 OK", [TEXT])
    raise SpecimenError("after the start")


def fails_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Raise after the first block."""
    start_response("200 OK", [TEXT])
    yield b"first"
    raise SpecimenError("late <secret>")


def fails_late_with_exc_info(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Fail after the first block and try to replace the start that has already left."""
    start_response("200 OK", [TEXT])
    yield b"first"
    try:
        raise SpecimenError("late")
    except SpecimenError:
        start_response("500 Internal Server Error", [TEXT], sys.exc_info())
    yield b"error page"


def exits(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Try to end the process."""
    sys.exit(3)


def no_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a block without start_response."""
    return [b"x"]


def starts_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Call start_response a second time without exc_info."""
    start_response("200 OK", [TEXT])
    start_response("500 Internal Server Error", [TEXT])
    return [b"x"]


def returns_none(environ: Environ, start_response: StartResponse) -> Any:
    """Answer nothing that can be iterated."""
    start_response("200 OK", [TEXT])


def returns_str(environ: Environ, start_response: StartResponse) -> Any:
    """Answer a str, whose characters are no blocks."""
    start_response("200 OK", [TEXT])
    return "text"


def text_block(environ: Environ, start_response: StartResponse) -> Any:
    """Answer a block of str."""
    start_response("200 OK", [TEXT])
    return ["text"]


def text_stream(environ: Environ, start_response: StartResponse) -> Any:
    """Yield a block of str first."""
    start_response("200 OK", [TEXT])
    yield "text"


def short(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer fewer bytes than the Content-Length."""
    start_response("200 OK", [TEXT, ("Content-Length", "9")])
    return [b"hello"]


def short_stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Yield fewer bytes than the Content-Length."""
    start_response("200 OK", [TEXT, ("Content-Length", "9")])
    yield b"hello"


LEGAL: tuple[WSGIApp, ...] = (
    hello,
    hello_with_length,
    show,
    echo,
    count_lines,
    many_blocks,
    cookies,
    empty_list,
    empty_block,
    empty_stream,
    no_content,
    not_modified,
    head_aware,
    never_reads,
    stream,
    stream_with_length,
    slow,
    echo_stream,
    large,
    writes,
    replaces_its_start,
)

BROKEN: tuple[WSGIApp, ...] = (
    fails_early,
    fails_after_start,
    fails_late,
    fails_late_with_exc_info,
    exits,
    no_start,
    starts_twice,
    returns_none,
    returns_str,
    text_block,
    text_stream,
    short,
    short_stream,
)


# ---------------------------------------------------------------- for the tests of one point


class Blocks:
    """A response that counts: not its own iterator, so that it shows whose `close()` is called.

    Args:
        blocks: what it gives; an exception among them is raised in its place.
        on_close: called by `close()`.

    Attributes:
        pulled: how many blocks were asked for so far.
        closed: how often `close()` was called.
        thread: the thread that iterated.
        closed_in: the thread that called `close()` last.
        closed_once: set by the first `close()`.
    """

    def __init__(
        self, blocks: Iterable[bytes | BaseException], on_close: Callable[[], object] = lambda: None
    ) -> None:
        self._blocks = blocks
        self._on_close = on_close
        self.pulled = 0
        self.closed = 0
        self.thread: threading.Thread | None = None
        self.closed_in: threading.Thread | None = None
        self.closed_once = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self.thread = threading.current_thread()
        for block in self._blocks:
            self.pulled += 1
            if isinstance(block, BaseException):
                raise block
            yield block

    def close(self) -> None:
        self.closed += 1
        self.closed_in = threading.current_thread()
        self.closed_once.set()
        self._on_close()


def answering(
    result: Any,
    *headers: tuple[str, str],
    status: str = "200 OK",
    first: Callable[[Environ], object] | None = None,
) -> WSGIApp:
    """Make an app that starts a response and returns this object.

    Args:
        result: what the app returns, the same object for each request.
        headers: of the response.
        status: of the response.
        first: called with the environ before anything else.
    """

    def app(environ: Environ, start_response: StartResponse) -> Any:
        if first is not None:
            first(environ)
        start_response(status, list(headers))
        return result

    return app
