"""The results as SVG pictures: bars against a target, and curves of growth."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.measure import Case
from benchmarks.report import RESULTS, TITLES, Results, labelled, number

mpl.rcParams["svg.hashsalt"] = "bridge"  # the same results give the same file
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.size"] = 9

_COLOURS = {
    "bridge": "#0b6e4f",
    "a2wsgi": "#c1666b",
    "asgiref": "#d4b483",
    "starlette": "#8d6b94",
    "uvicorn": "#6c7a89",
    "hypercorn": "#48a9a6",
}
_BASELINE = "#bbbbbb"
_LABEL_COLUMNS = 26
_OTHERS = ["#4a6fa5", "#e0a458", "#7d8491", "#a26769", "#5b8e7d"]


def draw(results: Results) -> dict[str, Path]:
    """Draw one picture for each measure, and give their places."""
    places: dict[str, Path] = {}
    for measure in results.measures():
        cases = results.of(measure)
        sketch: Callable[[str, list[Case]], Any] = _curves if measure == "P11" else _bars
        figure = sketch(measure, cases)
        place = RESULTS / f"{measure.lower()}.svg"
        figure.savefig(place, metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
        places[measure] = place
    return places


def _bars(measure: str, cases: list[Case]) -> Any:
    """Draw a panel for each baseline or unit, a group of bars for each case, a line for each target."""
    names = list(dict.fromkeys(name for case in cases for name in case.samples))
    figure, axes = plt.subplots(figsize=(1.6 + max(4.0, 1.1 * len(cases) * len(names) ** 0.5), 3.6))
    width = 0.8 / len(names)
    colours = _colours(names, {case.baseline for case in cases})
    highest, lowest = 0.0, float("inf")
    for place, name in enumerate(names):
        for group, case in enumerate(cases):
            spread = None if name not in case.samples else case.raw(name)
            if case.baseline is not None:
                spread = case.ratio(name)
            if spread is None:
                continue
            at = group + (place - (len(names) - 1) / 2) * width
            error = [[spread.middle - spread.low], [spread.high - spread.middle]]
            axes.bar(
                at, spread.middle, width * 0.92, color=colours[name], label=name, yerr=error, ecolor="#555555"
            )
            axes.annotate(
                number(spread.middle), (at, spread.high), ha="center", va="bottom", fontsize=6.5, rotation=90
            )
            highest, lowest = max(highest, spread.high), min(lowest, spread.low)
    for group, case in enumerate(cases):
        if case.target is not None:
            line = axes.hlines(case.target, group - 0.45, group + 0.45, colors="#d00000", linestyles="dashed")
            line.set_label("target")
            highest, lowest = max(highest, case.target), min(lowest, case.target)
    if lowest > 0 and highest / lowest > 12:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 2, highest * 3)
    else:
        axes.set_ylim(0, highest * 1.25)
    axes.set_xticks(range(len(cases)), [_lines(labelled(case, cases)) for case in cases])
    units = " or ".join(dict.fromkeys(case.unit for case in cases))
    axes.set_ylabel(units if cases[0].baseline is None else f"÷ {cases[0].baseline}")
    better = "less" if cases[0].sense == "at most" else "more"
    axes.set_title(f"{measure}: {TITLES[measure]} ({better} is better)")
    _legend(axes)
    return figure


def _lines(label: str) -> str:
    """Break a label into lines that leave the next one its place."""
    return "\n".join(textwrap.fill(part, _LABEL_COLUMNS) for part in label.replace(", ", ",\n").splitlines())


def _curves(measure: str, cases: list[Case]) -> Any:
    """Draw growth: a panel for each thing that grows, a curve for each contestant.

    A case is named "thing: amount".
    """
    things = list(dict.fromkeys(case.name.partition(": ")[0] for case in cases))
    figure, panels = plt.subplots(
        -(-len(things) // 3), 3, figsize=(12, 3.3 * -(-len(things) // 3)), squeeze=False
    )
    for axes, thing in zip(panels.flat, things, strict=False):
        own = [case for case in cases if case.name.partition(": ")[0] == thing]
        names = list(dict.fromkeys(name for case in own for name in case.samples))
        colours = _colours(names, set())
        for name in names:
            points = [(float(c.name.partition(": ")[2]), c.raw(name)) for c in own if name in c.samples]
            amounts = [amount for amount, _ in points]
            axes.plot(amounts, [s.middle for _, s in points], "o-", ms=3, color=colours[name], label=name)
            axes.fill_between(
                amounts,
                [s.low for _, s in points],
                [s.high for _, s in points],
                color=colours[name],
                alpha=0.15,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(thing)
        axes.set_ylabel(own[0].unit)
        axes.legend(fontsize=7)
    figure.suptitle(f"{measure}: {TITLES[measure]}")
    figure.tight_layout()
    return figure


def _colours(names: list[str], baselines: set[str | None]) -> dict[str, str]:
    others = iter(_OTHERS * len(names))
    return {name: _COLOURS.get(name) or (_BASELINE if name in baselines else next(others)) for name in names}


def _legend(axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
