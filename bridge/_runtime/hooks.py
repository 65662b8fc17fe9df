"""What a user has called in the worker threads: at their start, at their end, after a request."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TypeAlias

from bridge._runtime.naming import name_of
from bridge.errors import ConfigurationError

__all__ = ["Hook", "call_hook", "check_hooks"]

_log = logging.getLogger("bridge.workers")

Hook: TypeAlias = Callable[[], object]
"""Called without arguments; what it gives is dropped."""


def check_hooks(**hooks: object) -> None:
    """Check functions to be called, by the names of their arguments.

    Raises:
        ConfigurationError: names the argument, its value and what would do.
    """
    for name, hook in hooks.items():
        if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
            raise ConfigurationError(f"{name}={hook!r}: expected a function without arguments, not async")


def call_hook(hook: Hook | None) -> None:
    """Call what a user gave; what it raises is logged, and the thread goes on (SEC-34)."""
    if hook is None:
        return
    try:
        hook()
    except BaseException:
        _log.exception("%s failed", name_of(hook))
