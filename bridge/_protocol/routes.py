"""The routes of an app, read from what its framework keeps; no framework is imported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

__all__ = ["Route", "routes_of"]

_WRAPPERS: Final = frozenset(
    {
        ("bridge.wsgi_to_asgi", "WSGIToASGI"),
        ("bridge.asgi_to_wsgi", "ASGIToWSGI"),
        ("bridge.stack", "Stack"),
        ("bridge.lifespan", "_Wrapped"),
        ("bridge.integrations.fastapi._mount", "_Child"),
        ("bridge.integrations.django._request", "RequestInScope"),
        ("bridge.integrations.django._request", "RequestInEnviron"),
    }
)
_DISPATCHER: Final = frozenset({("werkzeug.middleware.dispatcher", "DispatcherMiddleware")})
_SITE: Final = frozenset({("bridge.site", "Site")})
_NO_PREFIX: Final = ("", "/")


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a site.

    Attributes:
        path: with the prefix of its mount, in the framework's own spelling: `/legacy/user/<int:id>`.
        methods: in order; empty for any, or where the framework does not tell.
        name: what the framework calls it; may be empty.
        owner: the app that it belongs to, as the site was given it: its class, and its name if it has one.
        kind: "http", "websocket", or "opaque" for an app that does not tell its routes, and owns all below.
        host: the pattern of the host that it is mounted on; None for any.
        app: the app that it belongs to.
        view: the function that answers; None where that is not known.
        source: what Flask or Django keeps of it, the outermost first: a Werkzeug rule, or the patterns that a
            path passes in a URLconf. Empty for others, and for what is mounted in the app.
    """

    path: str
    methods: tuple[str, ...]
    name: str
    owner: str
    kind: Literal["http", "websocket", "opaque"]
    host: str | None
    app: Any
    view: Any = field(default=None, repr=False)
    source: tuple[Any, ...] = field(default=(), repr=False)


def routes_of(app: Any, prefix: str, host: str | None, *, keep: bool) -> list[Route]:
    """Read the routes of a mounted app.

    Args:
        app: the app; adapters and stacks are looked through.
        prefix: what stands before each of its paths.
        host: the pattern that it is mounted on.
        keep: whether its paths have the prefix already.
    """
    app = _inmost(app)
    blank = Route("" if keep else prefix, (), "", _label(app), "opaque", host, app)
    found = _read(app, blank)
    return [replace(blank, path=prefix or "/")] if found is None else list(found)


def _inmost(app: Any) -> Any:
    while True:
        if _is_a(app, _WRAPPERS):
            app = app.app
        elif inspect.ismethod(app):  # flask_app.wsgi_app
            app = app.__self__
        else:
            return app


def _is_a(app: Any, classes: frozenset[tuple[str, str]]) -> bool:
    """Tell by names: what is above this module cannot be imported here."""
    return any((cls.__module__, cls.__qualname__) in classes for cls in type(app).__mro__)


def _label(app: Any) -> str:
    cls = type(app) if not inspect.isfunction(app) else app
    title = getattr(app, "import_name", None) or getattr(app, "title", None)
    return f"{cls.__module__}.{cls.__qualname__}" + (f" {title!r}" if isinstance(title, str) else "")


def _read(app: Any, blank: Route) -> Iterable[Route] | None:
    routes: Any = getattr(app, "routes", None)
    if _is_a(app, _SITE):
        return (_below(route, blank) for route in routes())
    if hasattr(getattr(app, "url_map", None), "iter_rules"):
        return _flask(app, blank)
    if any(cls.__module__.startswith("django.core.handlers.") for cls in type(app).__mro__):
        return _django(blank)
    if isinstance(routes, list):
        return _starlette(routes, blank)
    return None


def _mounted(app: Any, blank: Route) -> Iterator[Route]:
    """Read an app that is mounted in another; the routes belong to that one all the same."""
    found = _read(_inmost(app), blank)
    for route in [replace(blank, path=blank.path or "/")] if found is None else found:
        yield replace(route, source=())


