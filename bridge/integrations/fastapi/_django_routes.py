"""The patterns of a URLconf as OpenAPI path templates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.urls.converters import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
)

__all__ = ["template_of_patterns"]

_VARIABLE = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")
_SCHEMAS: dict[type, dict[str, Any]] = {
    IntConverter: {"type": "integer", "minimum": 0},
    UUIDConverter: {"type": "string", "format": "uuid"},
    SlugConverter: {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    PathConverter: {"type": "string"},
    StringConverter: {"type": "string"},
}


def template_of_patterns(entries: Sequence[Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Give an OpenAPI template and the schemas of its variables, in order.

    Args:
        entries: what a path passes in the URLconf, the outermost first.
    """
    whole, parameters = "/", dict[str, dict[str, Any]]()
    for entry in entries:
        path, found = _template(entry.pattern, len(parameters))
        whole += path
        parameters |= found
    return whole, parameters


def _template(pattern: Any, known: int) -> tuple[str, dict[str, dict[str, Any]]]:
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
