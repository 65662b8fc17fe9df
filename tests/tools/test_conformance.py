from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tools.conformance import PAGE, REQUIREMENTS, Citation, DataError, citations, load, main, render

DATA = """
[sections.W]
title = "WSGI gateway"
status = "finished"

[sections.S]
title = "WebSocket"
status = "pending"

[[requirements]]
id = "W-01"
level = "MUST"
requirement = "Two | arguments."
source = "PEP 3333"

[[requirements]]
id = "W-02"
level = "MUST*"
requirement = "A fresh dict."
source = "PEP 3333"
unmet = "dicts are scarce"

[[requirements]]
id = "W-03"
level = "SHOULD"
requirement = "A method."
source = "PEP 3333"

[[requirements]]
id = "S-01"
level = "MUST"
requirement = "A scope."
source = "ASGI www"
"""

CITES_W01 = '@pytest.mark.spec("W-01")\ndef test_two(): ...\n'


def cited(source: str) -> list[tuple[str, str]]:
    return [(found.id, found.test) for found in citations(textwrap.dedent(source), "tests/test_x.py")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose requirements are all met and whose page is up to date."""
    (tmp_path / "tests/deep").mkdir(parents=True)
    (tmp_path / PAGE.parent).mkdir(parents=True)
    (tmp_path / REQUIREMENTS).write_text(DATA)
    (tmp_path / "tests/deep/test_x.py").write_text(CITES_W01)
    assert main(["write"], tmp_path) == 0
    return tmp_path


# ---------------------------------------------------------------- finding citations


@pytest.mark.parametrize(
    "source",
    [
        """
        @pytest.mark.spec("W-01", "W-02")
        def test_a(): ...
        """,
        """
        @pytest.mark.spec("W-01")
        @mark.spec("W-02")
        async def test_a(): ...
        """,
        """
        pytestmark = pytest.mark.spec("W-02")
        @pytest.mark.spec("W-01")
        def test_a(): ...
        """,
        """
        pytestmark = [pytest.mark.slow, pytest.mark.spec("W-01", "W-02")]
        def test_a(): ...
        """,
        """
        @pytest.mark.spec("W-01")
        class TestIt:
            @pytest.mark.spec("W-02")
            def test_a(self): ...
        """,
        """
        pytestmark = pytest.mark.spec("W-02")
        class TestIt:
            @pytest.mark.spec("W-01")
            def test_a(self): ...
        """,
        """
        @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.spec("W-01", "W-02"))])
        def test_a(x): ...
        """,
        """
        ROWS: list[object] = [pytest.param(1, marks=pytest.mark.spec("W-01", "W-02"))]
        @pytest.mark.parametrize("x", ROWS)
        def test_a(x): ...
        """,
    ],
    ids=[
        "one mark",
        "two marks, async",
        "module",
        "module, a list",
        "class",
        "module and class",
        "param",
        "named table",
    ],
)
def test_each_way_to_mark_a_test_is_found(source: str) -> None:
    assert cited(source) == [("W-01", "test_a"), ("W-02", "test_a")]


def test_an_id_cited_twice_by_a_test_counts_once() -> None:
    source = """
        @pytest.mark.spec("W-01")
        @pytest.mark.spec("W-01")
        def test_a(): ...
        """

    assert cited(source) == [("W-01", "test_a")]


def test_a_mark_on_what_is_no_test_is_not_counted() -> None:
    assert cited('@pytest.mark.spec("W-01")\ndef build(): ...\n@other.spec("W-02")\ndef test_a(): ...') == []


def test_a_computed_id_is_an_error() -> None:
    with pytest.raises(DataError, match=r"tests/test_x.py:1: .* literal"):
        citations("@pytest.mark.spec(ID)\ndef test_a(): ...", "tests/test_x.py")


# ---------------------------------------------------------------- reading the requirements


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"W-02"', '"W-01"', "W-01 stands twice"),
        ('"W-02"', '"X-02"', "X-02 is in no section"),
        ('"SHOULD"', '"OUGHT"', "W-03 has the level 'OUGHT'"),
        ('"pending"', '"later"', "section S has the status 'later'"),
    ],
)
def test_requirements_that_make_no_sense_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(DATA.replace(old, new))


# ---------------------------------------------------------------- the page


def test_the_page_shows_proof_reason_gap_and_what_is_pending() -> None:
    sections, requirements = load(DATA)

    page = render(sections, requirements, [Citation("W-01", "tests/deep/test_x.py", "test_two")])

    assert "| W-01 | MUST | Two \\| arguments. | PEP 3333 | [test_two](../../tests/deep/test_x.py) |" in page
    assert "| W-02 | MUST\\* | A fresh dict. | PEP 3333 | not met: dicts are scarce |" in page
    assert "| W-03 | SHOULD | A method. | PEP 3333 | no test |" in page
    assert "| S-01 | MUST | A scope. | ASGI www | pending |" in page


def test_the_page_counts_at_the_top() -> None:
    sections, requirements = load(DATA)

    page = render(sections, requirements, [Citation("W-01", "tests/test_x.py", "test_two")])

    assert "| W: WSGI gateway | finished | 3 | 1 | 1 | 1 |" in page
    assert "| All | | 4 | 1 | 1 | 2 |" in page


# ---------------------------------------------------------------- check


def test_check_passes_where_every_must_has_a_test_or_a_reason(project: Path) -> None:
    assert main(["check"], project) == 0


def test_check_only_notes_a_should_without_a_test(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check"], project)

    assert capsys.readouterr().out == "note: W-03 (SHOULD) has no test\n"


@pytest.mark.parametrize("level", ["MUST", "MUST*", "MUST NOT"])
def test_check_names_a_must_without_test_and_reason(
    project: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    (project / REQUIREMENTS).write_text(DATA.replace('"SHOULD"', f'"{level}"'))
    main(["write"], project)

    assert main(["check"], project) == 1
    assert capsys.readouterr().err == f"W-03 ({level}) has no test: A method.\n"


def test_check_asks_nothing_of_a_pending_section(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check"], project)

    assert "S-01" not in capsys.readouterr().err


def test_check_names_a_citation_of_what_is_not_there(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tests/test_y.py").write_text('@pytest.mark.spec("W-99")\ndef test_b(): ...\n')
    main(["write"], project)

    assert main(["check"], project) == 1
    assert capsys.readouterr().err == "tests/test_y.py: test_b cites W-99, which does not exist\n"


def test_check_fails_where_the_page_is_out_of_date(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/test_y.py").write_text(CITES_W01)

    assert main(["check"], project) == 1
    assert "conformance.md is not up to date" in capsys.readouterr().err


def test_check_fails_where_there_is_no_page(project: Path) -> None:
    (project / PAGE).unlink()

    assert main(["check"], project) == 1


def test_check_reports_an_unreadable_citation(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/test_y.py").write_text("@pytest.mark.spec(ID)\ndef test_b(): ...\n")

    assert main(["check"], project) == 1
    assert "tests/test_y.py:1" in capsys.readouterr().err


def test_the_requirements_of_this_project_can_be_read() -> None:
    sections, requirements = load((Path(__file__).parents[2] / REQUIREMENTS).read_text("utf-8"))

    assert {section.name for section in sections if section.finished} >= {"W", "AA", "A", "WA", "H", "U"}
    assert all(row.requirement.endswith(".") for row in requirements)
