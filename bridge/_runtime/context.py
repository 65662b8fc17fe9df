"""Context variables across a change of thread."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["adopt_locals", "copy_changes"]

_MISSING = object()


def adopt_locals() -> None:
    """Make asgiref's `Local` values of the current context visible in the current thread (W-65).

    From 3.13 on asgiref tags the storage of a `Local` with its thread, and a copied context run in another
    thread shows nothing: Django's active translation or connections would be lost on the way. asgiref's
    own way to move work re-homes the storage (asgiref.sync._restore_context); there is no public call for
    it, so both names are looked up and a version without them needs nothing.
    """
    found = _asgiref()
    if found is None:
        return
    storage_type, rehome = found
    for var, value in contextvars.copy_context().items():
        if isinstance(value, storage_type):
            var.set(rehome(value))


def copy_changes(source: contextvars.Context) -> None:
    """Set in the current context what was set in `source`, a copy of it that ran elsewhere.

    So a value set by the wrapped app is seen by the middleware outside, as if there were no bridge. A
    variable that was only unset stays as it is: contextvars has no way to take a value away.
    """
    found = _asgiref()
    for var, value in source.items():
        if found is not None and isinstance(value, found[0]):
            current = var.get(_MISSING)
            if isinstance(current, found[0]) and _data(current) is _data(value):
                continue
            value = found[1](value)  # noqa: PLW2901
        elif var.get(_MISSING) is value:
            continue
        var.set(value)


def _asgiref() -> tuple[type, Callable[[Any], Any]] | None:
    local = sys.modules.get("asgiref.local")  # not imported: nobody has a Local
    storage_type = getattr(local, "_Storage", None)
    rehome = getattr(local, "_rehome", None)
    return None if storage_type is None or rehome is None else (storage_type, rehome)


def _data(storage: Any) -> object:
    return storage.data
