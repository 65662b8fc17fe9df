"""The routes of a Flask or Django app as OpenAPI paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.adapt import as_wsgi
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.errors import ConfigurationError

__all__ = ["LegacyRoute", "legacy_paths"]


@dataclass(frozen=True)
class LegacyRoute:
    """One rule of a legacy app.

    Attributes:
        path: an OpenAPI template below the app's mount, "/books/{book_id}".
        name: of the rule, the endpoint or view.
        methods: in lower case; empty if the framework does not know.
        parameters: the schema of each variable of the path, by name.
        doc: the docstring of the view.
        rule: as the framework writes it.
    """

    path: str
    name: str
    methods: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    doc: str = ""
    rule: str = ""


def legacy_paths(app: object, prefix: str, tag: str) -> dict[str, dict[str, Any]]:
    """Describe the routes of an app; nothing for one that is neither Flask nor Django.

    Args:
        app: as it was mounted, in whatever adapter.
        prefix: where.
        tag: of every operation.

    Returns:
        OpenAPI path items by path.
    """
    framework, routes = _routes_of(app)
    items: dict[str, dict[str, Any]] = {}
    shapes: dict[str, str] = {}
    for route in routes:
        path = prefix + route.path
        # Two templates that differ only in the names of variables are one path to OpenAPI.
        path = shapes.setdefault(re.sub(r"\{[^}]*\}", "{}", path), path)
        item = items.setdefault(path, {})
        for method in route.methods or ("get",):
            item.setdefault(method, _operation(route, path, method, tag, framework))
    return items


def _operation(route: LegacyRoute, path: str, method: str, tag: str, framework: str) -> dict[str, Any]:
    names = re.findall(r"\{([^}]*)\}", path)
    schemas = dict(zip(names, route.parameters.values(), strict=False))
    summary, _, description = route.doc.strip().partition("\n")
    operation: dict[str, Any] = {
        "tags": [tag],
        "summary": summary.strip() or route.name,
        "operationId": re.sub(r"\W+", "_", f"{tag}_{route.name}_{path}_{method}").strip("_"),
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": dict(schemas.get(name, {"type": "string"})),
            }
            for name in names
        ],
        "responses": {"default": {"description": f"What the {framework} app answers"}},
        "x-legacy": {"framework": framework, "endpoint": route.name, "rule": route.rule},
    }
    if not route.methods:
        operation["x-legacy"]["methods"] = "any"
    if description.strip():
        operation["description"] = description.strip()
    return operation


def _routes_of(app: object) -> tuple[str, Iterable[LegacyRoute]]:
    """Tell the framework by the class, without importing one that the site does not use."""
    try:
        app = as_wsgi(app)
    except ConfigurationError:
        return "", ()
    if isinstance(app, ASGIToWSGI):
        app = app.app
    classes = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(app).__mro__}
    if "flask.app.Flask" in classes:
        from bridge.integrations.fastapi._flask_routes import flask_routes

        return "flask", flask_routes(app)  # type: ignore[arg-type]  # as its class says
    if any(name.startswith("django.") for name in classes):
        from bridge.integrations.fastapi._django_routes import django_routes

        return "django", django_routes()
    return "", ()
