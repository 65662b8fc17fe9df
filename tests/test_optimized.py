"""What must not be asked for is refused under `python -O` too, by the same tests.

pytest rewrites the asserts of test modules, and conftest.py has those of their support rewritten, so they are
carried out under `-O` while those of the package would be gone. `make test-optimized` runs the rest, on real
servers under `-O`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PLANTED = """
def check(wanted):
    assert wanted
"""

TESTS = """
import pytest

import planted
from tests.support.scripts import run_script

def test_of_code_whose_assert_is_gone():
    planted.check(False)

def test_whose_own_assert_is_not():
    assert False

def test_that_an_assert_of_the_support_is_not():
    with pytest.raises(AssertionError, match="on purpose"):
        run_script("raise SystemExit('on purpose')")
"""


def _pytest(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest without asserts in what it does not rewrite."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONOPTIMIZE": "1", **env},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.spec("SEC-25")
def test_only_the_asserts_of_the_tests_remain(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED)
    (tmp_path / "test_planted.py").write_text(TESTS)

    done = _pytest(str(tmp_path), "-p", "tests.conftest", PYTHONPATH=f"{tmp_path}:{ROOT}")

    assert re.findall(r"FAILED .*::(\w+)", done.stdout) == ["test_whose_own_assert_is_not"], done.stdout
    assert "1 failed, 2 passed" in done.stdout


@pytest.mark.spec("SEC-25")
@pytest.mark.timeout(170)
def test_what_is_refused_is_refused_without_asserts() -> None:
    cited = "--cites=SEC,H-09,H-10,H-11,H-12,U,S"

    done = _pytest("tests/_protocol", "tests/contract", cited, "-k", "not thousand", EXAMPLES="3")

    assert done.returncode == 0, done.stdout[-3_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 1_000
