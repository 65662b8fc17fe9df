"""A subset of the cells; `make mounting` runs all of them."""

from __future__ import annotations

import json

import pytest

from tests.mounting.matrix import CELLS, KNOWN, Cell, differences_of, native_answers, reason_for
from tests.mounting.probes import Answer, probes_for
from tools.mounting import DATA, PAGE, problems_of, render

SUBSET = [
    Cell(("fastapi",), "flask", "uvicorn"),
    Cell(("fastapi",), "django", "uvicorn"),
    Cell(("django",), "fastapi", "uvicorn"),
    Cell(("django",), "fastapi", "gunicorn"),
    Cell(("flask",), "fastapi", "gunicorn"),
    Cell(("django", "fastapi"), "flask", "gunicorn"),
]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("cell", SUBSET, ids=lambda cell: f"{cell.server}-{cell.name}".replace(" ", "-"))
def test_a_mounted_app_answers_as_it_does_natively(cell: Cell) -> None:
    differences = differences_of(cell)

    assert list(differences) == probes_for(cell.child)
    undeclared = {
        probe: found for probe, found in differences.items() if bool(found) != bool(reason_for(cell, probe))
    }
    assert undeclared == {}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("child", "statuses"),
    [
        ("flask", {"routing": [200, 200, 200], "error pages": [500], "404": [404, 404], "405": [405, 405]}),
        ("fastapi", {"redirects": [307], "OpenAPI": [200, 200], "405": [405, 405], "sessions": [200] * 4}),
        ("django", {"CSRF": [200, 200, 403], "redirects": [302], "static files": [200, 206, 404]}),
    ],
)
def test_the_native_answers_are_what_they_should_be(child: str, statuses: dict[str, list[int]]) -> None:
    """Two apps that are both broken would answer alike."""
    answers = native_answers(child)

    assert {probe: [answer.status for answer in answers[probe]] for probe in statuses} == statuses
    assert [json.loads(answer.body) for answer in answers["sessions"] if answer.body[0] == "{"] == [
        {"count": 1},
        {"count": 2},
        {"count": 1},
    ]


def test_a_difference_is_named_and_what_a_host_adds_is_none() -> None:
    native = Answer(200, {"vary": ["Cookie"], "x": ["1"]}, "body")

    assert native.differences(native, added=frozenset()) == []
    assert native.differences(Answer(404, {"vary": ["Cookie"]}, "other"), added=frozenset()) == [
        "status 404 instead of 200",
        "body 'other' instead of 'body'",
        "x [] instead of ['1']",
    ]
    more = Answer(200, {"vary": ["Accept, Cookie"], "x": ["1"]}, "body")
    assert native.differences(more, added=frozenset({"vary"})) == []
    assert len(native.differences(more, added=frozenset())) == 1


def test_the_page_shows_the_last_run_and_nothing_is_undeclared() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    assert PAGE.read_text("utf-8") == render(data)
    assert problems_of(data) == []
    assert [(cell["server"], cell["name"]) for cell in data["cells"]] == [
        (cell.server, cell.name) for cell in CELLS
    ]


def test_a_declaration_that_is_no_longer_true_is_a_problem() -> None:
    probes = {"a": {"differences": [], "reason": "why"}, "b": {"differences": ["d"], "reason": None}}

    problems = problems_of({"cells": [{"server": "s", "name": "n", "probes": probes}]})

    assert ["take the declaration out" in problem for problem in problems] == [True, False]


def test_each_declaration_is_about_a_cell() -> None:
    assert all(any(known.covers(cell, known.probe) for cell in CELLS) for known in KNOWN)
