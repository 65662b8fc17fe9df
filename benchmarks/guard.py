"""A guard against slowing down: instructions of a fixed mix of requests, against the stored figures.

`python -m benchmarks.guard` fails where a mix takes a tenth more than `guard.json` says. `store` writes the
figures anew, with a change that is worth its price; `each` counts the requests of the mixes one by one, and
`watched` what `measure=True` and an observer add to one.

Instructions are counted by valgrind's callgrind: twice the same to 0.1 %, on a busy machine too. They are
compared only on the interpreter that they were taken on, since another build of CPython takes others. Where
there is no valgrind, or no figure, it says so and passes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

Mix: TypeAlias = "dict[str, int]"
"""How many requests of each kind of `guarded.RUNS`."""

MIXES: dict[str, Mix] = {
    "WSGI app": {"wsgi-get": 6, "wsgi-post": 3, "wsgi-stream": 1},
    "ASGI app": {"asgi-get": 6, "asgi-post": 3, "asgi-stream": 1},
}
EACH: dict[str, Mix] = {name: {name: 10} for mix in MIXES.values() for name in mix}

WATCHED = ("measured", "observed")
WHOLE = {"wsgi": "flask", "asgi": "fastapi"}
"""The page of a framework that a share is given of, by the kind of app."""

STORE = Path(__file__).with_name("guard.json")
MOST_GROWTH = 0.10

_TIMES = 40
"""How often a mix is served."""

_COLLECTED = re.compile(r"Collected : (\d+)")


def main() -> None:
    """Compare, or store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("mode", nargs="?", choices=["compare", "store", "each", "watched"], default="compare")
    mode = parser.parse_args().mode
    if shutil.which("valgrind") is None:
        print("bench-guard: skipped, there is no valgrind")
        return
    if mode == "each":
        compared(count_all(EACH), {})
        return
    if mode == "watched":
        _print_watched()
        return
    stored: dict[str, dict[str, int]] = json.loads(STORE.read_text("utf-8")) if STORE.exists() else {}
    expected = stored.get(interpreter(), {})
    if not expected and mode == "compare":
        print(f"bench-guard: skipped, no figures are stored for {interpreter()}")
        return
    counted = count_all(MIXES)
    if mode == "store":
        stored[interpreter()] = counted
        STORE.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n", "utf-8")
    slower = compared(counted, expected)
    if slower and mode == "compare":
        sys.exit(f"slower by more than {MOST_GROWTH:.0%}: {', '.join(slower)}")


def _print_watched() -> None:
    """Say what watching adds to a GET: in instructions, and as a share of the page of a framework."""
    names = [f"{kind}-{run}" for kind in WHOLE for run in ("get", *WATCHED)] + list(WHOLE.values())
    # The difference of two counts: in one alone the import of a framework weighs more than its pages.
    twice = count_all({name: {name: 20} for name in names})
    counted = {name: 2 * twice[name] - once for name, once in count_all({n: {n: 10} for n in names}).items()}
    for kind, page in WHOLE.items():
        for run in WATCHED:
            more = counted[f"{kind}-{run}"] - counted[f"{kind}-get"]
            share, of_page = more / counted[f"{kind}-get"], more / counted[page]
            print(f"{kind}-{run:<9} {more:>+8,} instructions  {share:+.1%} of GET  {of_page:+.1%} of {page}")


def interpreter() -> str:
    """Name the build of CPython; another one takes other instructions for the same code."""
    build = " ".join(platform.python_build())
    return f"{platform.python_implementation()} {platform.python_version()} ({build}) {platform.machine()}"


def compared(counted: dict[str, int], expected: dict[str, int]) -> list[str]:
    """Print a line for each case, and give the names of those that have become slower."""
    slower: list[str] = []
    for name, count in counted.items():
        before = expected.get(name)
        change = "new" if before is None else f"{count / before - 1:+.1%}"
        print(f"{name:<12} {count:>9,} instructions  {change}")
        if before is None or count > before * (1 + MOST_GROWTH):
            slower.append(name)
    return slower


def count_all(mixes: dict[str, Mix]) -> dict[str, int]:
    """Count the instructions of one request of each mix, without those of the start of a process."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        start = pool.submit(_collected, {})
        runs = {name: pool.submit(_collected, mix) for name, mix in mixes.items()}
        return {
            name: (run.result() - start.result()) // (_TIMES * sum(mixes[name].values()))
            for name, run in runs.items()
        }


def _collected(mix: Mix) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m"]
    done = subprocess.run(
        [*command, "benchmarks.guarded", *(f"{name}={count * _TIMES}" for name, count in mix.items())],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    found = _COLLECTED.search(done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind counted nothing:\n{done.stderr[-2000:]}")
    return int(found[1])


if __name__ == "__main__":
    main()
