"""The results as JSON, as Markdown tables, and as the page of the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from benchmarks import peers
from benchmarks.measure import Case, Spread

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LATEST = RESULTS / "latest.json"
SCRATCH = RESULTS / "scratch.json"
PAGE = ROOT / "docs" / "reference" / "performance.md"

TITLES = {
    "P1": "a WSGI app as ASGI, in process",
    "P2": "an ASGI app as WSGI, in process",
    "P3": "Flask hello under one process, requests per second against gunicorn gthread",
    "P4": "the same against granian",
    "P5": "the same, 99th percentile of the latency against gunicorn gthread",
    "P6": "FastAPI hello under gunicorn gthread against a native WSGI hello there",
    "P7": "100-byte blocks streamed per second, in process, against a2wsgi",
    "P8": "large bodies in blocks of 64 KiB against the native server",
    "P9": "memory",
    "P10": "import",
    "P11": "growth",
    "P12": "a health endpoint beside a slow WSGI app on the same loop",
    "P13": "what watching costs: an adapter with `measure=True` against one without",
    "P14": "echo of 100-byte messages over one WebSocket, against the app on a server of its own kind",
}

NOTES = {
    "P1": "Time of one request, divided by that of a bare "
    "`loop.run_in_executor(pool, app, environ, start_response)` with a pool of 40 threads. Less is better.",
    "P2": "Time of one request, divided by that of a bare "
    "`asyncio.run_coroutine_threadsafe(app(scope, receive, send), loop).result()`. Less is better.",
    "P3": "`wrk` with 16 connections; one process each. The bridge and a2wsgi under uvicorn. "
    "Floor: the app called on uvicorn's loop itself, without thread, translation or rule. More is better.",
    "P4": "The samples of P3, divided by those of granian, a server written in Rust. More is better.",
    "P5": "The same runs. Less is better.",
    "P6": "`wrk` with 16 connections; gunicorn gthread with 16 threads for all of them. "
    "Floor: FastAPI by a bare `run_coroutine_threadsafe`, without a translation or a rule. More is better.",
    "P7": "One response of many blocks, each given away as soon as it is made. More is better.",
    "P8": "A WSGI app bridged under uvicorn against a native ASGI app there, an ASGI app bridged under "
    "gunicorn against a native WSGI app there; each block is a new one. "
    "Floor: the app in a thread, or on a loop, with four blocks between it and the server and nothing else. "
    "More is better.",
    "P9": "Growth of the server while a client has asked for 1 GiB and reads nothing for a second, and "
    "memory of each request while 1 000 are pending, with the threads that wait. Less is better.",
    "P10": "Milliseconds that an import adds to an interpreter that has imported asyncio. Less is better.",
    "P11": "Time of one request; the plot shows how it grows.",
    "P12": "Milliseconds. Less is better.",
    "P13": "`wrk` with 16 connections; one process each. More is better.",
    "P14": "Round trips a second of the `websockets` client. More is better.",
}

REASONS = {
    "P1": "where a loop does little else, a bare hop is nearly as cheap as the Python that applies the rules "
    "to a request: 22 to 26 µs for the hop against 20 µs without any thread, 32 in flight under uvloop.",
    "P2": "the bridge wakes as often as the bare call, once in each direction, and translates besides.",
    "P3": "Flask itself is the larger part of a request. Called on the loop, without a bridge: the floor.",
    "P4": "granian parses and writes HTTP in Rust, beside the thread that runs Flask.",
    "P6": "FastAPI and its trip to a loop and back cost more than a plain WSGI app and its server. "
    "A bare `run_coroutine_threadsafe` is the floor.",
    "P8": "a native app writes from the thread that made the block; here each block is handed to another "
    "thread. That alone is the floor. The floor of an upload gives its app what came, of whatever size; "
    "`read(65536)` of PEP 3333 copies it.",
    "P10": "it is the code of both adapters, from its stored bytecode; what is not used is not imported.",
}
"""Why a target may not be met; said on the page where it is not."""


@dataclass
class Results:
    """One run, as it is stored."""

    about: dict[str, Any]
    cases: list[Case]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {**self.about, "cases": [case.as_json() for case in self.cases]}
        path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        data = json.loads(path.read_text("utf-8"))
        return cls(data, [Case.from_json(case) for case in data.pop("cases")])

    def measures(self) -> list[str]:
        return list(dict.fromkeys(case.measure for case in self.cases))

    def of(self, measure: str) -> list[Case]:
        return [case for case in self.cases if case.measure == measure]


def about(mode: str) -> dict[str, Any]:
    """Describe the machine, the versions and the day."""
    return {
        "date": date.today().isoformat(),
        "mode": mode,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "python": platform.python_version(),
        "versions": peers.versions(),
        "skipped": dict(peers.skipped),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


# ---------------------------------------------------------------- Markdown


def summary(results: Results) -> str:
    """Write the table of the targets."""
    rows = [
        _summary_row(case) for case in results.cases if case.target is not None and case.judged() is not None
    ]
    lacking = [
        f"- {case.measure} ({case.name}) could not be judged: there is no {case.baseline}."
        for case in results.cases
        if case.target is not None and case.judged() is None
    ]
    head = ("measure", "case", "target", "bridge", "", "best peer")
    why = [f"- {measure}: {REASONS[measure]}{_floor(results.of(measure))}" for measure in _unmet(results)]
    parts = [table(head, rows), "\n".join(lacking)]
    if why:
        parts += [
            "Why some are not met; more in [how a request crosses](../explanation/crossing.md):",
            "\n".join(why),
        ]
    return "\n\n".join(part for part in parts if part)


def _unmet(results: Results) -> list[str]:
    unmet = {case.measure for case in results.cases if case.target is not None and case.met() is False}
    return [measure for measure in REASONS if measure in unmet]


def _floor(cases: list[Case]) -> str:
    """Tell what the floor reached in the same run, where there is one."""
    reached = [(case.name, case.ratio("floor")) for case in cases]
    told = [f"{name} {number(ratio.middle)}" for name, ratio in reached if ratio is not None]
    return f" It reached: {'; '.join(told)}." if told else ""


def _summary_row(case: Case) -> tuple[str, ...]:
    judged = case.judged()
    assert judged is not None
    sign = "≤" if case.sense == "at most" else "≥"
    unit = f" {case.unit}" if case.baseline is None else ""
    return (
        case.measure,
        case.name,
        f"{sign} {number(case.target)}{unit}",
        f"**{number(judged.middle)}{unit}** ({_ends(judged)})",
        "met" if case.met() else "**not met**",
        _best_peer(case),
    )


def _best_peer(case: Case) -> str:
    rivals: dict[str, float] = {}
    for name in case.samples:
        spread = case.raw(name) if case.baseline is None else case.ratio(name)
        if name in peers.BRIDGES and name != case.baseline and spread is not None:
            rivals[name] = spread.middle
    if not rivals:
        return ""
    best = (
        min(rivals, key=rivals.__getitem__)
        if case.sense == "at most"
        else max(rivals, key=rivals.__getitem__)
    )
    return f"{best} {number(rivals[best])}"


def details(results: Results) -> str:
    """Write one table of ratios and raw medians for each measure."""
    parts: list[str] = []
    for measure in results.measures():
        cases = results.of(measure)
        names = list(dict.fromkeys(name for case in cases for name in case.samples))
        rows = [(labelled(case, cases), *(_cell(case, name) for name in names)) for case in cases]
        units = list(dict.fromkeys(case.unit for case in cases))
        shown = "the median (and quartiles) in "
        if cases[0].baseline is not None:
            shown = "the ratio (and its quartiles over the rounds); the median in "
        parts.append(
            f"### {measure}: {TITLES[measure]}\n\n{NOTES[measure]}\n"
            f"Each cell: {shown}{' or '.join(units)}.\n\n{table(('', *names), rows)}"
        )
    return "\n\n".join(parts)


def labelled(case: Case, cases: list[Case]) -> str:
    """Name a case, with its unit where those beside it have others."""
    return case.name if len({other.unit for other in cases}) == 1 else f"{case.name}, {case.unit}"


def _cell(case: Case, name: str) -> str:
    if name not in case.samples:
        return ""
    raw, ratio = case.raw(name), case.ratio(name)
    if ratio is None:
        return f"{number(raw.middle)} ({_ends(raw)})"
    if name == case.baseline:
        return f"1; {number(raw.middle)}"
    return f"**{number(ratio.middle)}** ({_ends(ratio)}); {number(raw.middle)}"


def _ends(spread: Spread) -> str:
    return f"{number(spread.low)} to {number(spread.high)}"


def number(value: float | None) -> str:
    """Write a figure with three digits."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def circumstances(results: Results) -> str:
    """Write where and with what the figures were taken."""
    machine = results.about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results.about["versions"].items())
    place = f"{machine['system']}, {machine['cores']} cores ({machine['processor']})"
    python = results.about["python"]
    lines = [f"Taken on {results.about['date']} on {place}, CPython {python}, with {versions}."]
    skipped = results.about["skipped"]
    lines += [f"Skipped: {name} ({why})." for name, why in skipped.items()] or ["Nothing was skipped."]
    return "\n".join(lines)


_PAGE = """\
# Performance

Written by `make bench`, which anyone can rerun; [how to read it](../../benchmarks/README.md).
All contestants of a measure take turns in one run.
A ratio is taken within each round; shown is the median of the rounds, with the quartiles beside it.
Each bridge is made by its public constructor with its defaults.

{circumstances}

## Targets

{summary}

## Measures

{details}
{plots}"""


def page(results: Results, plots: dict[str, Path]) -> str:
    """Write the page of the documentation."""
    pictures = [
        f"![{TITLES[measure]}](../../{path.relative_to(ROOT).as_posix()})" for measure, path in plots.items()
    ]
    return _PAGE.format(
        circumstances=circumstances(results),
        summary=summary(results),
        details=details(results),
        plots="\n## Plots\n\n" + "\n\n".join(pictures) + "\n" if pictures else "",
    )
