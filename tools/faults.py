"""Run the fault tests many times: `python -m tools.faults` writes docs/reference/faults.md and the data beside it."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "faults.md"
DATA = PAGE.with_suffix(".json")
ROUNDS = 20
MINUTES = 60  # then it has failed
SERVERS = ("uvicorn", "gunicorn", "waitress")

HEAD = """\
# Faults

`make faults` wrote this page: each fault test, {rounds} times in a row, over real servers that mostly were the same all the while.
Taken on {machine}, CPython {python}, with {versions}; {seconds:.0f} s in all.
In each round: 500 clients one after another that leave a stream, on each of three servers; and {mixed} requests, good, failing and abandoned, so that each server had 10,000 of them in the end.
After each the process had no more threads and tasks than before.

{passed} of {runs} runs passed.

| test | servers | runs | passed | slowest, s | measured: median, highest |
|---|---|---|---|---|---|
"""


def run(rounds: int) -> dict[str, Any]:
    """Run all; give the results by test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "-p", "no:randomly", "-o", "junit_family=xunit1", f"--junitxml={report}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, "tests/faults"],
            cwd=ROOT,
            env={**os.environ, "FAULTS": "full", "FAULTS_ROUNDS": str(rounds)},
            timeout=MINUTES * 60,
        )
        if done.returncode > 1:
            sys.exit(f"pytest ended with {done.returncode}")
        suite = ElementTree.parse(report).getroot()
    cases = list(suite.iter("testcase"))
    return {
        "rounds": rounds,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in SERVERS},
        "seconds": sum(float(case.get("time", 0)) for case in cases),
        "tests": collect(cases),
    }


def collect(cases: list[ElementTree.Element]) -> dict[str, Any]:
    """Join the runs of each test, over its rounds and parameters."""
    tests: dict[str, Any] = {}
    for case in cases:
        name, _, words = case.get("name", "").rstrip("]").partition("[")
        entry = tests.setdefault(name, {"servers": [], "runs": 0, "failed": 0, "slowest": 0.0, "figures": {}})
        server = re.search(r"uvicorn-h11|uvicorn|gunicorn-sync|gunicorn|waitress|uwsgi", words)
        if server and server[0] not in entry["servers"]:
            entry["servers"].append(server[0])
        entry["runs"] += 1
        entry["failed"] += any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        entry["slowest"] = max(entry["slowest"], float(case.get("time", 0)))
        for found in case.iter("property"):
            entry["figures"].setdefault(found.get("name"), []).append(float(found.get("value", 0)))
    return tests


def render(data: dict[str, Any]) -> str:
    """Give the page."""
    tests = data["tests"]
    runs = sum(entry["runs"] for entry in tests.values())
    lines = [
        HEAD.format(
            rounds=data["rounds"],
            machine=data["machine"],
            python=data["python"],
            versions=", ".join(f"{name} {number}" for name, number in data["versions"].items()),
            seconds=data["seconds"],
            mixed=10_000 // data["rounds"],
            passed=runs - sum(entry["failed"] for entry in tests.values()),
            runs=runs,
        ).rstrip("\n")
    ]
    for name, entry in tests.items():
        figures = "; ".join(
            f"{what} {statistics.median(values):g}, {max(values):g}"
            for what, values in entry["figures"].items()
        )
        title = name.removeprefix("test_").replace("_", " ")
        passed = entry["runs"] - entry["failed"]
        servers = ", ".join(entry["servers"])
        lines.append(
            f"| {title} | {servers} | {entry['runs']} | {passed} | {entry['slowest']:.1f} | {figures} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Run or render; 1 if a test has failed in a round."""
    if arguments != ["render"]:
        rounds = int(arguments[0]) if arguments else ROUNDS
        DATA.write_text(json.dumps(run(rounds), indent=1) + "\n", "utf-8")
    data = json.loads(DATA.read_text("utf-8"))
    PAGE.write_text(render(data), "utf-8")
    failed = {name: entry["failed"] for name, entry in data["tests"].items() if entry["failed"]}
    print("\n".join(f"FAILED {count} times: {name}" for name, count in failed.items()) or "all passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
