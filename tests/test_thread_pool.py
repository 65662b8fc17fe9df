"""The constructor of ThreadPool, and its end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bridge import ThreadPool, WSGIToASGI
from bridge.errors import ConfigurationError
from tests.contract.wsgi_specimens import answering
from tests.support.asgi import get, happened
from tests.support.ids import text_of


async def _coroutine() -> None:
    pass


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"threads": 0}, "threads=0"),
        ({"threads": 1.5}, "threads=1.5"),
        ({"threads": True}, "threads=True"),
        ({"backlog": -1}, "backlog=-1"),
        ({"backlog": None}, "backlog=None"),
        ({"name": 5}, "name=5"),
        ({"on_worker_start": "start"}, "on_worker_start='start'"),
        ({"on_worker_stop": _coroutine}, "on_worker_stop="),
        ({"shutdown_timeout": -1}, "shutdown_timeout=-1"),
    ],
    ids=text_of,
)
def test_a_wrong_argument_is_refused_by_name(options: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        ThreadPool(**options)

    assert str(info.value).startswith(names)
    assert "expected" in str(info.value)


async def test_close_waits_no_longer_than_its_timeout_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    inside, go = threading.Event(), threading.Event()

    def hold(environ: Any) -> None:
        inside.set()
        assert go.wait(10)

    pool = ThreadPool(1, name="bridge-late", shutdown_timeout=0)
    task = asyncio.create_task(get(WSGIToASGI(answering([b"x"], first=hold), pool=pool)))
    assert await happened(inside)

    await asyncio.to_thread(pool.close)

    assert "bridge-late: requests still run after a shutdown timeout of 0 s" in caplog.text
    go.set()
    assert (await task).body == b"x"
