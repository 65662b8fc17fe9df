"""The requirements, joined with the tests that cite them.

`python -m tools.conformance write` writes docs/reference/conformance.md. `check` fails where a must of a
finished section has neither a test nor a reason, where a test cites what is not there, and where the page is
not up to date. The tests are read, never imported.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT: Final = Path(__file__).parents[1]
REQUIREMENTS: Final = Path("docs/reference/requirements.toml")
PAGE: Final = Path("docs/reference/conformance.md")
TESTS: Final = Path("tests")

_MUSTS: Final = frozenset({"MUST", "MUST*", "MUST NOT"})
_LEVELS: Final = _MUSTS | {"SHOULD", "MAY", "choice"}
_STATUSES: Final = frozenset({"finished", "pending"})


class DataError(Exception):
    """The requirements or the citations cannot be read as they stand; the message says where."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of requirements.toml.

    Attributes:
        unmet: why it is not met; empty if it is, or may still be.
    """

    id: str
    level: str
    requirement: str
    source: str
    unmet: str = ""

    @property
    def section(self) -> str:
        """The letters of the ID."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class Section:
    """A group of requirements; `finished` means that its musts have to be proven."""

    name: str
    title: str
    status: str

    @property
    def finished(self) -> bool:
        """Whether the musts of this section have to be proven."""
        return self.status == "finished"


@dataclass(frozen=True, slots=True)
class Citation:
    """A test that says which requirement it proves.

    Attributes:
        path: of the test module, from the root of the project.
        test: the name of the test function.
    """

    id: str
    path: str
    test: str


# ---------------------------------------------------------------- reading


def load(text: str) -> tuple[list[Section], list[Requirement]]:
    """Read requirements.toml.

    Raises:
        DataError: an ID stands twice or in no section, or a level or a status is unknown.
    """
    data = tomllib.loads(text)
    sections = [Section(name, **fields) for name, fields in data["sections"].items()]
    requirements = [Requirement(**fields) for fields in data["requirements"]]
    names = {section.name for section in sections}
    for section in sections:
        if section.status not in _STATUSES:
            raise DataError(f"section {section.name} has the status {section.status!r}")
    seen: set[str] = set()
    for row in requirements:
        if row.id in seen:
            raise DataError(f"{row.id} stands twice")
        if row.section not in names:
            raise DataError(f"{row.id} is in no section")
        if row.level not in _LEVELS:
            raise DataError(f"{row.id} has the level {row.level!r}")
        seen.add(row.id)
    return sections, requirements


def citations(source: str, path: str) -> list[Citation]:
    """Find the IDs that the tests of a module cite.

    A citation is `@pytest.mark.spec("W-34", ...)` on a test or its class, the same as `pytestmark` of the
    module, or as the `marks` of a `pytest.param`, also where the table of params has a name.

    Args:
        source: the text of the module.
        path: of the module, from the root of the project.

    Raises:
        DataError: an argument of the mark is no literal string.
    """
    module = ast.parse(source, path)
    tables = _named_values(module.body)
    return [
        Citation(identifier, path, test.name)
        for test, marks in _tests(module.body, [tables["pytestmark"]] if "pytestmark" in tables else [])
        for identifier in sorted(_cited(marks, tables, path))
    ]


def _named_values(body: Iterable[ast.stmt]) -> dict[str, ast.expr]:
    named: dict[str, ast.expr] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            named |= {
                target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)
            }
        elif (
            isinstance(statement, ast.AnnAssign)
            and statement.value
            and isinstance(statement.target, ast.Name)
        ):
            named[statement.target.id] = statement.value
    return named


def _tests(
    body: Iterable[ast.stmt], marks: list[ast.expr]
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.expr]]]:
    """Give each test function with the expressions that mark it."""
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            yield from _tests(statement.body, marks + statement.decorator_list)
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name.startswith(
            "test"
        ):
            yield statement, marks + statement.decorator_list


def _cited(marks: Iterable[ast.expr], tables: Mapping[str, ast.expr], path: str) -> set[str]:
    identifiers: set[str] = set()
    left = list(marks)
    followed: set[str] = set()
    while left:
        for node in ast.walk(left.pop()):
            if isinstance(node, ast.Name) and node.id in tables and node.id not in followed:
                followed.add(node.id)
                left.append(tables[node.id])
            elif isinstance(node, ast.Call) and _is_spec(node.func):
                identifiers.update(_literal(argument, path) for argument in node.args)
    return identifiers


def _is_spec(func: ast.expr) -> bool:
    """Tell whether this is `pytest.mark.spec`, or `mark.spec`."""
    if not isinstance(func, ast.Attribute) or func.attr != "spec":
        return False
    owner = func.value
    return (isinstance(owner, ast.Attribute) and owner.attr == "mark") or (
        isinstance(owner, ast.Name) and owner.id == "mark"
    )


def _literal(argument: ast.expr, path: str) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise DataError(
        f"{path}:{argument.lineno}: an ID must be a literal string, to be found without running the test"
    )


