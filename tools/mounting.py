"""Mounts each framework in each framework, compares with the child served natively, and writes the page.

`python -m tools.mounting write` runs every cell and writes `docs/reference/mounting.json` and the page;
`render` writes the page from the figures that are there; both fail on a difference that is not declared, and
on a declared one that is gone.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tools.kept_page import keep_page

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT / "docs/reference/mounting.json"
PAGE: Final = ROOT / "docs/reference/mounting.md"
_VERSIONS: Final = ("flask", "werkzeug", "django", "fastapi", "starlette", "uvicorn", "gunicorn")

_HEAD: Final = """# Every framework in every other

`make mounting` wrote this page.
It serves each child natively, then mounted by the helpers of `bridge.integrations`.
It compares status, header fields and body, without the prefix.
Django's own middleware may add fields to what passes through it.
Natively Flask and Django run under gunicorn and FastAPI under uvicorn.

{versions}.

| mark | means |
|---|---|
| ✓ | the same as natively, but for the prefix |
| a number | differs; the reason stands below |
| · | the framework has no such thing |
"""


def run() -> dict[str, Any]:
    """Run every cell."""
    from tests.mounting.matrix import CELLS, differences_of, reason_for

    cells = []
    for cell in CELLS:
        print(f"{cell.server}: {cell.name}", flush=True)
        differences = differences_of(cell)
        probes = {
            probe: {"differences": found, "reason": reason_for(cell, probe)}
            for probe, found in differences.items()
        }
        cells.append({"server": cell.server, "name": cell.name, "probes": probes})
    return {"versions": {name: version(name) for name in _VERSIONS}, "cells": cells}


def problems_of(data: dict[str, Any]) -> list[str]:
    """Name what is not as it is declared."""
    found = []
    for cell in data["cells"]:
        for probe, result in cell["probes"].items():
            where = f"{cell['server']}, {cell['name']}, {probe}"
            if result["differences"] and result["reason"] is None:
                found.append(f"{where}: {'; '.join(result['differences'])}")
            elif result["reason"] is not None and not result["differences"]:
                found.append(f"{where}: declared as different, but it is the same: take the declaration out")
    return found


def render(data: dict[str, Any]) -> str:
    """Give the page."""
    reasons: list[str] = []
    probes = list(dict.fromkeys(probe for cell in data["cells"] for probe in cell["probes"]))
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    parts = [_HEAD.format(versions=versions[0].upper() + versions[1:])]
    for server in dict.fromkeys(cell["server"] for cell in data["cells"]):
        cells = [cell for cell in data["cells"] if cell["server"] == server]
        parts.append(f"## Under {server}\n")
        parts.append("| | " + " | ".join(cell["name"] for cell in cells) + " |")
        parts.append("|---|" + "---|" * len(cells))
        for probe in probes:
            marks = [_mark(cell["probes"].get(probe), reasons) for cell in cells]
            parts.append(f"| {probe} | " + " | ".join(marks) + " |")
        parts.append("")
    if reasons:
        parts.append("## What differs\n")
        parts += [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
        parts.append("")
    return "\n".join(parts)


def _mark(result: dict[str, Any] | None, reasons: list[str]) -> str:
    if result is None:
        return "·"
    if not result["differences"]:
        return "✓"
    reason = result["reason"] or "**not declared**"
    if reason not in reasons:
        reasons.append(reason)
    return str(reasons.index(reason) + 1)


if __name__ == "__main__":
    sys.exit(
        keep_page(
            sys.argv[1:],
            tool="tools.mounting",
            data=DATA,
            page=PAGE,
            run=run,
            render=render,
            problems_of=problems_of,
        )
    )
