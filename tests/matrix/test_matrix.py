"""A subset of the cells; `make matrix` runs all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.matrix.kinds import KINDS, ROWS, rows_of
from tests.matrix.matrix import CHECKS, NOT_THERE, OF_APPS, OF_SERVERS, Cell, cells_of, results_of
from tools.servers import DATA, PAGE, problems_of, render, run

_KINDS = {kind.name: kind for kind in KINDS}
SUBSET = [Cell(_KINDS["gunicorn --preload"], "fastapi", True), Cell(_KINDS["uvicorn h11"], "flask", True)]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("cell", SUBSET, ids=lambda cell: f"{cell.kind.name}-{cell.app}".replace(" ", "-"))
def test_a_bridged_app_does_all_that_its_server_can(cell: Cell) -> None:
    failures = {check: what for check, what in results_of(cell).items() if what not in (None, NOT_THERE)}

    assert failures == {}


def test_the_page_is_of_the_figures_and_nothing_is_undeclared() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    assert PAGE.read_text("utf-8") == render(data)
    assert problems_of(data) == []


def test_the_page_has_every_server_app_and_check() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    found = [(cell["server"], cell["app"], cell["bridged"]) for cell in data["cells"]]
    assert found == [(kind.name, cell.app, cell.bridged) for kind in KINDS for cell in cells_of(kind)]
    assert all(list(cell["checks"]) == list(CHECKS) for cell in data["cells"])


def test_every_command_of_the_page_is_run() -> None:
    assert {kind.row or kind.name for kind in KINDS} == set(ROWS)


def _as_declared() -> dict[str, Any]:
    """Figures in which all that is declared fails, and nothing else."""

    def failure(cell: Cell, check: str) -> str | None:
        declared = (cell.kind.name, check) in OF_SERVERS or (cell.app, check) in OF_APPS
        return "seen" if declared else None

    return {
        "cells": [
            {
                "server": kind.name,
                "app": cell.app,
                "bridged": cell.bridged,
                "checks": {check: failure(cell, check) for check in CHECKS},
            }
            for kind in KINDS
            for cell in cells_of(kind)
        ]
    }


def _cell(data: dict[str, Any], server: str, app: str) -> dict[str, str | None]:
    checks: dict[str, str | None] = next(
        cell["checks"] for cell in data["cells"] if (cell["server"], cell["app"]) == (server, app)
    )
    return checks


def test_what_is_declared_is_no_problem() -> None:
    assert problems_of(_as_declared()) == []


def test_an_undeclared_failure_is_a_problem_natively_too() -> None:
    data = _as_declared()
    _cell(data, "uvicorn h11", "fastapi")["GET"] = "seen"

    assert problems_of(data) == ["uvicorn h11, fastapi, GET: seen"]


def test_a_declaration_that_no_run_bears_out_is_a_problem() -> None:
    data = _as_declared()
    for cell in data["cells"]:
        if cell["server"] == "uWSGI" or cell["app"] == "django_wsgi":
            cell["checks"]["chunked upload"] = None

    assert problems_of(data) == [
        "django_wsgi, chunked upload: declared as a failure, but it works: take that out",
        "uWSGI, chunked upload: declared as a failure, but it works: take that out",
    ]


def test_the_limit_of_a_server_is_no_excuse_where_its_native_app_works() -> None:
    data = _as_declared()
    _cell(data, "uWSGI", "flask")["chunked upload"] = None

    assert "uWSGI, fastapi, chunked upload: seen" in problems_of(data)


def test_a_run_ends_in_bounded_time() -> None:
    with pytest.raises(TimeoutError, match="0 minutes were over before Werkzeug: flask"):
        run(seconds=-1)


def test_a_command_is_a_row_of_a_table() -> None:
    page = "| server | interface | command |\n|---|---|---|\n| a b | ASGI | `x --y main:app` |\n"
    assert rows_of(page) == {"a b": {"name": "a b", "interface": "ASGI", "command": "x --y main:app"}}
