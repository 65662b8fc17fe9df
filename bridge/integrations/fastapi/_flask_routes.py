"""The `url_map` of a Flask app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask
from werkzeug.routing import (
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    Rule,
    UnicodeConverter,
    UUIDConverter,
)

from bridge.integrations.fastapi._openapi import LegacyRoute

__all__ = ["flask_routes"]

# What OpenAPI 3.1 has an operation for; OPTIONS and HEAD are the framework's own doing.
_METHODS = ("get", "put", "post", "delete", "patch", "trace")


def flask_routes(app: Flask) -> Iterator[LegacyRoute]:
    """Give the rules of a Flask app, but for redirects, websockets and what is built only."""
    for rule in app.url_map.iter_rules():
        if rule.websocket or rule.build_only or rule.redirect_to is not None:
            continue
        view = app.view_functions.get(rule.endpoint)
        methods = {method.lower() for method in rule.methods or ()}
        yield LegacyRoute(
            path=_template(rule),
            name=rule.endpoint,
            methods=tuple(method for method in _METHODS if method in methods),
            parameters={name: _schema(rule._converters[name]) for name in _variables(rule)},
            doc=getattr(view, "__doc__", None) or "",
            rule=rule.rule,
        )


def _template(rule: Rule) -> str:
    # Traces are pairs of "is a variable" and text; a "|" ends the host part (werkzeug 3.1, routing/rules.py).
    path = "".join(f"{{{part}}}" if is_variable else part for is_variable, part in _path_trace(rule))
    return path if path.startswith("/") else f"/{path}"


def _path_trace(rule: Rule) -> list[tuple[bool, str]]:
    border = rule._trace.index((False, "|"))
    return rule._trace[border + 1 :]


def _variables(rule: Rule) -> list[str]:
    return [part for is_variable, part in _path_trace(rule) if is_variable]


def _schema(converter: BaseConverter) -> dict[str, Any]:
    if isinstance(converter, (IntegerConverter, FloatConverter)):
        schema: dict[str, Any] = {"type": "integer" if isinstance(converter, IntegerConverter) else "number"}
        if converter.min is not None or not converter.signed:
            schema["minimum"] = converter.min or 0
        if converter.max is not None:
            schema["maximum"] = converter.max
        return schema
    if isinstance(converter, UUIDConverter):
        return {"type": "string", "format": "uuid"}
    if isinstance(converter, AnyConverter):
        return {"type": "string", "enum": sorted(converter.items)}
    if isinstance(converter, UnicodeConverter):
        return {"type": "string", "pattern": f"^{converter.regex}$"}
    return {"type": "string"}
