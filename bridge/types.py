"""The types of the two protocols, and the three kinds of string that cross between them.

A WSGI string is *native*: a `str` whose every character stands for one byte (latin-1, PEP 3333
"A Note On String Types"). An ASGI path is *text*: an ordinary Unicode `str`. Header fields and
bodies are *raw*: `bytes`. `Native` and `Text` are the same class at run time; the type checker
keeps them apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, NewType, Protocol, TypeAlias

__all__ = [
    "ASGIApp",
    "Environ",
    "ExcInfo",
    "Message",
    "Native",
    "RawHeaders",
    "Receive",
    "Scope",
    "Send",
    "StartResponse",
    "Text",
    "WSGIApp",
    "Write",
]

Native = NewType("Native", str)
"""A WSGI string: code points U+0000 to U+00FF, one for each byte."""

Text = NewType("Text", str)
"""A decoded Unicode string, as in an ASGI `path`."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
"""Header fields in order: lower-case name and value, both bytes."""

# What stands in these mappings is the business of servers, middleware and apps: their values have no
# narrower type than Any.
Environ: TypeAlias = dict[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Write: TypeAlias = Callable[[bytes], object]


class StartResponse(Protocol):
    """PEP 3333 "The start_response() Callable": all arguments are positional."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = ..., /
    ) -> Write:
        """Begin the response; give the imperative `write`."""


WSGIApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
