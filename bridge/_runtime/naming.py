"""What an app is called in log lines, errors and thread names."""

from __future__ import annotations

__all__ = ["name_of"]


def name_of(app: object) -> str:
    """Name an app by where it was defined, or its class was."""
    name = getattr(app, "__qualname__", None) or type(app).__qualname__
    return f"{getattr(app, '__module__', None) or type(app).__module__}.{name}"
