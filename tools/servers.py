"""Serves every app with every server, natively and across the bridge, and writes the page.

`python -m tools.servers write` runs every cell and writes `docs/reference/servers.json` and the page;
`render` writes the page from the figures that are there. Both fail where something fails whose reason is not
declared in `tests/matrix/matrix.py`, and where what is declared there works.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tools.kept_page import keep_page

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT / "docs/reference/servers.json"
PAGE: Final = ROOT / "docs/reference/servers.md"
SECONDS: Final = 15 * 60.0
_VERSIONS: Final = (
    "werkzeug", "gunicorn", "gevent", "pyuwsgi", "waitress", "uvicorn", "h11", "httptools", "hypercorn", "h2",
    "daphne", "granian", "flask", "django", "fastapi",
)  # fmt: skip

_HEAD: Final = """# Every server

`make matrix` wrote this page on {date}, with {versions}.
Each app is served natively where the server speaks its protocol, and across the bridge where it does not.
The native apps of a server are the control.
What stands below is what was seen, and why.
The servers run as [how to deploy](../how-to/deploy.md) says.
They are ended by SIGTERM, where no other signal is named.

| mark | means |
|---|---|
| ✓ | works |
| a number | does not; the reason stands below |
| · | the app has no such thing |
"""


def run(seconds: float = SECONDS) -> dict[str, Any]:
    """Run every cell, four at a time.

    Raises:
        TimeoutError: the time was over before the last cell had begun.
    """
    from tests.matrix.kinds import KINDS
    from tests.matrix.matrix import NOT_THERE, Cell, cells_of, results_of

    end = time.monotonic() + seconds

    def result(cell: Cell) -> dict[str, Any]:
        if time.monotonic() > end:
            raise TimeoutError(f"{seconds / 60:.0f} minutes were over before {cell.kind.name}: {cell.app}")
        found = results_of(cell)
        failures = {check: what for check, what in found.items() if what not in (None, NOT_THERE)}
        print(f"{cell.kind.name}: {cell.app}", failures, flush=True)
        return {"server": cell.kind.name, "app": cell.app, "bridged": cell.bridged, "checks": found}

    with ThreadPoolExecutor(4) as runners:
        cells = list(runners.map(result, [cell for kind in KINDS for cell in cells_of(kind)]))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "versions": {name: version(name) for name in _VERSIONS}, "cells": cells}


def problems_of(data: dict[str, Any]) -> list[str]:
    """Name what fails without a declared reason, and the reasons of what does not fail."""
    from tests.matrix.matrix import OF_APPS, OF_SERVERS

    found = []
    stale: set[tuple[str, str]] = {*OF_SERVERS, *OF_APPS}
    for cell, check, failure in _failures(data):
        of_server, of_app = (cell["server"], check), (cell["app"], check)
        natives = [c for c in data["cells"] if c["server"] == cell["server"] and not c["bridged"]]
        worse = cell["bridged"] and any(c["checks"][check] is None for c in natives)
        if of_app in OF_APPS:
            stale.discard(of_app)
        elif of_server in OF_SERVERS and not worse:
            stale.discard(of_server)
        else:
            found.append(f"{cell['server']}, {cell['app']}, {check}: {failure}")
    found += [
        f"{', '.join(key)}: declared as a failure, but it works: take that out" for key in sorted(stale)
    ]
    return found


def _failures(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    from tests.matrix.matrix import NOT_THERE

    for cell in data["cells"]:
        for check, failure in cell["checks"].items():
            if failure not in (None, NOT_THERE):
                yield cell, check, failure


def render(data: dict[str, Any]) -> str:
    """Give the page."""
    from tests.matrix.matrix import OF_APPS, OF_SERVERS

    checks = list(data["cells"][0]["checks"])
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    lines = [_HEAD.format(date=data["date"], versions=versions)]
    lines += ["| server | app | " + " | ".join(checks) + " |", "|---|---|" + "---|" * len(checks)]
    notes: list[str] = []
    numbers: dict[tuple[str, str, str], str] = {}
    for cell, check, failure in _failures(data):
        reason = OF_APPS.get((cell["app"], check)) or OF_SERVERS.get((cell["server"], check), "")
        note = f"Seen: {failure}. {reason}".rstrip()
        if note not in notes:
            notes.append(note)
        numbers[cell["server"], cell["app"], check] = str(notes.index(note) + 1)
    for cell in data["cells"]:
        where = (cell["server"], cell["app"])
        marks = [numbers.get((*where, check), what or "✓") for check, what in cell["checks"].items()]
        name = f"{cell['app']}{', bridged' if cell['bridged'] else ''}"
        lines.append(f"| {cell['server']} | {name} | " + " | ".join(marks) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(
        keep_page(
            sys.argv[1:],
            tool="tools.servers",
            data=DATA,
            page=PAGE,
            run=run,
            render=render,
            problems_of=problems_of,
        )
    )
