from __future__ import annotations

from pathlib import Path

import pytest

from tools.layering import main, problems_of, warnings


def problems(source: str, path: str) -> list[str]:
    return problems_of(source, Path(path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("bridge/errors.py", "import bridge._protocol.limits"),
        ("bridge/_protocol/paths.py", "from bridge._runtime.loop import LoopThread"),
        ("bridge/_protocol/paths.py", "from .._runtime.loop import LoopThread"),
        ("bridge/_protocol/__init__.py", "from .. import adapt"),
        ("bridge/_runtime/loop.py", "from bridge import WSGIToASGI"),
        ("bridge/_runtime/loop.py", "def late():\n    import bridge.adapt"),
        ("bridge/wsgi_to_asgi.py", "from bridge.asgi_to_wsgi import ASGIToWSGI"),
        ("bridge/adapt.py", "from bridge import site"),
        ("bridge/__init__.py", "from bridge.integrations.flask import mount"),
        ("bridge/site.py", "import bridge"),
    ],
)
def test_an_arrow_that_points_back_is_named(path: str, source: str) -> None:
    [problem] = problems(source, path)

    assert problem.startswith(path)
    assert "not below it" in problem


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("bridge/_protocol/paths.py", "from bridge.types import Text\nfrom bridge.errors import BridgeError"),
        ("bridge/_protocol/request.py", "from bridge._protocol.paths import raw_path\nfrom . import limits"),
        ("bridge/_runtime/loop.py", "import asyncio, threading, logging, os, queue"),
        ("bridge/wsgi_to_asgi.py", "import threading\nfrom bridge._runtime.loop import LoopThread"),
        ("bridge/adapt.py", "from bridge import wsgi_to_asgi"),
        ("bridge/__init__.py", "from bridge.adapt import detect"),
        ("bridge/integrations/flask.py", "import flask\nfrom bridge import WSGIToASGI"),
        ("bridge/cli.py", "import click\nfrom bridge.site import Site"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert problems(source, path) == []


@pytest.mark.parametrize("name", ["asyncio", "threading", "socket", "os", "os.path", "logging", "queue"])
def test_the_pure_half_may_not_act(name: str) -> None:
    [problem] = problems(f"import {name}", "bridge/_protocol/paths.py")

    assert problem == f"bridge/_protocol/paths.py:1: _protocol is pure: it may not import {name}"


@pytest.mark.parametrize("path", ["bridge/adapt.py", "bridge/site.py", "bridge/middleware/gzip.py"])
def test_threads_belong_to_the_runtime_and_the_adapters(path: str) -> None:
    [problem] = problems("from queue import SimpleQueue", path)

    assert "queue belongs to _runtime and the two adapters" in problem


@pytest.mark.parametrize(
    "source",
    [
        "import asgiref.sync",
        "from starlette.routing import Mount",
        "try:\n    import uvloop\nexcept ImportError: ...",
    ],
)
def test_a_third_party_import_at_the_top_of_the_core_is_named(source: str) -> None:
    [problem] = problems(source, "bridge/_runtime/loop.py")

    assert "only the standard library" in problem


@pytest.mark.parametrize(
    "source", ["def best():\n    import uvloop", "if TYPE_CHECKING:\n    from asgiref.typing import Scope"]
)
def test_a_third_party_import_on_demand_passes(source: str) -> None:
    assert problems(source, "bridge/_runtime/loop.py") == []


def test_an_assert_in_the_package_is_named() -> None:
    [problem] = problems("def f(x):\n    assert x", "bridge/adapt.py")

    assert problem == "bridge/adapt.py:2: assert is gone under `python -O`: raise instead"


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base"])
def test_a_module_name_that_says_nothing_is_refused(name: str) -> None:
    [problem] = problems("", f"bridge/_runtime/{name}.py")

    assert f"{name!r} says nothing" in problem


def test_a_room_without_a_place_is_named() -> None:
    [problem] = problems("", "bridge/attic.py")

    assert "has no place in LAYERS" in problem


def test_only_a_long_module_is_warned_of() -> None:
    assert warnings([(Path("a.py"), 320), (Path("b.py"), 321)]) == [
        "warning: b.py has 321 lines, more than 320"
    ]


def test_a_problem_decides_the_exit_code_and_a_warning_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "bridge/errors.py"
    module.parent.mkdir()

    module.write_text("\n" * 400)
    long_but_right = main(tmp_path)
    module.write_text("assert True\n")
    wrong = main(tmp_path)

    assert (long_but_right, wrong) == (0, 1)
    assert capsys.readouterr().out.startswith("warning: bridge/errors.py has 400 lines")


def test_the_package_keeps_its_direction(capsys: pytest.CaptureFixture[str]) -> None:
    main()

    assert capsys.readouterr().err == ""
