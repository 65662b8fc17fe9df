"""The URLconf of the Django project."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.urls import get_resolver
from django.urls.converters import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
)

from bridge.integrations.fastapi._openapi import LegacyRoute

__all__ = ["django_routes"]

_METHODS = ("get", "put", "post", "delete", "patch", "trace")
_VARIABLE = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")
_SCHEMAS: dict[type, dict[str, Any]] = {
    IntConverter: {"type": "integer", "minimum": 0},
    UUIDConverter: {"type": "string", "format": "uuid"},
    SlugConverter: {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    PathConverter: {"type": "string"},
    StringConverter: {"type": "string"},
}


def django_routes() -> Iterator[LegacyRoute]:
    """Give the routes of ROOT_URLCONF; those of the catch-all kind, which only redirect or 404, too."""
    yield from _walk(get_resolver().url_patterns, "/", {}, ())


def _walk(
    entries: Sequence[Any], before: str, known: dict[str, dict[str, Any]], spaces: tuple[str, ...]
) -> Iterator[LegacyRoute]:
    for entry in entries:
        path, parameters = _template(entry.pattern, len(known))
        path, parameters = before + path, {**known, **parameters}
        if hasattr(entry, "url_patterns"):
            space = (entry.namespace,) if entry.namespace else ()
            yield from _walk(entry.url_patterns, path, parameters, (*spaces, *space))
        elif not hasattr(entry, "mounted"):  # an app of include_asgi() has a schema of its own
            view = inspect.unwrap(entry.callback)
            yield LegacyRoute(
                path=path,
                name=":".join((*spaces, entry.name or getattr(view, "__name__", type(view).__name__))),
                methods=_methods(entry.callback),
                parameters=parameters,
                doc=getattr(getattr(entry.callback, "view_class", view), "__doc__", None) or "",
                rule=path if hasattr(entry.pattern, "_route") else str(entry.pattern),
            )


def _template(pattern: Any, known: int) -> tuple[str, dict[str, dict[str, Any]]]:
    """Give an OpenAPI template and the schemas of its variables, in order."""
    if not hasattr(pattern, "_route"):
        return _template_of_regex(str(pattern), known)
    parameters: dict[str, dict[str, Any]] = {}

    def variable(match: re.Match[str]) -> str:
        converter = get_converters()[match["converter"] or "str"]
        parameters[match["name"]] = _schema(converter)
        return f"{{{match['name']}}}"

    return _VARIABLE.sub(variable, str(pattern)), parameters


def _schema(converter: Any) -> dict[str, Any]:
    for cls in type(converter).__mro__:
        if cls in _SCHEMAS:
            return _SCHEMAS[cls]
    return {"type": "string", "pattern": f"^{converter.regex}$"}


def _template_of_regex(regex: str, known: int) -> tuple[str, dict[str, dict[str, Any]]]:
    """Read a regular expression as a person would: groups are variables, the rest is text.

    Optional and alternative parts have no form in OpenAPI; they stay as they can be matched.
    """
    parameters: dict[str, dict[str, Any]] = {}
    out, at = [], 0
    while at < len(regex):
        char = regex[at]
        if char == "(":
            end = _group_end(regex, at)
            group = regex[at + 1 : end]
            named = re.match(r"\?P<(\w+)>", group)
            if named or not group.startswith("?"):
                name = named[1] if named else f"arg{known + len(parameters) + 1}"
                body = group[named.end() :] if named else group
                parameters[name] = {"type": "string", "pattern": f"^{body}$"}
                out.append(f"{{{name}}}")
            at = end
        elif char == "\\" and at + 1 < len(regex):
            at += 1
            if not regex[at].isalnum():
                out.append(regex[at])
        elif char not in "^$?*+":
            out.append(char)
        at += 1
    return "".join(out).lstrip("/"), parameters


def _group_end(regex: str, start: int) -> int:
    depth, at, in_class = 0, start, False
    while at < len(regex):
        char = regex[at]
        if char == "\\":
            at += 1
        elif char == "[":
            in_class = True
        elif char == "]":
            in_class = False
        elif char == "(" and not in_class:
            depth += 1
        elif char == ")" and not in_class:
            depth -= 1
            if not depth:
                return at
        at += 1
    return len(regex)


def _methods(view: Any) -> tuple[str, ...]:
    """Tell the methods of a view; nothing where Django does not know them, as for most functions."""
    actions = getattr(view, "actions", None)  # a viewset of REST framework
    if actions:
        return tuple(method for method in _METHODS if method in actions)
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if cls is not None:
        allowed = getattr(view, "view_initkwargs", {}).get("http_method_names", cls.http_method_names)
        return tuple(method for method in _METHODS if method in allowed and hasattr(cls, method))
    while view is not None:
        # require_http_methods() keeps its list in a closure (Django 5.2, views/decorators/http.py).
        names = inspect.getclosurevars(view).nonlocals if inspect.isfunction(view) else {}
        if "request_method_list" in names:
            methods = {method.lower() for method in names["request_method_list"]}
            return tuple(method for method in _METHODS if method in methods)
        view = getattr(view, "__wrapped__", None)
    return ()
