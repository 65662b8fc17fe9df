"""Reads the transition tables that stand in the docstrings of the state machines."""

from __future__ import annotations


def transitions(doc: str | None) -> dict[tuple[str, str], str | None]:
    """Give the following state for each state and event of the first table; None where it shows a cross."""
    lines = iter((doc or "").splitlines())
    _, *events = next(line for line in lines if line.split()[:1] == ["state"]).split()
    next(lines)  # the rule under the heading
    table: dict[tuple[str, str], str | None] = {}
    for line in lines:
        state, *cells = line.split() or [""]
        if len(cells) != len(events):
            break
        for event, cell in zip(events, cells, strict=True):
            table[state, event] = None if cell == "✗" else cell
    return table
