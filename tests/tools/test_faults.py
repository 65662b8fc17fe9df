"""The page of the fault tests is of its figures, and these are of a whole run without a failure."""

from __future__ import annotations

import json

from tools.faults import DATA, PAGE, ROUNDS, render


def test_the_page_is_of_a_whole_run_in_which_all_passed() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    assert PAGE.read_text("utf-8") == render(data)
    assert data["rounds"] == ROUNDS
    assert {name: entry["failed"] for name, entry in data["tests"].items() if entry["failed"]} == {}
    assert all(entry["runs"] % ROUNDS == 0 for entry in data["tests"].values())
