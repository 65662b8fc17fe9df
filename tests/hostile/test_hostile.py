"""How the answers to hostile requests are judged; `make hostile` sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge._protocol.refusal import refusal
from tests.hostile import facts
from tests.hostile.cases import CASES, Case
from tests.hostile.declared import DECLARED, Declared
from tests.hostile.facts import Facts, Harm, facts_of
from tests.hostile.verdict import Verdict, verdict_of
from tests.servers.wire import Reply
from tools.hostile import DATA, PAGE, SERVERS, problems_of, render

CASE = Case("a case", b"", facts.body("12"))


def _answered(body: str) -> Reply:
    answer = {"body": body, "headers": [], "path": "/", "root_path": "", "scheme": "http", "client": ["a", 1]}
    return Reply(200, json.dumps(answer).encode(), whole=True)


def _refused_by_the_bridge(status: int) -> Reply:
    body, headers = refusal(status)
    return Reply(status, body, True, {name.decode(): value.decode() for name, value in headers})


@pytest.mark.parametrize(
    ("reply", "notes", "verdict"),
    [
        (_answered("12"), {"entered", "whole"}, Verdict("ok")),
        (_answered("123"), {"entered", "whole"}, Verdict("harm", "the body is `'123'`")),
        (Reply(400, b"Bad Request"), {}, Verdict("s")),
        (Reply(0), {}, Verdict("s")),
        (_refused_by_the_bridge(400), {}, Verdict("b")),
        (_refused_by_the_bridge(411), {}, Verdict("b")),
        (Reply(400, b"no"), {"entered"}, Verdict("cut")),
        (Reply(500, b"no"), {"entered", "whole"}, Verdict("harm", "the answer is 500")),
        (Reply(101), {}, Verdict("harm", "the answer is 101")),
        (Reply(200, b"another app"), {}, Verdict("harm", "the answer is 200")),
        (None, {}, Verdict("wait")),
        (None, {"entered"}, Verdict("harm", "the app waits")),
        (
            _answered("12"),
            {"entered", "whole", "second"},
            Verdict("harm", "what stands behind it is served as a second request"),
        ),
    ],
)
def test_an_answer_is_judged_by_who_gave_it(reply: Reply | None, notes: set[str], verdict: Verdict) -> None:
    assert verdict_of(CASE, reply, notes) == verdict


_SEEN = Facts("/p", "", "http", "127.0.0.1", "b", {"x-a": "1,1", "host": "h"})


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (facts.any_of_it, "the app gets it, with the body `'b'` and the fields `{'x-a': '1,1'}`"),
        (facts.none_of_it, None),
        (facts.field("host", "h"), None),
        (facts.field("host", "g", None), "`host` is `'h'`"),
        (facts.field("x-b", None), None),
        (facts.times("x-a", "1", 2), None),
        (facts.times("x-a", "1", 3), "`x-a` is there 2 times"),
        (facts.body("b"), None),
        (facts.path("/p"), None),
        (facts.path("/q"), "the path is `'/p'`"),
        (facts.transport, None),
        (facts.folded, "the fields are `{'x-a': '1,1', 'host': 'h'}`"),
        (facts.both(facts.body("b"), facts.body("c")), "the body is `'b'`"),
    ],
)
def test_harm_is_named(harm: Harm, found: str | None) -> None:
    assert harm(_SEEN) == found


def test_the_facts_of_either_kind_of_app_are_the_same() -> None:
    environ = {
        "PATH_INFO": "/p",
        "SCRIPT_NAME": "",
        "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "body": "b",
        "HTTP_X_A": "1,1",
        "HTTP_HOST": "h",
    }
    scope = {
        "path": "/p",
        "root_path": "",
        "scheme": "http",
        "client": ["127.0.0.1", 1],
        "body": "b",
        "headers": [["x-a", "1"], ["host", "h"], ["x-a", "1"]],
    }

    assert facts_of(environ) == facts_of(scope) == _SEEN


def test_the_page_is_of_the_figures_and_nothing_is_undeclared() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    assert PAGE.read_text("utf-8") == render(data)
    assert problems_of(data) == []


def test_the_page_has_every_case_and_server() -> None:
    data = json.loads(DATA.read_text("utf-8"))

    found = [(cell["server"], cell["case"]) for cell in data["cells"]]
    assert found == [(server, case.name) for server in SERVERS for case in CASES]


def _as_declared() -> dict[str, Any]:
    """What `make hostile` finds if all that is declared is so, and nothing else."""
    everything = [(server, case.name) for server in SERVERS for case in CASES]
    fine = Declared("", "")
    return {
        "cells": [
            {
                "server": server,
                "case": case,
                "mark": "harm" if (server, case) in DECLARED else "ok",
                "seen": DECLARED.get((server, case), fine).seen,
            }
            for server, case in everything
        ]
    }


def _cell(data: dict[str, Any], server: str, case: str) -> dict[str, str]:
    cell: dict[str, str] = next(c for c in data["cells"] if (c["server"], c["case"]) == (server, case))
    return cell


def test_what_is_declared_is_no_problem() -> None:
    assert problems_of(_as_declared()) == []


def test_harm_that_is_not_declared_is_a_problem() -> None:
    data = _as_declared()
    _cell(data, "gunicorn", "two Hosts").update(mark="harm", seen="both")

    assert problems_of(data) == ["gunicorn, two Hosts: both"]


def test_another_harm_than_the_declared_one_is_a_problem() -> None:
    data = _as_declared()
    _cell(data, "uvicorn", "a trailer").update(seen="worse")

    assert problems_of(data) == ["uvicorn, a trailer: worse, and declared is: `x-admin` is `'1'`"]


def test_a_declaration_that_is_no_longer_so_is_a_problem() -> None:
    data = _as_declared()
    _cell(data, "uvicorn", "a trailer").update(mark="ok", seen="")

    assert problems_of(data) == ["uvicorn, a trailer: declared, but not so: take that out"]
