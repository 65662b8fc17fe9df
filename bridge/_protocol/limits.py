"""How much of a request is accepted; what is more is refused before the app runs."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Final, TypeGuard

from bridge._protocol.server_limits import ServerLimits, objection
from bridge.errors import ConfigurationError

__all__ = ["Limits", "check_count", "check_patience", "check_seconds", "check_server"]

_MOST_SECONDS: Final = 1e9
"""Thirty years. For infinity CPython's locks raise OverflowError, and that at the first wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request. Every server has tighter ones of its own; these hold when it has not.

    Attributes:
        max_body_bytes: the request body, by declaration and by count; None for no limit. More is answered
            413. The default, 1 GiB, is that of waitress: a body is streamed, so it bounds what the app may
            have to store, not the memory of the bridge.
        max_headers: the number of header fields. More is answered 431.
        max_header_bytes: names and values of all header fields together, and so of any one. More is
            answered 431.
        max_path_bytes: path and query string together. More is answered 414.
        max_message_bytes: one WebSocket message, inflated. More ends the connection with 1009.
        server: who calls the bridge, by its name or with options that are not its defaults. A limit that was
            set, above what it lets through, would never come to bear, and is an error; a default is none, nor
            is a body without a limit. None for a server that is not known; a uWSGI process is asked.

    Raises:
        ConfigurationError: a limit is no count, the server is unknown, or a limit exceeds the server's.
    """

    max_body_bytes: int | None = 1024 * 1024 * 1024
    max_headers: int = 1_000
    max_header_bytes: int = 256 * 1024
    max_path_bytes: int = 64 * 1024
    max_message_bytes: int = 16 * 1024 * 1024
    server: str | ServerLimits | None = None

    def __post_init__(self) -> None:
        for field in _bounds():
            value = getattr(self, field.name)
            if field.name == "max_body_bytes" and value is None:
                continue
            if type(value) is not int or value < 0:
                raise ConfigurationError(
                    f"{field.name}={value!r}: expected a number of bytes or fields, 0 or more"
                )
        server = self.server
        if server is not None:
            check_server(self, server if isinstance(server, ServerLimits) else ServerLimits.of(server))


def _bounds() -> list[Field[object]]:
    return [field for field in fields(Limits) if field.name != "server"]


def check_server(limits: Limits, server: ServerLimits) -> None:
    """Check limits against those of the server that calls the bridge.

    Raises:
        ConfigurationError: names a limit that was set, the server's figure and how to mend it.
    """
    for field in _bounds():
        value = getattr(limits, field.name)
        if value is None or value == field.default:  # no limit at all, or one that nobody has set
            continue
        problem = objection(field.name, value, server)
        if problem is not None:
            raise ConfigurationError(problem)


def check_count(what: str, least: int, **counts: object) -> None:
    """Check counts by the names of their arguments.

    Args:
        what: what is counted, for the message: "threads".
        least: the least of them that makes sense.
        counts: the arguments.

    Raises:
        ConfigurationError: names the argument, its value and what would do.
    """
    for name, value in counts.items():
        if type(value) is not int or value < least:
            raise ConfigurationError(f"{name}={value!r}: expected a number of {what}, {least} or more")


def check_seconds(**durations: object) -> None:
    """Check durations by the names of their arguments: seconds, 0 or more, or None for no limit.

    Raises:
        ConfigurationError: names the argument, its value and what would do.
    """
    for name, value in durations.items():
        if value is not None and not (_is_duration(value) and value >= 0):
            raise ConfigurationError(f"{name}={value!r}: expected seconds, 0 or more, or None")


def check_patience(**durations: object) -> None:
    """Check durations without which nothing would ever come in time: seconds, more than 0, or None.

    Raises:
        ConfigurationError: names the argument, its value and what would do.
    """
    for name, value in durations.items():
        if value is not None and not (_is_duration(value) and value > 0):
            raise ConfigurationError(f"{name}={value!r}: expected seconds, more than 0, or None")


def _is_duration(value: object) -> TypeGuard[float]:
    """Tell whether a value is a number that can be waited for; True is none, though Python counts with it."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value <= _MOST_SECONDS
