"""Which protocol an app speaks, as far as its class and its signature tell; it is never called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

__all__ = ["Kind", "kind_of"]

Kind: TypeAlias = Literal["asgi", "asgi2", "wsgi"]

# Framework apps by module and name of their class, so that nothing is imported to find out. Tracing tools
# replace their __call__ by one that takes anything, which then says nothing.
_KNOWN: dict[tuple[str, str], Kind] = {
    ("flask.app", "Flask"): "wsgi",
    ("django.core.handlers.wsgi", "WSGIHandler"): "wsgi",
    ("django.core.handlers.asgi", "ASGIHandler"): "asgi",
    ("starlette.applications", "Starlette"): "asgi",
    ("quart.app", "Quart"): "asgi",
    ("bridge.wsgi_to_asgi", "WSGIToASGI"): "asgi",
    ("bridge.asgi_to_wsgi", "ASGIToWSGI"): "wsgi",
}


def kind_of(app: Any) -> Kind | None:
    """Tell which protocol a callable speaks; None where it cannot be told."""
    if inspect.isclass(app):
        return _class_kind(app)
    return _known_kind(type(app)) or _call_kind(app)


def _known_kind(cls: type) -> Kind | None:
    for ancestor in cls.__mro__:
        kind = _KNOWN.get((ancestor.__module__, ancestor.__name__))
        if kind is not None:
            return kind
    return None


def _class_kind(cls: type) -> Kind | None:
    """Judge a class that is an app itself: an instance is one request, and what becomes of it one response.

    A middleware class looks much the same; but its instances are no responses.
    """
    counts = _argument_counts(cls)
    if counts == {2} and (hasattr(cls, "__iter__") or hasattr(cls, "__getitem__")):
        return "wsgi"
    if counts == {3} and hasattr(cls, "__await__"):  # starlette's HTTPEndpoint
        return "asgi"
    call: Any = cls.__call__
    if counts == {1} and _is_async(call) and _argument_counts(call) == {3}:  # self, receive, send
        return "asgi2"
    return None


def _call_kind(app: Any) -> Kind | None:
    """Judge anything else by the names of its parameters, or else by their number."""
    counts = _argument_counts(app)
    if _is_async(app):
        return "asgi" if 3 in counts else None
    if not counts or _is_async_generator(app):
        return None
    match _parameter_names(app):
        case ("environ", "start_response", *_) if 2 in counts:
            return "wsgi"
        case ("scope", "receive", "send", *_) if 3 in counts:
            return "asgi"
        case ("scope",):
            return "asgi2"
    # A plain function of three returns the awaitable of another app. One of a single argument is a
    # factory or a view as likely as an old app.
    by_number: dict[int, Kind] = {2: "wsgi", 3: "asgi"}
    return by_number.get(min(counts))


def _argument_counts(func: Callable[..., Any]) -> set[int]:
    """Tell with how many positional arguments, 1 to 3, a callable can be called; none if it hides that."""
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some callables of C have no signature
        return set()
    return {count for count in (1, 2, 3) if _accepts(signature, count)}


def _accepts(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _parameter_names(func: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(func).parameters)


def _functions(app: Any) -> tuple[Any, Any]:
    """Give the function behind an app, and behind the call of an app object, as they were written."""
    while isinstance(app, functools.partial):
        app = app.func
    return inspect.unwrap(app), inspect.unwrap(type(app).__call__)


def _is_async(app: Any) -> bool:
    return any(map(inspect.iscoroutinefunction, _functions(app)))


def _is_async_generator(app: Any) -> bool:
    return any(map(inspect.isasyncgenfunction, _functions(app)))
