"""What an interpreter cannot do."""

from __future__ import annotations

import sys

import pytest

threads_at_exit = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2),
    reason="CPython 3.12.0 and 3.12.1 start no thread once the process ends (gh-113964)",
)
