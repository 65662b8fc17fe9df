"""How a tool keeps the figures of a run and the page of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.kept_page import keep_page


@pytest.mark.parametrize(
    ("arguments", "problems", "code", "page"),
    [
        (["write"], [], 0, "2 servers"),
        (["write"], ["one is not so"], 1, "2 servers"),
        (["render"], [], 0, "1 servers"),
        ([], [], 2, ""),
        (["writ"], [], 2, ""),
    ],
)
def test_write_takes_the_figures_anew_and_render_takes_those_that_are_there(
    tmp_path: Path, arguments: list[str], problems: list[str], code: int, page: str
) -> None:
    figures, written = tmp_path / "figures.json", tmp_path / "page.md"
    figures.write_text('{"servers": 1}', "utf-8")
    written.touch()

    found = keep_page(
        arguments,
        tool="tools.any",
        data=figures,
        page=written,
        run=lambda: {"servers": 2},
        render=lambda data: f"{data['servers']} servers",
        problems_of=lambda _: problems,
    )

    assert (found, written.read_text("utf-8")) == (code, page)
