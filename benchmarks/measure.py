"""What a measurement is: samples of several contestants, taken in turn, and a target for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Literal, TypeAlias

from benchmarks.peers import US

Contestants: TypeAlias = "dict[str, Callable[[], float]]"
"""What takes one sample, by the name of who is measured."""


@dataclass
class Spread:
    """The median of several rounds, and the quartiles."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)


@dataclass
class Case:
    """One line of the results.

    Attributes:
        measure: P1 to P14, as in the targets.
        name: what is varied within the measure.
        unit: of the samples.
        baseline: the contestant that the others are divided by; None where the target is for the sample.
        target: what ours is to reach; None where it is only watched.
        sense: whether the target is the most or the least.
        samples: by contestant, one a round, in the order of the rounds.
    """

    measure: str
    name: str
    unit: str
    baseline: str | None = None
    target: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, contestant: str, value: float) -> None:
        self.samples.setdefault(contestant, []).append(value)

    def raw(self, contestant: str) -> Spread:
        return Spread.of(self.samples[contestant])

    def ratio(self, contestant: str) -> Spread | None:
        """Divide by the baseline round by round, so that a slow minute of the machine cancels out."""
        if self.baseline is None or self.baseline not in self.samples or contestant not in self.samples:
            return None
        pairs = zip(self.samples[contestant], self.samples[self.baseline], strict=True)
        return Spread.of([own / other for own, other in pairs])

    def judged(self) -> Spread | None:
        """Give what the target is compared with."""
        if US not in self.samples:
            return None
        return self.raw(US) if self.baseline is None else self.ratio(US)

    def met(self) -> bool | None:
        """Tell whether the target is met; None if there is none, or no baseline."""
        judged = self.judged()
        if judged is None or self.target is None:
            return None
        return judged.middle <= self.target if self.sense == "at most" else judged.middle >= self.target

    def as_json(self) -> dict[str, Any]:
        contestants = {}
        for name, samples in self.samples.items():
            ratio = self.ratio(name)
            contestants[name] = {
                "median": self.raw(name).middle,
                "ratio": None if ratio is None else vars(ratio),
                "samples": samples,
            }
        return {
            "measure": self.measure,
            "case": self.name,
            "unit": self.unit,
            "baseline": self.baseline,
            "target": self.target,
            "sense": self.sense,
            "met": self.met(),
            "contestants": contestants,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        samples = {name: list(one["samples"]) for name, one in data["contestants"].items()}
        return cls(
            data["measure"],
            data["case"],
            data["unit"],
            data["baseline"],
            data["target"],
            data["sense"],
            samples,
        )


def rotated(contestants: Iterable[str], turn: int) -> list[str]:
    """Give the names in an order that begins elsewhere each round."""
    names = list(contestants)
    turn %= len(names)
    return names[turn:] + names[:turn]


def take_turns(case: Case, contestants: Contestants, turn: int) -> None:
    """Measure each contestant once."""
    for name in rotated(contestants, turn):
        case.add(name, contestants[name]())
