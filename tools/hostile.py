"""Sends hostile requests to every server, and writes the page of who refuses them.

`python -m tools.hostile write` sends them and writes `docs/reference/hostile-input.json` and the page;
`render` writes the page from what is there. Both fail where an app got something else than one clear request
and no reason is declared in `tests/hostile/declared.py`, and where what is declared there was not seen.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tools.kept_page import keep_page

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT / "docs/reference/hostile-input.json"
PAGE: Final = ROOT / "docs/reference/hostile-input.md"
SERVERS: Final = {
    "uvicorn": "uvicorn",
    "uvicorn-h11": "h11",
    "hypercorn": "hypercorn",
    "daphne": "daphne",
    "granian": "granian",
    "gunicorn": "gunicorn",
    "waitress": "waitress",
    "granian-wsgi": "granian WSGI",
    "uwsgi": "uWSGI",
    "werkzeug": "Werkzeug",
}
"""The column of each server by its name in `tests.support.servers.COMMANDS`."""

_VERSIONS: Final = (
    "uvicorn", "httptools", "h11", "hypercorn", "daphne", "granian", "gunicorn", "waitress", "pyuwsgi",
    "werkzeug",
)  # fmt: skip

_HEAD: Final = """# Hostile requests

`make hostile` wrote this page on {date}, with {versions}.
The same bytes went to each server over a socket, from 127.0.0.1.
The first five serve a WSGI app through `WSGIToASGI`: uvicorn with httptools and with h11.
The others serve an ASGI app through `ASGIToWSGI`: uWSGI with `--http-socket`.
All have their default settings.
What to make of it is in [the threat model](../explanation/security.md).

| mark | means |
|---|---|
| s | the server refuses it before the app is called: 4xx, 5xx or an end without a word |
| b | the bridge refuses it before the app is called |
| cut | the app is called, and its reading of the body fails; the client gets no answer of the app |
| ok | the app gets one clear request |
| wait | the server waits for more, and calls no app |
| a number | the app gets something else; the reason stands below |
"""


def run() -> dict[str, Any]:
    """Send every case to every server, three servers at a time."""
    with ThreadPoolExecutor(3) as runners:
        cells = [cell for cells in runners.map(_cells_of, SERVERS) for cell in cells]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "versions": {name: version(name) for name in _VERSIONS}, "cells": cells}


def _cells_of(server: str) -> list[dict[str, str]]:
    from tests.hostile.cases import CASES
    from tests.hostile.verdict import try_case
    from tests.servers.fixtures import running_site

    cells = []
    with tempfile.TemporaryDirectory() as folder, running_site(server, Path(folder, "port")) as site:
        for number, case in enumerate(CASES):
            verdict = try_case(site, case, f"case{number}")
            print(f"{server}: {case.name}: {verdict.mark} {verdict.seen}", flush=True)
            cells.append({"server": server, "case": case.name, "mark": verdict.mark, "seen": verdict.seen})
    return cells


def problems_of(data: dict[str, Any]) -> list[str]:
    """Name the harm that is not declared, and what is declared and was not seen."""
    from tests.hostile.declared import DECLARED

    harm = {(cell["server"], cell["case"]): cell["seen"] for cell in data["cells"] if cell["mark"] == "harm"}
    found = []
    for (server, case), seen in harm.items():
        declared = DECLARED.get((server, case))
        if declared is None:
            found.append(f"{server}, {case}: {seen}")
        elif seen != declared.seen:
            found.append(f"{server}, {case}: {seen}, and declared is: {declared.seen}")
    stale = [(server, case) for server, case in DECLARED if (server, case) not in harm]
    return found + [f"{server}, {case}: declared, but not so: take that out" for server, case in stale]


def render(data: dict[str, Any]) -> str:
    """Give the page."""
    from tests.hostile.declared import DECLARED

    marks: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for cell in data["cells"]:
        mark = cell["mark"]
        if mark == "harm":
            declared = DECLARED.get((cell["server"], cell["case"]))
            note = f"Seen: {cell['seen']}. {declared.why if declared else '**Not declared.**'}"
            if note not in notes:
                notes.append(note)
            mark = str(notes.index(note) + 1)
        marks.setdefault(cell["case"], {})[cell["server"]] = mark
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    lines = [_HEAD.format(date=data["date"], versions=versions)]
    lines += ["| | " + " | ".join(SERVERS.values()) + " |", "|---|" + "---|" * len(SERVERS)]
    lines += [
        f"| {case} | " + " | ".join(row[kind] for kind in SERVERS) + " |" for case, row in marks.items()
    ]
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(
        keep_page(
            sys.argv[1:],
            tool="tools.hostile",
            data=DATA,
            page=PAGE,
            run=run,
            render=render,
            problems_of=problems_of,
        )
    )
