"""Python code in a process of its own: what happens at its end, and in its forked children."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from tests.support.servers import ROOT


def run_script(code: str) -> list[str]:
    """Run Python code in a process of its own; give its lines of output, sorted.

    Raises:
        AssertionError: it failed; shows its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split("\n")[:-1])
