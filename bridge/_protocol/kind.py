"""Which protocol an app speaks, as far as its class and its signature tell; it is never called."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

from bridge.types import ASGIApp, WSGIApp

__all__ = ["Kind", "Side", "kind_of", "middleware_kind_of"]

Kind: TypeAlias = Literal["asgi", "asgi2", "wsgi"]
Side: TypeAlias = Literal["asgi", "wsgi"]

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
    # Its __call__ is a slot that each instance fills for itself (sentry-sdk 2.75).
    ("sentry_sdk.integrations.asgi", "SentryAsgiMiddleware"): "asgi",
}


def kind_of(app: Any) -> Kind | None:
    """Tell which protocol a callable speaks; None where it cannot be told."""
    if inspect.isclass(app):
        return _class_kind(app)
    return _known_kind(type(app)) or _call_kind(app)


def middleware_kind_of(factory: Any) -> Side | None:
    """Tell which protocol a middleware speaks, before it is made; None where it cannot be told.

    Args:
        factory: a class, or a function, that takes the inner app first and gives an app.
    """
    while isinstance(factory, functools.partial):
        factory = factory.func
    kind: Kind | None
    if inspect.isclass(factory):
        call: Any = factory.__call__
        kind = _known_kind(factory)
        if kind is None and inspect.isfunction(call):
            kind = _call_kind(types.MethodType(call, object()))  # as an instance would be called
        kind = kind or _annotated_kind(factory.__init__)
    else:
        factory = inspect.unwrap(factory)
        kind = _annotated_kind(factory) or _inner_function_kind(factory)
    return None if kind == "asgi2" else kind


def _annotated_kind(func: Any) -> Side | None:
    """Judge by what the annotations of the parameters, and of what is returned, say of apps."""
    annotations = getattr(func, "__annotations__", {}).values()
    kinds = {kind for annotation in annotations if (kind := _kind_of_annotation(annotation)) is not None}
    return kinds.pop() if len(kinds) == 1 else None


def _kind_of_annotation(annotation: Any) -> Side | None:
    if annotation == ASGIApp:
        return "asgi"
    if annotation == WSGIApp:
        return "wsgi"
    if typing.get_origin(annotation) is Callable:  # an alias of starlette.types has lost its name
        parameters = typing.get_args(annotation)[0]
        by_number: dict[int, Side] = {2: "wsgi", 3: "asgi"}
        return by_number.get(len(parameters)) if isinstance(parameters, list) else None
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    sides: tuple[Side, Side] = ("asgi", "wsgi")
    kinds = [side for side in sides if side in name.lower()]
    return kinds[0] if len(kinds) == 1 else None


def _inner_function_kind(func: Any) -> Side | None:
    """Judge a function by the apps that are written inside it: the one that it gives is one of them."""
    code = getattr(func, "__code__", None)
    kinds = set(map(_code_kind, _inner_code(code))) if code is not None else set()
    kinds.discard(None)
    return kinds.pop() if len(kinds) == 1 else None


def _inner_code(code: types.CodeType) -> Iterator[types.CodeType]:
    return (const for const in code.co_consts if isinstance(const, types.CodeType))


def _code_kind(code: types.CodeType) -> Side | None:
    match code.co_varnames[: code.co_argcount]:
        case ("environ", "start_response"):
            return "wsgi"
        case ("scope", "receive", "send"):
            return "asgi"
    return None


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
