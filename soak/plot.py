"""The samples as a picture: a column for each server, a row for each series."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from soak.run import ALLOWED, Soaked
from soak.verdict import WARM_UP

mpl.rcParams["svg.hashsalt"] = "bridge"  # the same samples give the same file
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.size"] = 9

_LABELS = {
    "rss": ("resident memory, MiB", 2**-20),
    "threads": ("threads", 1.0),
    "tasks": ("tasks of the loop", 1.0),
    "fds": ("descriptors", 1.0),
    "p99": ("p99 of a request, ms", 1000.0),
}
_COLOUR = "#0b6e4f"


def draw(soaked: list[Soaked], place: Path) -> None:
    """Draw the samples of all servers, and where their warm-up ended."""
    figure, panels = plt.subplots(
        len(ALLOWED), len(soaked), figsize=(4.2 * len(soaked), 8.5), sharex="col", squeeze=False
    )
    for column, one in enumerate(soaked):
        for row, name in enumerate(ALLOWED):
            label, scale = _LABELS[name]
            axes = panels[row][column]
            values = [value * scale for value in one.series[name]]
            axes.plot(one.times, values, color=_COLOUR, linewidth=1)
            axes.axvspan(0, one.times[0] + WARM_UP * (one.times[-1] - one.times[0]), color="#eeeeee")
            axes.set_ylim(0, max(values) * 1.25 or 1)
            axes.set_ylabel(label)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        panels[0][column].set_title(one.server)
        panels[-1][column].set_xlabel("seconds; grey is warm-up")
    figure.tight_layout()
    figure.savefig(place, metadata={"Date": None} if place.suffix == ".svg" else None)
    plt.close(figure)
