from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bridge
import bridge.errors
import bridge.integrations

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/api.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## ([\w.]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
MODULES = [
    "bridge",
    *sorted(f"bridge.{m.name}" for m in pkgutil.iter_modules(bridge.__path__) if m.name[0] != "_"),
    *sorted(
        f"bridge.integrations.{m.name}"
        for m in pkgutil.iter_modules(bridge.integrations.__path__)
        if m.name[0] != "_"
    ),
]


def documented(module: str) -> set[str]:
    """Give the names that the page describes: headings, and the first cells of tables."""
    return set(re.findall(r"^(?:### |\| )`(\w+)`", SECTIONS.get(module, ""), re.MULTILINE))


def compact(text: str) -> str:
    return re.sub(r",(?=\))", "", re.sub(r"\s", "", text)).replace('"', "'")


def signature_of(name: str) -> str:
    signature = inspect.signature(getattr(bridge, name))
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return name + str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_all_is_there_and_sorted(module: str) -> None:
    found = importlib.import_module(module)

    assert sorted(found.__all__) == found.__all__
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_names_exactly_what_is_public(module: str) -> None:
    public = set(importlib.import_module(module).__all__)

    assert documented(module) == (public if module == "bridge" else public - set(bridge.__all__))


def test_the_reference_has_no_section_without_a_module() -> None:
    assert set(SECTIONS) <= set(MODULES)


@pytest.mark.parametrize("name", bridge.__all__)
def test_the_reference_shows_the_signature(name: str) -> None:
    shown = SECTIONS["bridge"].split(f"### `{name}`")[1].split("```python\n")[1].split("```")[0]

    assert compact(shown) == compact(signature_of(name))


@pytest.mark.parametrize("name", bridge.errors.__all__)
def test_every_error_stands_in_both_drawings_of_the_tree(name: str) -> None:
    drawings = [SECTIONS["bridge.errors"].split("```")[1], bridge.errors.__doc__ or ""]

    assert all(re.search(rf"\b{name}\b", drawing) for drawing in drawings)


@pytest.mark.parametrize("name", bridge.errors.__all__)
def test_every_error_is_a_bridge_error(name: str) -> None:
    assert issubclass(getattr(bridge.errors, name), bridge.errors.BridgeError)


def test_importing_loads_the_standard_library_only() -> None:
    loaded = python(
        "import sys; before = set(sys.modules); import bridge\n"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names)"
    )

    assert set(loaded.split()) - {"__mp_main__"} == {"bridge"}  # multiprocessing's other name of __main__


def test_importing_and_building_start_nothing() -> None:
    started = python(
        "import asyncio, threading\n"
        "asyncio.new_event_loop = None\n"
        "import bridge\n"
        "bridge.WSGIToASGI(lambda environ, start_response: []), bridge.ASGIToWSGI(print)\n"
        "print(threading.active_count())"
    )

    assert started == "1"
