"""Serves every app with every server, natively and across the bridge, and writes the page.

`python -m tools.servers write` runs every cell and writes `docs/reference/servers.json` and the page;
`render` writes the page from the figures that are there. Both fail where a bridged app does worse than the
native ones of the same server and that is not declared, and where what is declared works.
"""

from __future__ import annotations

import datetime
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT / "docs/reference/servers.json"
PAGE: Final = ROOT / "docs/reference/servers.md"
_VERSIONS: Final = (
    "werkzeug", "gunicorn", "gevent", "pyuwsgi", "waitress", "uvicorn", "h11", "httptools", "hypercorn", "h2",
    "daphne", "granian", "flask", "django", "fastapi",
)  # fmt: skip

_HEAD: Final = """# Every server

`make matrix` wrote this page on {date}, with {versions}.
Each app is served natively where the server speaks its protocol, and across the bridge where it does not.
The native apps of a server are the control; where they do better than the bridge, the reason stands below.
Not looked at: threads and tasks that are left at the end.

| mark | means |
|---|---|
| ✓ | works |
| a number | does not; what was seen stands below |
| · | the app has no such thing |
"""


def run() -> dict[str, Any]:
    """Run every cell, four at a time."""
    from tests.matrix.matrix import KINDS, Cell, cells_of, results_of

    def result(cell: Cell) -> dict[str, Any]:
        found = results_of(cell)
        print(
            f"{cell.kind.name}: {cell.app}", {key: value for key, value in found.items() if value}, flush=True
        )
        return {"server": cell.kind.name, "app": cell.app, "bridged": cell.bridged, "checks": found}

    with ThreadPoolExecutor(4) as runners:
        cells = list(runners.map(result, [cell for kind in KINDS for cell in cells_of(kind)]))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "versions": {name: version(name) for name in _VERSIONS}, "cells": cells}


def problems_of(data: dict[str, Any]) -> list[str]:
    """Name what is not as it is declared."""
    from tests.matrix.matrix import KNOWN, OF_APPS

    found = []
    for cell in data["cells"]:
        natives = [c for c in data["cells"] if c["server"] == cell["server"] and not c["bridged"]]
        for check, failure in cell["checks"].items():
            where = (cell["server"], cell["app"], check)
            worse = failure and cell["bridged"] and not any(c["checks"][check] for c in natives)
            if worse and where not in KNOWN and where[1:] not in OF_APPS:
                found.append(f"{', '.join(where)}: {failure}")
            if where in KNOWN and not failure:
                found.append(f"{', '.join(where)}: declared as a failure, but it works: take that out")
    return found


def render(data: dict[str, Any]) -> str:
    """Give the page."""
    from tests.matrix.matrix import KNOWN, OF_APPS

    checks = list(data["cells"][0]["checks"])
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    lines = [_HEAD.format(date=data["date"], versions=versions)]
    lines += ["| server | app | " + " | ".join(checks) + " |", "|---|---|" + "---|" * len(checks)]
    notes: list[str] = []
    for cell in data["cells"]:
        marks = []
        for check, failure in cell["checks"].items():
            if check == "lifespan once" and cell["app"] != "fastapi":
                marks.append("·")
            elif failure is None:
                marks.append("✓")
            else:
                reason = KNOWN.get((cell["server"], cell["app"], check))
                if cell["bridged"]:
                    reason = reason or OF_APPS.get((cell["app"], check))
                note = f"Seen: {failure}." + (f" {reason}" if reason else "")
                if note not in notes:
                    notes.append(note)
                marks.append(str(notes.index(note) + 1))
        name = f"{cell['app']}{', bridged' if cell['bridged'] else ''}"
        lines.append(f"| {cell['server']} | {name} | " + " | ".join(marks) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Run or render; 1 on a difference between what is declared and what is."""
    if arguments == ["write"]:
        DATA.write_text(json.dumps(run(), indent=1) + "\n", "utf-8")
    elif arguments != ["render"]:
        print("usage: python -m tools.servers write|render")
        return 2
    data = json.loads(DATA.read_text("utf-8"))
    PAGE.write_text(render(data), "utf-8")
    problems = problems_of(data)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
