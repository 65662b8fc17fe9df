"""What becomes of an error of a WSGI app that no task is left to raise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from bridge._runtime.mailbox import Mailbox
from bridge._runtime.outlet import Outlet
from bridge._runtime.wsgi_host import WSGIHost
from bridge._runtime.wsgi_run import Part, WSGIRun
from bridge.types import Environ, StartResponse


def failing(error: BaseException) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        raise error

    return app


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.spec("SEC-34")
@pytest.mark.parametrize(
    ("error", "logged"),
    [(ValueError("of the app"), 1), (ConnectionResetError("gone"), 0)],
    ids=["error", "gone"],
)
def test_an_app_that_fails_after_the_loop_was_closed_is_logged_and_after_request_runs(
    error: Exception, logged: int, loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """Else its database session is kept."""
    after: list[str] = []
    outlet: Outlet[Part] = Outlet(Mailbox(loop))
    host = WSGIHost("shop", strict=False, after_request=lambda: after.append("after"))
    run = WSGIRun(failing(error), {"REQUEST_METHOD": "GET"}, outlet, host)
    taking = outlet.take()
    taking.send(None)  # it waits, as a task would, when the loop is closed under it
    loop.close()

    run()

    taking.close()
    assert after == ["after"]
    assert [(record.levelno, record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        (logging.ERROR, error)
    ] * logged
