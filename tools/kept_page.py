"""A page that is written from the figures of a run, which are kept beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["keep_page"]


def keep_page(
    arguments: list[str],
    *,
    tool: str,
    data: Path,
    page: Path,
    run: Callable[[], dict[str, Any]],
    render: Callable[[dict[str, Any]], str],
    problems_of: Callable[[dict[str, Any]], list[str]],
) -> int:
    """Do what a command line asks for: `write` takes the figures anew, `render` writes the page again.

    Args:
        arguments: of the command line.
        tool: the module, such as "tools.servers".
        data: the file of the figures.
        page: the file of the page.
        run: gives the figures.
        render: gives the page of them.
        problems_of: names what is not as it is declared to be.

    Returns:
        The exit code: 1 if there are problems, 2 for wrong arguments.
    """
    if arguments == ["write"]:
        data.write_text(json.dumps(run(), indent=1) + "\n", "utf-8")
    elif arguments != ["render"]:
        print(f"usage: python -m {tool} write|render")
        return 2
    figures = json.loads(data.read_text("utf-8"))
    page.write_text(render(figures), "utf-8")
    problems = problems_of(figures)
    print("\n".join(problems))
    return 1 if problems else 0
