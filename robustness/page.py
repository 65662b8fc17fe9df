"""The results as a page: a table for each direction and group, what was seen below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from robustness.contestants import ASGI_TO_WSGI, WSGI_TO_ASGI

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs/reference"
DATA: Final = FOLDER / "robustness.json"
PAGE: Final = FOLDER / "robustness.md"
SOAK: Final = FOLDER / "soak.json"
FUZZ: Final = FOLDER / "fuzz.json"

_DIRECTIONS: Final = {
    "wsgi_to_asgi": ("A WSGI app under uvicorn", WSGI_TO_ASGI),
    "asgi_to_wsgi": ("An ASGI app under gunicorn", ASGI_TO_WSGI),
}
_GROUPS: Final = {
    "load": "Load held",
    "faults": "Faults survived",
    "lost": "Nothing lost",
    "inputs": "Bad inputs",
}
_ABOUT: Final = {
    "load": "Each on a fresh server, with the defaults of the bridge.",
    "faults": "Each on a fresh server: the client is told, and the same process serves the next request.",
    "lost": "Small requests, uploads, streams, downloads, failures and clients that leave, each answer "
    "checked: the mix of the soak, without WebSockets.",
    "inputs": "Given to the bridge as a server hands it on that does not look: some servers refuse "
    "what others let pass.",
}

_NOT_TRIED: Final = (
    "Clients that do not read a whole response are not tried here: gunicorn's own threads write it, so such "
    "clients take them from any app, and no bridge can hold."
)


def page(data: dict[str, Any]) -> str:
    """Write the page."""
    parts = [
        "# Robustness",
        f"`make robustness` wrote this page on {data['date']}, on CPython {data['python']}, with "
        + ", ".join(f"{name} {version}" for name, version in data["versions"].items())
        + ".\nThe cases are the same for the bridge and for each peer.",
        _totals(data["results"]),
    ]
    for direction, (title, contestants) in _DIRECTIONS.items():
        parts.append(f"## {title}")
        for group, heading in _GROUPS.items():
            found = [one for one in data["results"] if (one["direction"], one["group"]) == (direction, group)]
            parts += [f"### {heading}: {title[0].lower()}{title[1:]}", _ABOUT[group]]
            if (direction, group) == ("asgi_to_wsgi", "load"):
                parts.append(_NOT_TRIED)
            parts += [_table(found, contestants), _seen(found, contestants)]
    parts += _soaked() if SOAK.exists() else []
    parts += _fuzzed() if FUZZ.exists() else []
    return "\n\n".join(parts) + "\n"


def _totals(results: list[dict[str, Any]]) -> str:
    rows = ["| | " + " | ".join(_GROUPS.values()) + " |", "|---|" + "---|" * len(_GROUPS)]
    for direction, (title, contestants) in _DIRECTIONS.items():
        for contestant in contestants:
            cells = []
            for group in _GROUPS:
                found = [
                    one["held"]
                    for one in results
                    if (one["direction"], one["group"], one["contestant"]) == (direction, group, contestant)
                ]
                cells.append(f"{sum(found)} of {len(found)}")
            rows.append(f"| {title}: {contestant} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _table(found: list[dict[str, Any]], contestants: tuple[str, ...]) -> str:
    held = {(one["case"], one["contestant"]): one["held"] for one in found}
    rows = ["| | " + " | ".join(contestants) + " |", "|---|" + "---|" * len(contestants)]
    rows += [
        f"| {case} | " + " | ".join("✓" if held[case, name] else "✗" for name in contestants) + " |"
        for case in dict.fromkeys(one["case"] for one in found)
    ]
    return "\n".join(rows)


def _seen(found: list[dict[str, Any]], contestants: tuple[str, ...]) -> str:
    return "\n".join(_lines(found, contestants))


def _lines(found: list[dict[str, Any]], contestants: tuple[str, ...]) -> Iterator[str]:
    said = {(one["case"], one["contestant"]): one["said"] for one in found}
    for case in dict.fromkeys(one["case"] for one in found):
        yield f"- {case[0].upper()}{case[1:]}:"
        yield from (f"  - {name}: {said[case, name]}" for name in contestants)


def _soaked() -> list[str]:
    data = json.loads(SOAK.read_text("utf-8"))
    head = ["server", "seconds", "requests", "wrong answers", "lost", "grew", "left at the end"]
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in data["servers"]:
        counts = one["counts"]
        grew = [name for name, trend in one["trends"].items() if trend["growth"] > trend["allowed"]]
        left = [f"{count:g} {name}" for name, count in one["left"].items() if count]
        cells = [one["server"], f"{one['seconds']:.0f}", f"{one['requests']:,}".replace(",", " ")]
        cells += [str(counts["wrong_answers"]), str(counts["lost_requests"])]
        cells += [", ".join(grew) or "nothing", ", ".join(left) or "nothing"]
        rows.append("| " + " | ".join(cells) + " |")
    said = (
        f"`make soak` on {data['date']}: requests, streams, uploads, downloads, WebSockets, failures and "
        "clients that leave, twelve at a time, each answer checked.\n"
        "Memory, threads, tasks, descriptors and the p99 of a small request have to be flat after the "
        "warm-up."
    )
    picture = "![what the servers held over time](soak.svg)"
    return ["## Soak", said, "\n".join(rows), *([picture] if (FOLDER / "soak.svg").exists() else [])]


def _fuzzed() -> list[str]:
    """Show what `make fuzz` has left: figures by name, those of a target in a line of a table."""
    data = json.loads(FUZZ.read_text("utf-8"))
    targets = {name: value for name, value in data.items() if isinstance(value, dict)}
    columns = list(dict.fromkeys(key for value in targets.values() for key in value))
    plain = [f"- {name}: {value}" for name, value in data.items() if name not in targets]
    rows = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    rows += [
        f"| {name} | " + " | ".join(str(value.get(column, "")) for column in columns) + " |"
        for name, value in targets.items()
    ]
    parts = ["\n".join(plain)] if plain else []
    return [
        "## Fuzzing",
        "What `make fuzz` tried and found.",
        *parts,
        *(["\n".join(rows)] if targets else []),
    ]
