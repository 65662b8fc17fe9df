"""Settings of the whole suite."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from bridge._runtime.loop import shared_loop_thread

# Under `python -O` the asserts of these would be gone, as pytest rewrites those of test modules only.
pytest.register_assert_rewrite(
    "tests.support", "tests.servers", "tests.faults", "tests.websocket", "fuzz.targets"
)

pytest_plugins = ["tests.servers.fixtures"]  # shared by tests/servers and tests/faults: one server of a kind


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cites", default="", help="run only tests that cite these: SEC,H-09 (a section, or an ID)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cites none of the sections and requirements of `--cites`."""
    wanted = set(filter(None, config.getoption("cites").split(",")))
    if not wanted:
        return
    cited = [item for item in items if not wanted.isdisjoint(_citations(item))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(cited)])
    items[:] = cited


def _citations(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("spec"):
        for identifier in mark.args:
            yield from (identifier, identifier.rpartition("-")[0])


def pytest_configure() -> None:
    """Take SIGINT up again, which a shell has its background ignore; servers under test would inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if seconds := os.environ.get("SWITCH_INTERVAL"):
        sys.setswitchinterval(float(seconds))  # `make stress`: the threads change places at every chance


@pytest.fixture(scope="session", autouse=True)
def _loop_ends_with_the_session() -> Iterator[None]:
    yield
    shared_loop_thread().close()


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Switch the cycle collector off: what dies in the test dies by its reference count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def bridge_threads() -> list[threading.Thread]:
    """The worker threads of all WSGIToASGI adapters."""
    return [t for t in threading.enumerate() if t.name.startswith("bridge-") and t.name != "bridge-loop"]
