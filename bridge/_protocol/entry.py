"""One middleware of a stack: what makes it, with what, and of which kind it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bridge._protocol.kind import Side, kind_of, middleware_kind_of
from bridge.errors import ConfigurationError

__all__ = ["Entry", "check_made", "entry_from", "kind_of_entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One middleware, and what it is made with.

    Attributes:
        factory: takes the inner app, then `args` and `kwargs`, and gives an app.
        args: further arguments.
        kwargs: further arguments.
        kind: the protocol of the app that it takes and gives; None to be detected.
    """

    factory: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    kind: Side | None = None

    @property
    def name(self) -> str:
        """Where the middleware was defined."""
        factory = getattr(self.factory, "func", self.factory)  # of a partial
        return f"{getattr(factory, '__module__', '')}.{getattr(factory, '__qualname__', repr(factory))}"

    def make(self, inner: Any) -> Any:
        """Make it around an app."""
        return self.factory(inner, *self.args, **(self.kwargs or {}))


def entry_from(value: Any) -> Entry:
    """Take one of ours, Starlette's `Middleware(cls, ...)`, told by its attributes, or a bare factory.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(value, Entry):
        entry = value
    elif not isinstance(value, type) and all(hasattr(value, name) for name in ("cls", "args", "kwargs")):
        entry = Entry(value.cls, tuple(value.args), dict(value.kwargs))
    else:
        entry = Entry(value)
    if not callable(entry.factory):
        raise ConfigurationError(
            f"middleware={entry.factory!r}: expected a class or a function that takes an app; with arguments "
            "Middleware(cls, ...), asgi(cls, ...) or wsgi(cls, ...)"
        )
    return replace(entry, kwargs=dict(entry.kwargs or {}))


def kind_of_entry(entry: Entry) -> Side:
    """Give the kind of a middleware, as stated or as detected.

    Raises:
        ConfigurationError: neither.
    """
    kind = entry.kind or middleware_kind_of(entry.factory)
    if kind is None:
        called = getattr(entry.factory, "__name__", "factory")
        raise ConfigurationError(
            f"middleware={entry.name}: cannot tell whether it is ASGI or WSGI; say so with "
            f"asgi({called}, ...) or wsgi({called}, ...)"
        )
    return kind


def check_made(entry: Entry, kind: Side, made: object) -> None:
    """Check that a middleware made an app of its kind, as far as that can be told.

    Raises:
        ConfigurationError: it made another, or none.
    """
    if not callable(made):
        raise ConfigurationError(f"middleware={entry.name}: made {made!r}, which is no app; return the app")
    found = kind_of(made)
    if found is None or found == kind:
        return
    advice = f"; state its kind with {found}(...)" if found in ("asgi", "wsgi") else ""
    raise ConfigurationError(
        f"middleware={entry.name}: took an {kind.upper()} app and made an {found.upper()} app{advice}"
    )
