"""The rules of a Flask app as OpenAPI path templates."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import (
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    Rule,
    UnicodeConverter,
    UUIDConverter,
)

__all__ = ["template_of_rule"]


def template_of_rule(rule: Rule) -> tuple[str, dict[str, dict[str, Any]]]:
    """Give an OpenAPI template and the schemas of its variables, in order."""
    # Traces are pairs of "is a variable" and text; a "|" ends the host part (werkzeug 3.1, routing/rules.py).
    trace = rule._trace[rule._trace.index((False, "|")) + 1 :]
    path = "".join(f"{{{part}}}" if is_variable else part for is_variable, part in trace)
    parameters = {part: _schema(rule._converters[part]) for is_variable, part in trace if is_variable}
    return path if path.startswith("/") else f"/{path}", parameters


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
