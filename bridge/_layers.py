"""Builds the layers of a stack from the inside out, with an adapter where two kinds meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from bridge._protocol.entry import check_made, entry_from, kind_of_entry
from bridge._protocol.kind import Side
from bridge._protocol.plan import Layer
from bridge._runtime.fanout import Startable, StartOnce, StartsInside
from bridge._runtime.naming import name_of
from bridge.adapt import TwoFaced, as_asgi, as_wsgi, detect
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.types import ASGIApp, WSGIApp
from bridge.wsgi_to_asgi import WSGIToASGI

__all__ = ["Core", "core_of", "started_with", "wrap"]


@dataclass(frozen=True, slots=True)
class Core:
    """What has been built so far.

    Attributes:
        app: the outermost layer.
        kind: its kind; None if it has a face of either.
        layers: from the outermost to the app. What the last speaks has no meaning if `kind` is None.
        adapter: how the user wants the next crossing made: the class, and what makes it.
        inside: what an outer `WSGIToASGI` has to start, since no lifespan comes through WSGI layers.
    """

    app: Any
    kind: Side | None
    layers: tuple[Layer, ...]
    adapter: tuple[type, Callable[[Any], Any]] | None = None
    inside: tuple[Startable, ...] = ()

    def asgi(self) -> ASGIApp:
        """Give it as ASGI; an adapter is made if it is WSGI."""
        if self.kind is None:
            return cast("TwoFaced", self.app).asgi
        if self.kind == "asgi":
            return cast("ASGIApp", self.app)
        adapter: ASGIApp = self._cross(WSGIToASGI)
        return StartsInside(adapter, self.inside) if self.inside else adapter

    def wsgi(self) -> WSGIApp:
        """Give it as WSGI; an adapter is made if it is ASGI."""
        if self.kind is None:
            return cast("TwoFaced", self.app).wsgi
        if self.kind == "wsgi":
            return cast("WSGIApp", self.app)
        adapter: WSGIApp = self._cross(ASGIToWSGI)
        return adapter

    def _cross(self, cls: type) -> Any:
        if self.adapter is not None and issubclass(self.adapter[0], cls):
            return self.adapter[1](self.app)
        return cls(self.app)

    def seen_from(self, kind: Side) -> tuple[Layer, ...]:
        """Give the layers as they are under a layer, or a server, of some kind."""
        return self.layers if self.kind is not None else (replace(self.layers[0], kind=kind),)


def core_of(app: Any) -> Core:
    """Begin with an app, freed of an adapter, which is kept for where it is needed.

    Raises:
        ConfigurationError: the kind of the app cannot be told.
    """
    if (whole := TwoFaced.of(app)) is not None:
        return Core(whole, None, (Layer(name_of(whole), "asgi"),))
    if isinstance(app, ASGIToWSGI):
        return Core(app.app, "asgi", (Layer(name_of(app.app), "asgi"),), (type(app), lambda _: app))
    if isinstance(app, WSGIToASGI):
        return Core(app.app, "wsgi", (Layer(name_of(app.app), "wsgi"),), (type(app), lambda _: app))
    if detect(app) == "wsgi":
        return Core(as_wsgi(app), "wsgi", (Layer(name_of(app), "wsgi"),))
    return Core(as_asgi(app), "asgi", (Layer(name_of(app), "asgi"),))


def wrap(core: Core, value: Any) -> Core:
    """Put one middleware around what has been built; an adapter waits for a place where it is needed.

    Args:
        core: what has been built.
        value: an entry, as `Stack` takes it.

    Raises:
        ConfigurationError: see `Stack`.
    """
    entry = entry_from(value)
    if isinstance(entry.factory, type) and issubclass(entry.factory, ASGIToWSGI | WSGIToASGI):
        return replace(core, adapter=(entry.factory, entry.make))
    kind = kind_of_entry(entry)
    inner = core.asgi() if kind == "asgi" else core.wsgi()
    made = entry.make(inner)
    check_made(entry, kind, made)
    return Core(
        made, kind, (Layer(entry.name, kind), *core.seen_from(kind)), inside=started_with(core, inner)
    )


def started_with(core: Core, face: object) -> tuple[Startable, ...]:
    """Say what has to be started before requests reach a face of what has been built, the first first."""
    if isinstance(face, StartsInside):
        return ()  # a lifespan comes this far through ASGI layers, and from here it is seen to
    if isinstance(face, ASGIToWSGI):
        return (*core.inside, face)
    if core.kind is None and isinstance(face, StartOnce):  # the WSGI face of a site
        return (face,)
    return core.inside