def _below(route: Route, blank: Route) -> Route:
    path = blank.path + route.path if route.path not in _NO_PREFIX else blank.path or "/"
    return replace(route, path=path, host=route.host or blank.host, source=())


def _flask(app: Any, blank: Route) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        if not rule.build_only:
            yield replace(
                blank,
                path=blank.path + rule.rule,
                methods=tuple(sorted(rule.methods or ())),
                name=rule.endpoint,
                kind="websocket" if rule.websocket else "http",
                view=app.view_functions.get(rule.endpoint),
                source=(rule,),
            )
    if _is_a(app.wsgi_app, _DISPATCHER):
        for prefix, child in app.wsgi_app.mounts.items():
            yield from _mounted(child, replace(blank, path=blank.path + prefix))


def _starlette(routes: list[Any], blank: Route) -> Iterator[Route]:
    fastapi = sys.modules.get("fastapi.routing")
    # FastAPI keeps an included router whole from 0.140 or so on, and has this to see through it.
    each = getattr(fastapi, "iter_route_contexts", iter)
    for route in each(routes):
        below = replace(blank, path=blank.path + (getattr(route, "path", None) or ""))
        app = getattr(route, "app", None)
        if hasattr(route, "endpoint") and getattr(route, "endpoint", None) is not None:
            methods = getattr(route, "methods", None)
            kind = type(getattr(route, "original_route", route)).__name__
            yield replace(
                below,
                methods=tuple(sorted(methods or ())),
                name=getattr(route, "name", None) or "",
                kind="websocket" if "WebSocket" in kind else "http",
            )
        elif app is not None:  # a Mount or a Host
            host = getattr(route, "host", None)
            inner = replace(below, host=host) if isinstance(host, str) else below
            yield from _mounted(app, inner)


def _django(blank: Route) -> Iterator[Route]:
    urls = sys.modules.get("django.urls")
    if urls is not None:
        for pattern in urls.get_resolver().url_patterns:
            yield from _django_pattern((pattern,), blank)


def _django_pattern(source: tuple[Any, ...], blank: Route) -> Iterator[Route]:
    pattern = source[-1]
    if hasattr(pattern, "url_patterns"):  # include(...)
        for inner in pattern.url_patterns:
            yield from _django_pattern((*source, inner), blank)
        return
    if hasattr(pattern, "mounted"):  # include_asgi(...)
        path = blank.path + _django_path(source[:-1])
        yield from _mounted(pattern.mounted.app, replace(blank, path=path.rstrip("/")))
        return
    spaces = (outer.namespace for outer in source[:-1] if outer.namespace)
    yield replace(
        blank,
        path=blank.path + _django_path(source),
        methods=_django_methods(pattern.callback),
        name=":".join((*spaces, pattern.name)) if pattern.name else "",
        kind="http",
        view=pattern.callback,
        source=source,
    )


def _django_path(source: tuple[Any, ...]) -> str:
    return "/" + "".join(str(entry.pattern) for entry in source)


def _django_methods(view: Any) -> tuple[str, ...]:
    """Tell the methods of a view; nothing where Django does not know them, as for most functions."""
    actions = getattr(view, "actions", None)  # a viewset of REST framework
    if actions:
        return tuple(sorted(name.upper() for name in actions))
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if cls is not None:
        names = getattr(cls, "http_method_names", ())
        names = getattr(view, "view_initkwargs", {}).get("http_method_names", names)
        return tuple(sorted(name.upper() for name in names if hasattr(cls, name)))
    while view is not None:
        # require_http_methods() keeps its list in a closure (Django 5.2, views/decorators/http.py).
        names = inspect.getclosurevars(view).nonlocals if inspect.isfunction(view) else {}
        if "request_method_list" in names:
            return tuple(sorted(name.upper() for name in names["request_method_list"]))
        view = getattr(view, "__wrapped__", None)
    return ()
