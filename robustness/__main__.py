"""Try everybody: `python -m robustness write` runs all cases and writes the page, `render` writes it anew."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from robustness import page
from robustness.bad_inputs import INPUTS
from robustness.contestants import ASGI_TO_WSGI, US, WSGI_TO_ASGI, versions
from robustness.over_servers import CASES, Case, Seen, serving

CONTESTANTS = {"wsgi_to_asgi": WSGI_TO_ASGI, "asgi_to_wsgi": ASGI_TO_WSGI}
_INPUT_SECONDS = 15


def main() -> None:
    """Run, write; exit 1 if the bridge itself did not hold."""
    mode = sys.argv[1] if len(sys.argv) == 2 else ""
    if mode not in ("write", "render"):
        sys.exit("python -m robustness write|render")
    if mode == "write":
        data = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "python": platform.python_version(),
            "versions": versions(),
            "results": list(results()),
        }
        page.DATA.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    data = json.loads(page.DATA.read_text("utf-8"))
    page.PAGE.write_text(page.page(data), "utf-8")
    failed = [one for one in data["results"] if one["contestant"] == US and not one["held"]]
    for one in failed:
        print(f"{one['direction']}: {one['case']}: {one['said']}")
    sys.exit(bool(failed))


def results() -> Iterator[dict[str, Any]]:
    """Run every case with every contestant, each on a server or in a process of its own."""
    for direction, contestants in CONTESTANTS.items():
        for group, cases in CASES[direction].items():
            for case, act in cases.items():
                for contestant in contestants:
                    yield told(
                        direction, group, case, contestant, over_server(direction, contestant, group, act)
                    )
        yield from inputs(direction, contestants)


def over_server(direction: str, contestant: str, group: str, case: Case) -> Seen:
    """Run one case on a fresh server."""
    with serving(direction, contestant, "soaked" if group == "lost" else "served") as server:
        return case(server)


def inputs(direction: str, contestants: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Try the bad inputs, two at a time."""
    names = list(INPUTS[direction])
    with ThreadPoolExecutor(2) as runners:
        waiting = [
            (case, contestant, runners.submit(bad_input, direction, contestant, number))
            for number, case in enumerate(names)
            for contestant in contestants
        ]
        for case, contestant, future in waiting:
            yield told(direction, "inputs", case, contestant, future.result())


def bad_input(direction: str, contestant: str, number: int) -> Seen:
    """Try one bad input in a process of its own, which is killed if it hangs."""
    command = [sys.executable, "-W", "ignore", "-m", "robustness.bad_inputs"]
    try:
        done = subprocess.run(
            [*command, direction, contestant, str(number)],
            capture_output=True,
            text=True,
            timeout=_INPUT_SECONDS,
            cwd=page.ROOT,
        )
    except subprocess.TimeoutExpired:
        return Seen(False, f"hung: ended after {_INPUT_SECONDS} s")
    if done.returncode:
        return Seen(False, done.stderr.strip().rpartition("\n")[2])
    return Seen(**json.loads(done.stdout))


def told(direction: str, group: str, case: str, contestant: str, seen: Seen) -> dict[str, Any]:
    """Make a line of the results, and show it."""
    print("✓" if seen.held else "✗", direction, contestant, case, "—", seen.said, flush=True)
    return {"direction": direction, "group": group, "case": case, "contestant": contestant, **asdict(seen)}


if __name__ == "__main__":
    main()
