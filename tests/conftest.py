"""Settings of the whole suite."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from bridge._runtime.loop import shared_loop_thread


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
