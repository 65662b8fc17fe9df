"""ASGI apps under gunicorn's gevent worker: the loop has a thread of the system, waiting is in the hub."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.servers import Server, serve, wait_for_output

REQUESTS = 100


PRELOAD = {
    "patched by the worker": [],
    "imported before the patch": ["--preload"],
    "patched by the configuration": ["--preload", "--config", "python:tests.servers.gevent_config"],
}


@pytest.fixture(scope="module", params=PRELOAD)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("gunicorn-gevent", "tests.servers.gevent_app:app", *PRELOAD[request.param]) as server:
        yield server


def _get(server: Server, path: str) -> str:
    return httpx.get(server.url + path, timeout=30, verify=False).text


def test_a_hundred_requests_wait_at_once(server: Server) -> None:
    _get(server, "/reset")
    with ThreadPoolExecutor(REQUESTS) as clients:
        answers = list(clients.map(_get, [server] * REQUESTS, [f"/meet/{REQUESTS}"] * REQUESTS))
    assert answers == ['"met"'] * REQUESTS


# Not where the app is imported first: anyio 4 keeps a thread-local that then is all greenlets' together.
@pytest.mark.parametrize("server", ["patched by the worker", "patched by the configuration"], indirect=True)
def test_the_threads_of_the_app_run_side_by_side(server: Server) -> None:
    _get(server, "/reset")
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(_get, [server] * 20, ["/meet-in-threads/20"] * 20))
    assert answers == ['"met"'] * 20


def test_an_app_that_keeps_its_loop_does_not_stop_the_hub(server: Server) -> None:
    with ThreadPoolExecutor(1) as clients:
        computed = clients.submit(_get, server, "/compute")
        wait_for_output(server, "computing")
        assert _get(server, "/release") == "released"
        assert computed.result(30) == '"computed"'


def test_a_large_body_crosses_in_both_directions(server: Server) -> None:
    body = b"x" * 3_000_000
    assert httpx.post(server.url + "/echo", content=body, timeout=30, verify=False).content == body


def test_synchronous_code_of_the_app_sees_no_running_loop(server: Server) -> None:
    assert _get(server, "/running-loop") == "false"


def test_the_lifespan_runs_once_and_ends_with_the_worker() -> None:
    with serve("gunicorn-gevent", "tests.servers.gevent_app:app", "--preload") as server:
        with ThreadPoolExecutor(8) as clients:  # the first requests wait for one startup
            list(clients.map(_get, [server] * 8, ["/reset"] * 8))
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert server.output.count("startup") == 1
        assert server.output.count("shutdown\n") == 1
