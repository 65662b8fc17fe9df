"""The prefix that an app is mounted under."""

from __future__ import annotations

from bridge.errors import ConfigurationError

__all__ = ["checked_prefix"]


def checked_prefix(prefix: str) -> str:
    """Check a mount prefix.

    Args:
        prefix: text, such as "/legacy"; a trailing slash is taken off.

    Raises:
        ConfigurationError: it is not a path below the root.
    """
    trimmed = prefix.rstrip("/") if isinstance(prefix, str) else ""
    if trimmed[:1] != "/" or "//" in trimmed or any(mark in trimmed for mark in "?#{}<>%"):
        raise ConfigurationError(f"prefix={prefix!r}: expected a path such as '/legacy'")
    return trimmed
