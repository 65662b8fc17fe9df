"""Soak the bridge: `python -m soak --seconds 600`; exit 1 if anything grew, was wrong, or was lost.

Writes `soak.json`, and `soak.svg` where there is matplotlib, to `docs/reference`, or to another folder.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from soak.apps import THREADS
from soak.run import Soaked, soak
from tests.support.servers import Server, free_port, run

ROOT = Path(__file__).parents[1]
_PACKAGES = ("asgi-wsgi-bridge", "uvicorn", "gunicorn", "flask", "fastapi", "uvloop", "httptools")

SERVERS = {
    "Flask under uvicorn": [
        *["uvicorn", "soak.apps:bridged_flask", "--factory", "--port", "{port}"],
        *["--no-access-log", "--log-level", "critical", "--timeout-keep-alive", "60"],
    ],
    "FastAPI under gunicorn": [
        *["gunicorn", "soak.apps:bridged_fastapi()", "--bind", "127.0.0.1:{port}"],
        *["--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "60"],
        *["--no-control-socket", "--log-level", "critical"],
    ],
}


def main() -> None:
    """Run, write, judge."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of load, for all servers together")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/reference")
    arguments = parser.parse_args()
    found: list[Soaked] = []
    for name, command in SERVERS.items():
        with serving(command) as server:
            one = soak(name, server, arguments.seconds / len(SERVERS))
        found.append(one)
        print(f"{name}: {sum(one.counts.acts.values())} requests in {one.seconds:.0f} s", flush=True)
        for series, trend in one.trends.items():
            print(
                f"  {series}: {trend.middle:.4g}, grew by {trend.growth:.3g} of {trend.allowed:.3g} allowed"
            )
    write(found, arguments.folder)
    problems = [problem for one in found for problem in one.problems()]
    print("\n".join(problems) or "all flat, nothing wrong, nothing lost")
    sys.exit(bool(problems))


def serving(command: list[str]) -> AbstractContextManager[Server]:
    """Run a server until the block ends."""
    port = free_port()
    return run([sys.executable, "-m", *(part.replace("{port}", str(port)) for part in command)], port)


def write(found: list[Soaked], folder: Path) -> None:
    """Write the figures and the picture."""
    data = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "servers": [one.as_json() for one in found],
    }
    (folder / "soak.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    if find_spec("matplotlib") is None:
        print("no matplotlib: no picture")
        return
    from soak import plot

    plot.draw(found, folder / "soak.svg")


if __name__ == "__main__":
    main()
