"""Context variables across a change of thread."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable
from typing import Any

from bridge._runtime.nesting import ANCESTORS

__all__ = ["adopt_locals", "copy_changes", "forget_changes", "keep_until_next", "renew_locals"]

_MISSING = object()
_left = threading.local()


def renew_locals() -> None:
    """Begin afresh what each thread keeps: gevent has made greenlets of threads, perhaps after the import."""
    global _left
    _left = threading.local()


def adopt_locals() -> None:
    """Make asgiref's `Local` values of the current context visible in the current thread (W-65).

    From 3.13 on asgiref tags the storage of a `Local` with its thread, and a copied context run in another
    thread shows nothing: Django's active translation or connections would be lost on the way. asgiref's
    own way to move work re-homes the storage (asgiref.sync._restore_context); there is no public call for
    it, so both names are looked up and a version without them needs nothing.
    """
    context = contextvars.copy_context()
    if (found := _asgiref()) is None:
        return
    storage_type, rehome = found
    for var, value in context.items():
        if isinstance(value, storage_type):
            var.set(rehome(value))


def copy_changes(source: contextvars.Context) -> list[tuple[contextvars.Token[Any], object]]:
    """Set in the current context what was set in `source`, a copy of it that ran elsewhere.

    So a value set by the wrapped app is seen by the middleware outside, as if there were no bridge. A
    variable that was only unset stays as it is: contextvars has no way to take a value away.

    Returns:
        What undoes it: each token, with the value that was set.
    """
    changes: list[tuple[contextvars.Token[Any], object]] = []
    found = _asgiref()
    for var, value in source.items():
        if found is not None and isinstance(value, found[0]):
            current = var.get(_MISSING)
            if isinstance(current, found[0]) and _data(current) is _data(value):
                continue
            value = found[1](value)
        elif var is ANCESTORS or var.get(_MISSING) is value:
            continue  # who waits for a request is nothing that comes back from it
        changes.append((var.set(value), value))
    return changes


def keep_until_next(changes: list[tuple[contextvars.Token[Any], object]]) -> None:
    """Let changes stand until the next request of this thread: a server's threads serve many (A-40)."""
    _left.changes = changes


def forget_changes() -> None:
    """Undo what the request before has left in this thread.

    Only what still stands: where a middleware outside has since put back its own value, a reset would
    bring to life what the variable was in the middle of that request.
    """
    for token, value in reversed(_left.__dict__.pop("changes", ())):
        if token.var.get(_MISSING) is value:
            with contextlib.suppress(ValueError):  # it was in another context, which this one does not see
                token.var.reset(token)


def _asgiref() -> tuple[type, Callable[[Any], Any]] | None:
    local = sys.modules.get("asgiref.local")  # not imported: nobody has a Local
    storage_type = getattr(local, "_Storage", None)
    rehome = getattr(local, "_rehome", None)
    return None if storage_type is None or rehome is None else (storage_type, rehome)


def _data(storage: Any) -> object:
    return storage.data
