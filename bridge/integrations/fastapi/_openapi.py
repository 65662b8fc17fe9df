"""The routes of a Flask or Django app as OpenAPI paths."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from bridge._protocol.routes import Route, routes_of

__all__ = ["legacy_paths"]

# What OpenAPI 3.1 has an operation for; OPTIONS and HEAD are the framework's own doing.
_METHODS = ("get", "put", "post", "delete", "patch", "trace")


def legacy_paths(app: object, prefix: str, tag: str) -> dict[str, dict[str, Any]]:
    """Describe the routes of an app; nothing for one that is neither Flask nor Django.

    Args:
        app: as it was mounted, in whatever adapter.
        prefix: where.
        tag: of every operation.

    Returns:
        OpenAPI path items by path.
    """
    items: dict[str, dict[str, Any]] = {}
    shapes: dict[str, str] = {}
    for route in routes_of(app, "", None, keep=False):
        framework = _framework(route)
        if not framework:
            continue
        path, schemas = _template(framework, route)
        # Two templates that differ only in the names of variables are one path to OpenAPI.
        path = shapes.setdefault(re.sub(r"\{[^}]*\}", "{}", prefix + path), prefix + path)
        item = items.setdefault(path, {})
        for method in _methods(route):
            item.setdefault(method, _operation(route, framework, path, schemas, method, tag))
    return {path: item for path, item in items.items() if item}


def _framework(route: Route) -> str:
    """Tell whose a route is; empty for one that has no place in the schema.

    What is mounted in the app has a schema of its own.
    """
    if route.kind != "http" or not route.source or getattr(route.source[0], "redirect_to", None) is not None:
        return ""
    return "flask" if hasattr(route.source[0], "rule") else "django"


def _template(framework: str, route: Route) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    """Import only the framework that the site uses."""
    if framework == "flask":
        from bridge.integrations.fastapi._flask_routes import template_of_rule

        return template_of_rule(route.source[0])
    from bridge.integrations.fastapi._django_routes import template_of_patterns

    return template_of_patterns(route.source)


def _methods(route: Route) -> list[str]:
    if not route.methods:  # any
        return ["get"]
    return [method for method in _METHODS if method.upper() in route.methods]


def _operation(
    route: Route,
    framework: str,
    path: str,
    schemas: Mapping[str, Mapping[str, Any]],
    method: str,
    tag: str,
) -> dict[str, Any]:
    names = re.findall(r"\{([^}]*)\}", path)
    by_name = dict(zip(names, schemas.values(), strict=False))
    view = inspect.unwrap(route.view) if route.view is not None else None
    title = route.name or getattr(view, "__name__", type(view).__name__)
    doc = (getattr(getattr(route.view, "view_class", view), "__doc__", None) or "").strip()
    summary, _, description = doc.partition("\n")
    operation: dict[str, Any] = {
        "tags": [tag],
        "summary": summary.strip() or title,
        "operationId": re.sub(r"\W+", "_", f"{tag}_{title}_{path}_{method}").strip("_"),
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": dict(by_name.get(name, {"type": "string"})),
            }
            for name in names
        ],
        "responses": {"default": {"description": f"What the {framework} app answers"}},
        "x-legacy": {"framework": framework, "endpoint": title, "rule": route.path},
    }
    if not route.methods:
        operation["x-legacy"]["methods"] = "any"
    if description.strip():
        operation["description"] = description.strip()
    return operation
