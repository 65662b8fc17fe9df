from __future__ import annotations

import re
from pathlib import Path

import pytest

import bridge

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")


def agrees(changelog: str, version: str) -> bool:
    """Tell whether the newest heading is the version; a development version goes with Unreleased."""
    newest = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0]
    return ".dev" in version if newest == "Unreleased" else bool(newest == version)


@pytest.mark.parametrize(
    ("changelog", "version", "expected"),
    [
        ("## [Unreleased]\n## [0.1.0] - 2026-12-01", "0.2.0.dev0", True),
        ("## [Unreleased]\n## [0.1.0] - 2026-12-01", "0.2.0", False),
        ("## [0.2.0] - 2026-12-24\n## [0.1.0] - 2026-12-01", "0.2.0", True),
        ("## [0.2.0] - 2026-12-24", "0.2.0.dev0", False),
        ("## [0.2.0] - 2026-12-24", "0.3.0", False),
    ],
)
def test_a_release_needs_its_heading(changelog: str, version: str, expected: bool) -> None:
    assert agrees(changelog, version) is expected


def test_the_newest_heading_is_the_version() -> None:
    assert agrees(CHANGELOG, bridge.__version__)
