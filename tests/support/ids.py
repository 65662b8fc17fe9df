"""The same test has the same name in each process that collects it, or they cannot share the tests."""

from __future__ import annotations

import re


def text_of(value: object) -> str:
    """Name a parameter by its text, without the addresses in it."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
