"""How much of a request is accepted; what is more is refused before the app runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, TypeGuard

from bridge.errors import ConfigurationError

__all__ = ["Limits", "check_count", "check_patience", "check_seconds"]

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
    """

    max_body_bytes: int | None = 1024 * 1024 * 1024
    max_headers: int = 1_000
    max_header_bytes: int = 256 * 1024
    max_path_bytes: int = 64 * 1024
    max_message_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "max_body_bytes" and value is None:
                continue
            if type(value) is not int or value < 0:
                raise ConfigurationError(
                    f"{field.name}={value!r}: expected a number of bytes or fields, 0 or more"
                )


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
