"""The direction of the imports in bridge/, and what each room may import.

`python -m tools.layering` fails on an arrow that points back, on threads and loops where they do not belong,
on a third-party import in the core, on `assert` in the package and on module names that say nothing. It warns
about long modules. The code is read, never imported.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "bridge"

# From the bottom up. A room imports from the layers below its own, and from itself. A room is a module or a
# folder at the top of the package; "__init__" is `import bridge` itself.
LAYERS: Final = (
    ("types", "errors"),
    ("_protocol",),
    ("_runtime",),
    ("observation",),
    ("wsgi_to_asgi", "asgi_to_wsgi"),
    ("adapt",),
    ("lifespan",),
    ("_layers",),
    ("stack",),
    ("_router",),
    ("site",),
    ("middleware",),
    ("__init__",),
    ("testing",),
    ("integrations",),
    ("cli",),
    ("__main__",),
)
_LAYER_OF: Final = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}

# What turns a pure function into one that waits, logs or depends on the machine.
_IMPURE: Final = frozenset(
    {
        "asyncio",
        "concurrent",
        "logging",
        "multiprocessing",
        "os",
        "queue",
        "selectors",
        "socket",
        "subprocess",
    }
    | {"threading"}
)
_THREADS: Final = frozenset({"queue", "threading"})
_THREAD_ROOMS: Final = frozenset({"_runtime", "wsgi_to_asgi", "asgi_to_wsgi"})
_OUTSIDE_THE_CORE: Final = frozenset({"integrations", "testing", "cli", "__main__"})
_EMPTY_NAMES: Final = frozenset({"base", "common", "helpers", "utils"})
# The one file of each optional library, which nothing imports at its top.
_OPTIONAL: Final = {"bridge._protocol.frames": "wsproto", "bridge._runtime.greenlets": "gevent"}
_LONG: Final = 320


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module.

    Attributes:
        module: its full name.
        line: where.
        at_top: whether it is imported as soon as the importing module is, not in a function and not for
            the type checker alone.
    """

    module: str
    line: int
    at_top: bool


def imports(tree: ast.Module, module: str, *, is_package: bool = False) -> list[Import]:
    """Find what a module imports, relative imports resolved.

    Args:
        tree: of the module.
        module: its full name.
        is_package: whether it is an `__init__.py`.
    """
    found: list[Import] = []
    for node, at_top in _walk(tree, at_top=True):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, module, is_package)
            if source == PACKAGE:  # `from bridge import errors`: the name may be a room
                found += [Import(f"{PACKAGE}.{alias.name}", node.lineno, at_top) for alias in node.names]
            else:
                found.append(Import(source, node.lineno, at_top))
    return found


def _walk(node: ast.AST, *, at_top: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_for_types(child)
        yield child, at_top
        yield from _walk(child, at_top=at_top and not inside)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    up = node.level - 1 if is_package else node.level
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def room_of(module: str) -> str:
    """Give the room of a module of the package; a name that is no room stands for the package itself."""
    room = module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]
    return room if room in _LAYER_OF else "__init__"


def problems_of(source: str, path: Path) -> list[str]:
    """Say what is wrong with one module.

    Args:
        source: its text.
        path: from the root of the project: `bridge/_protocol/paths.py`.
    """
    tree = ast.parse(source, str(path))
    parts = path.with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    room = parts[1]
    said: list[str] = []
    if room not in _LAYER_OF:
        said.append(f"{path}: has no place in LAYERS of tools/layering.py")
    said += [f"{path}: the name {part!r} says nothing" for part in parts if part in _EMPTY_NAMES]
    for found in imports(tree, module, is_package=is_package):
        if _OPTIONAL.get(module) == found.module.partition(".")[0]:
            continue
        said += [f"{path}:{found.line}: {problem}" for problem in _problems_of_import(room, found)]
    said += [
        f"{path}:{node.lineno}: assert is gone under `python -O`: raise instead"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    return said


def _problems_of_import(room: str, found: Import) -> Iterator[str]:
    top = found.module.partition(".")[0]
    if top == PACKAGE:
        target = room_of(found.module)
        if target != room and room in _LAYER_OF and _LAYER_OF[target] >= _LAYER_OF[room]:
            yield f"{room} imports {found.module}, which is not below it"
        return
    if room == "_protocol" and top in _IMPURE:
        yield f"_protocol is pure: it may not import {found.module}"
    elif top in _THREADS and room not in _THREAD_ROOMS:
        yield f"{found.module} belongs to _runtime and the two adapters"
    third_party = top not in sys.stdlib_module_names
    if third_party and found.at_top and room not in _OUTSIDE_THE_CORE:
        yield f"the core loads only the standard library: {found.module} is imported at the top"


def files(root: Path) -> list[Path]:
    """Give the modules of the package, from the root of the project."""
    return sorted(file.relative_to(root) for file in (root / PACKAGE).rglob("*.py"))


def warnings(lengths: Iterable[tuple[Path, int]]) -> list[str]:
    """Say which modules may have become two."""
    return [
        f"warning: {path} has {lines} lines, more than {_LONG}" for path, lines in lengths if lines > _LONG
    ]


def main(root: Path = ROOT) -> int:
    """Run the command; give its exit code."""
    said: list[str] = []
    lengths: list[tuple[Path, int]] = []
    for path in files(root):
        source = (root / path).read_text("utf-8")
        said += problems_of(source, path)
        lengths.append((path, source.count("\n")))
    for line in warnings(lengths):
        print(line)
    for line in said:
        print(line, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