def collect(root: Path) -> list[Citation]:
    """Find the citations of every test module under a project."""
    return [
        citation
        for file in sorted((root / TESTS).rglob("*.py"))
        for citation in citations(file.read_text("utf-8"), file.relative_to(root).as_posix())
    ]


# ---------------------------------------------------------------- joining


def by_id(found: Iterable[Citation]) -> dict[str, list[Citation]]:
    """Group citations by the requirement that they cite."""
    grouped: dict[str, list[Citation]] = {}
    for citation in found:
        grouped.setdefault(citation.id, []).append(citation)
    return grouped


def unproven(
    sections: Iterable[Section], requirements: Iterable[Requirement], found: Iterable[Citation]
) -> list[Requirement]:
    """Give the requirements of finished sections that have neither a test nor a reason."""
    finished = {section.name for section in sections if section.finished}
    cited = {citation.id for citation in found}
    return [row for row in requirements if row.section in finished and row.id not in cited and not row.unmet]


def problems(
    sections: Iterable[Section], requirements: list[Requirement], found: list[Citation], page: str | None
) -> list[str]:
    """Say all that makes `check` fail.

    Args:
        sections: with their status.
        requirements: of all sections.
        found: what the tests cite.
        page: conformance.md as it is; None if there is none.
    """
    sections = list(sections)
    said = [
        f"{row.id} ({row.level}) has no test: {row.requirement}"
        for row in unproven(sections, requirements, found)
        if row.level in _MUSTS
    ]
    known = {row.id for row in requirements}
    said += [
        f"{citation.path}: {citation.test} cites {citation.id}, which does not exist"
        for citation in found
        if citation.id not in known
    ]
    if page != render(sections, requirements, found):
        said.append(f"{PAGE.as_posix()} is not up to date: run `make conformance`")
    return said


# ---------------------------------------------------------------- the page


def render(sections: Iterable[Section], requirements: list[Requirement], found: Iterable[Citation]) -> str:
    """Build conformance.md."""
    sections = list(sections)
    cited = by_id(found)
    lines = [
        "# Conformance",
        "",
        "<!-- Generated by `make conformance` from requirements.toml and the tests: do not edit. -->",
        "",
        "Each requirement, and the tests that prove it.",
        "MUST\\* marks a requirement without a normative sentence, which interoperability or safety demands.",
        (
            "A pending section comes with later work; where the specifications leave a choice, see "
            "[the decisions](../explanation/decisions.md)."
        ),
        "",
        *_summary(sections, requirements, cited),
    ]
    for section in sections:
        lines += ["", f"## {section.name}: {section.title}", ""]
        lines += ["| ID | Level | Requirement | Source | Proof |", "|---|---|---|---|---|"]
        lines += [
            f"| {row.id} | {_cell(row.level)} | {_cell(row.requirement)} | {_cell(row.source)} "
            f"| {_proof(row, section, cited.get(row.id, []))} |"
            for row in requirements
            if row.section == section.name
        ]
    return "\n".join(lines) + "\n"


def _summary(
    sections: list[Section], requirements: list[Requirement], cited: Mapping[str, list[Citation]]
) -> list[str]:
    lines = ["| Section | Status | IDs | With tests | Not met | Without |", "|---|---|--:|--:|--:|--:|"]
    totals: Counter[str] = Counter()
    for section in sections:
        counts = Counter(
            "not met" if row.unmet else "tests" if row.id in cited else "without"
            for row in requirements
            if row.section == section.name
        )
        totals += counts
        lines.append(f"| {section.name}: {section.title} | {section.status} | {_counts(counts)} |")
    lines.append(f"| All | | {_counts(totals)} |")
    return lines


def _counts(counts: Counter[str]) -> str:
    return f"{counts.total()} | {counts['tests']} | {counts['not met']} | {counts['without']}"


def _proof(row: Requirement, section: Section, tests: Iterable[Citation]) -> str:
    links = [f"[{test.test}](../../{test.path})" for test in tests]
    if row.unmet:
        links.insert(0, f"not met: {_cell(row.unmet)}")
    return "<br>".join(links) or ("no test" if section.finished else "pending")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("MUST*", "MUST\\*")


# ---------------------------------------------------------------- the command


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.conformance")
    parser.add_argument("act", choices=("write", "check"))
    act = parser.parse_args(arguments).act
    try:
        sections, requirements = load((root / REQUIREMENTS).read_text("utf-8"))
        found = collect(root)
    except DataError as exc:
        print(exc, file=sys.stderr)
        return 1
    page = root / PAGE
    if act == "write":
        page.write_text(render(sections, requirements, found), "utf-8")
        return 0
    said = problems(sections, requirements, found, page.read_text("utf-8") if page.exists() else None)
    for row in unproven(sections, requirements, found):
        if row.level not in _MUSTS:
            print(f"note: {row.id} ({row.level}) has no test")
    for problem in said:
        print(problem, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
