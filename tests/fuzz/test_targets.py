"""The kept inputs of `make fuzz`, and a short share of it; what it found has its test where it was mended."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.__main__ import CORPUS
from fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS_EACH = 4  # 24 s for the six targets together


@pytest.mark.spec("SEC-30", "SEC-13")
@pytest.mark.parametrize("name", TARGETS)
def test_each_kept_input_keeps_the_law(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())

    assert kept
    for path in kept:
        TARGETS[name](path.read_bytes())


@pytest.mark.spec("SEC-30")
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: it has no wheel here")
@pytest.mark.parametrize("name", TARGETS)
def test_a_share_of_the_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz", "target", name, str(tmp_path), str(CORPUS / name)]
    command += [f"-max_total_time={SECONDS_EACH}", "-max_len=512", f"-artifact_prefix={tmp_path}/"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 0, done.stderr[-3_000:]
    assert "DONE " in done.stderr
