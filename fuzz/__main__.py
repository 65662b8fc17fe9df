"""`make fuzz`: every target for its share of the time, then the laws and machines with many examples.

python -m fuzz run --seconds 300     all of it; writes docs/reference/fuzz.json
python -m fuzz target NAME ARGS...   one target under atheris, with arguments of libFuzzer
python -m fuzz keep                  shrink what was found new into the kept corpus
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any, Final

from fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parents[1]
CORPUS: Final = Path(__file__).with_name("corpus")
FOUND: Final = ROOT / ".fuzz"
"""What a run has found: inputs that reach something new, and those that broke a law."""
RESULTS: Final = ROOT / "docs/reference/fuzz.json"

_LONGEST: Final = 512  # bytes of an input
_FIGURES: Final = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


def main() -> None:
    """Run what the command line asks for."""
    if sys.argv[1:2] == ["target"]:
        _target(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("mode", choices=["run", "keep"])
    parser.add_argument("--seconds", type=float, default=300.0)
    arguments = parser.parse_args()
    if arguments.mode == "keep":
        for name in TARGETS:
            _keep(name)
    else:
        _run(arguments.seconds)


def _run(seconds: float) -> None:
    share = seconds * 0.7 / len(TARGETS)
    python = f"CPython {platform.python_version()}"
    results: dict[str, Any] = {
        "taken": f"on {date.today().isoformat()} on {python}, with atheris and Hypothesis",
        "seconds": int(seconds),
    }
    for name in TARGETS:
        print(f"{name}: {share:.0f} s", flush=True)
        results[name] = _fuzz(name, share)
    held, examples = _laws(seconds * 0.3)
    results["laws and machines"] = {"executions": examples, "held": held}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    broken = [name for name, found in results.items() if isinstance(found, dict) and not found["held"]]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}; the inputs are in {FOUND.name}/")


def _fuzz(name: str, seconds: float) -> dict[str, Any]:
    """Run a target in a process of its own, from the kept corpus and what earlier runs have found."""
    found, broken = FOUND / name, FOUND / f"{name}-broken"
    kept = CORPUS / name
    for path in (found, broken, kept):
        path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz", "target", name, str(found), str(kept)]
    command += [f"-max_total_time={max(1, round(seconds))}", f"-max_len={_LONGEST}", "-timeout=10"]
    command += [f"-artifact_prefix={broken}/", "-print_final_stats=0", "-rss_limit_mb=1024"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=seconds * 2 + 120, check=False
    )
    figures = _FIGURES.search(done.stderr)
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-3_000:], file=sys.stderr)
    return {
        "executions": int(figures[1]) if figures else 0,
        "edges": int(figures[2]) if figures else 0,
        "inputs": int(figures[4]) if figures else 0,
        "held": done.returncode == 0,
    }


def _laws(seconds: float) -> tuple[bool, int]:
    """Run the laws and machines with more examples until the time is over."""
    examples = max(75, int(seconds * 4))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "tests/_protocol", "tests/machines"]
    env = {**os.environ, "EXAMPLES": str(examples)}
    done = subprocess.run(
        [*command, "--timeout=600"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        print(done.stdout[-5_000:], file=sys.stderr)
    return done.returncode == 0, examples


def _keep(name: str) -> None:
    """Merge what was found into the corpus: only inputs that add something, the smallest first."""
    kept, found = CORPUS / name, FOUND / name
    if found.exists():
        command = [sys.executable, "-m", "fuzz", "target", name, "-merge=1", str(kept), str(found)]
        subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=True)


def _target(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["bridge", "wsproto"]):
        for module in [module for module in sys.modules if module.startswith(("bridge", "wsproto", "fuzz."))]:
            del sys.modules[module]  # imported before they could be instrumented
        from fuzz.targets import TARGETS as INSTRUMENTED
    # A merge runs itself again, by what stands first.
    atheris.Setup([f"{sys.executable} -m fuzz target {name}", *arguments], INSTRUMENTED[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
