"""Which app a host name belongs to: an exact name, or every name below a domain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from bridge.errors import ConfigurationError

__all__ = ["HostTable", "check_host", "host_name"]

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z")
_IPV6: Final = re.compile(r"\[[0-9a-f:.]+\]\Z")


def check_host(pattern: object) -> str:
    """Bring a host pattern to its one form: lower case, IDNA, no port.

    Args:
        pattern: a name (`admin.example.org`), an address, or `*.example.org` for every name below a domain,
            of one label or more, but not the domain itself.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not isinstance(pattern, str):
        raise ConfigurationError(f"host={pattern!r}: expected a text such as 'admin.example.org'")
    star, name = ("*.", pattern[2:]) if pattern[:2] == "*." else ("", pattern)
    try:
        name = name.lower() if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not (_NAME.match(name) or (not star and _IPV6.match(name))):
        raise ConfigurationError(
            f"host={pattern!r}: expected 'admin.example.org', or '*.example.org' for all names below a "
            "domain; without port or scheme"
        )
    return star + name


def host_name(header: str) -> str:
    """Give the name in a Host header field, as `check_host` spells it: without port or final dot.

    Args:
        header: native.
    """
    host = header.strip().lower()
    if host[:1] == "[":
        return host[: host.find("]") + 1]
    return host.partition(":")[0].removesuffix(".")


class HostTable(Generic[T]):
    """Values by host pattern; no host has two that could be meant.

    A pattern that lies within a wider one is refused, unless the wider one excludes it.
    """

    __slots__ = ("_exact", "_excluded", "_suffixes")

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._suffixes: dict[str, T] = {}  # ".example.org"
        self._excluded: dict[str, frozenset[str]] = {}  # of a suffix: patterns

    def __bool__(self) -> bool:
        return bool(self._exact or self._suffixes)

    def add(self, pattern: str, value: T, exclude: Iterable[str] = ()) -> None:
        """Add a value.

        Args:
            pattern: in the form that `check_host` gives.
            value: what to find there.
            exclude: patterns within this one that belong to others, in the same form.

        Raises:
            ConfigurationError: the pattern overlaps with another, or excludes what it does not hold.
        """
        excluded = frozenset(exclude)
        for other in excluded:
            if not _holds(pattern, other):
                raise ConfigurationError(
                    f"host={pattern!r}: does not hold {other!r}: leave that out of exclude"
                )
        self._check_overlap(pattern, excluded)
        if pattern[0] == "*":
            self._suffixes[pattern[1:]] = value
            self._excluded[pattern[1:]] = excluded
        else:
            self._exact[pattern] = value

    def _check_overlap(self, pattern: str, excluded: frozenset[str]) -> None:
        wider = {"*" + suffix: names for suffix, names in self._excluded.items()}
        for other in (*self._exact, *wider):
            if other == pattern:
                raise ConfigurationError(f"host={pattern!r}: something is mounted there already")
            if _holds(pattern, other) and not _covers(excluded, other):
                raise ConfigurationError(_overlap(pattern, other))
            if _holds(other, pattern) and not _covers(wider[other], pattern):
                raise ConfigurationError(_overlap(other, pattern))

    def find(self, host: str) -> T | None:
        """Find the value of a host.

        Args:
            host: as `host_name` gives it.
        """
        found = self._exact.get(host)
        if found is not None or not self._suffixes:
            return found
        dot = host.find(".")
        while dot >= 0:
            suffix = host[dot:]
            found = self._suffixes.get(suffix)
            if found is not None and not _covers(self._excluded[suffix], host):
                return found
            dot = host.find(".", dot + 1)
        return None


def _holds(pattern: str, other: str) -> bool:
    """Whether each host of one pattern is one of a wider pattern too."""
    return pattern[0] == "*" and pattern != other and other.removeprefix("*").endswith(pattern[1:])


def _covers(patterns: Iterable[str], other: str) -> bool:
    return any(pattern == other or _holds(pattern, other) for pattern in patterns)


def _overlap(wider: str, narrower: str) -> str:
    return (
        f"host={wider!r} overlaps with {narrower!r}: say whose the hosts of both are, with "
        f"host({wider!r}, app, exclude=[{narrower!r}])"
    )
