"""A subset of the cells; `make matrix` runs all of them."""

from __future__ import annotations

import json

import pytest

from tests.matrix.matrix import KINDS, Cell, results_of
from tools.servers import DATA, PAGE, problems_of, render

_KINDS = {kind.name: kind for kind in KINDS}
SUBSET = [Cell(_KINDS["gunicorn --preload"], "fastapi", True), Cell(_KINDS["uvicorn h11"], "flask", True)]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("cell", SUBSET, ids=lambda cell: f"{cell.kind.name}-{cell.app}".replace(" ", "-"))
def test_a_bridged_app_does_all_that_its_server_can(cell: Cell) -> None:
    failures = {check: failure for check, failure in results_of(cell).items() if failure}

    assert failures == {}


def test_the_page_is_of_the_figures_and_nothing_is_undeclared() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    assert PAGE.read_text("utf-8") == render(data)
    assert problems_of(data) == []
