"""What a stack of layers costs: where it crosses from one protocol to the other, and what would save it.

A request passes the layers from the outermost to the innermost. Between two layers of one kind nothing is
needed; between two of different kinds stands one adapter. So the order alone decides on the number of
crossings, and only another order can save one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge._protocol.kind import Side

__all__ = ["Crossing", "Layer", "Plan", "Saving", "plan_of"]

_ADAPTERS: Final[dict[Side, str]] = {"asgi": "WSGIToASGI", "wsgi": "ASGIToWSGI"}
_SERVERS: Final[dict[Side, str]] = {"asgi": "ASGI server", "wsgi": "WSGI server"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One middleware, or the app itself.

    Attributes:
        name: where it was defined: `werkzeug.middleware.proxy_fix.ProxyFix`.
        kind: the protocol that it speaks.
    """

    name: str
    kind: Side


@dataclass(frozen=True, slots=True)
class Crossing:
    """One adapter between two layers.

    Attributes:
        adapter: the name of its class.
        outside: the name of the layer that calls it, or of the server.
        inside: the name of the layer that it calls.
        position: the index of the layer inside.
    """

    adapter: str
    outside: str
    inside: str
    position: int


@dataclass(frozen=True, slots=True)
class Saving:
    """One middleware at another place, for fewer crossings.

    Attributes:
        layer: the name of the middleware.
        inside: whether it goes inside the layer `of`, or else around it.
        of: the name of the layer that it passes last on its way.
        crossings: how many are left.
    """

    layer: str
    inside: bool
    of: str
    crossings: int

    def __str__(self) -> str:
        side = "inside" if self.inside else "around"
        return f"{self.layer} {side} {self.of}: {_count(self.crossings)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request passes on its way in.

    Attributes:
        face: the kind of the server.
        layers: from the outermost to the app.
        crossings: in the same order; the least that this order allows.
        saving: the other place of one middleware that saves the most; None if none saves any.
    """

    face: Side
    layers: tuple[Layer, ...]
    crossings: tuple[Crossing, ...]
    saving: Saving | None

    def to_dict(self) -> dict[str, Any]:
        """Give the plan in plain lists, dicts, strings and numbers, as JSON has them."""
        saving = self.saving
        return {
            "face": self.face,
            "layers": [{"name": layer.name, "kind": layer.kind} for layer in self.layers],
            "crossings": [
                {"adapter": c.adapter, "outside": c.outside, "inside": c.inside, "position": c.position}
                for c in self.crossings
            ],
            "saving": None
            if saving is None
            else {
                "layer": saving.layer,
                "place": "inside" if saving.inside else "around",
                "of": saving.of,
                "crossings": saving.crossings,
            },
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        server = f"{'an' if self.face == 'asgi' else 'a'} {_SERVERS[self.face]}"
        yield f"{_count(len(self.crossings))} under {server}, outermost first:"
        at = {crossing.position: crossing for crossing in self.crossings}
        for position, layer in enumerate(self.layers):
            if position in at:
                yield f"   --  {at[position].adapter}"
            yield f"  {layer.kind}  {layer.name}"
        if self.saving is not None:
            yield f"To save {len(self.crossings) - self.saving.crossings}, put {self.saving}."


def plan_of(face: Side, layers: Sequence[Layer]) -> Plan:
    """Plan a stack.

    Args:
        face: the kind of the server.
        layers: from the outermost to the app, which stands last and stays there.
    """
    return Plan(face, tuple(layers), tuple(_crossings(face, layers)), _best_saving(face, layers))


def _crossings(face: Side, layers: Sequence[Layer]) -> Iterator[Crossing]:
    outside, kind = _SERVERS[face], face
    for position, layer in enumerate(layers):
        if layer.kind != kind:
            yield Crossing(_ADAPTERS[kind], outside, layer.name, position)
        outside, kind = layer.name, layer.kind


def _count_crossings(face: Side, layers: Sequence[Layer]) -> int:
    return sum(1 for _ in _crossings(face, layers))


def _best_saving(face: Side, layers: Sequence[Layer]) -> Saving | None:
    """Try each middleware at each other place; the fewest crossings win, then the shortest way."""
    best: tuple[int, int, Saving] | None = None
    now = _count_crossings(face, layers)
    movable = len(layers) - 1
    for start in range(movable):
        for end in range(movable):
            others = [*layers[:start], *layers[start + 1 :]]
            crossings = _count_crossings(face, [*others[:end], layers[start], *others[end:]])
            way = abs(end - start)
            if crossings < now and (best is None or (crossings, way) < best[:2]):
                saving = Saving(layers[start].name, end > start, layers[end].name, crossings)
                best = (crossings, way, saving)
    return None if best is None else best[2]


def _count(crossings: int) -> str:
    return "1 crossing" if crossings == 1 else f"{crossings or 'no'} crossings"
