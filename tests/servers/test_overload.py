"""More calls of a slow app than it has threads and places, beside native routes of the same server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from select import select

import httpx
import pytest

from tests.servers.overloaded import BACKLOG, CONCURRENCY, QUEUE_TIMEOUT, THREADS
from tests.support.servers import serve

CALLS = 80


@pytest.mark.spec("SEC-21", "W-61")
def test_a_slow_app_leaves_the_native_routes_alone_and_tells_503_to_what_is_too_much() -> None:
    answers: SimpleQueue[httpx.Response] = SimpleQueue()
    with serve("uvicorn", "tests.servers.overloaded:app") as server, ThreadPoolExecutor(CALLS) as pool:
        url = server.url
        try:
            for _ in range(CALLS):
                pool.submit(lambda: answers.put(httpx.get(f"{url}/legacy", timeout=60, verify=False)))
            refused = [answers.get(timeout=30) for _ in range(CALLS - THREADS - BACKLOG)]
            times = []
            with httpx.Client(verify=False) as client:
                for _ in range(100):
                    begun = time.perf_counter()
                    assert client.get(f"{url}/native").content == b"native"
                    times.append(time.perf_counter() - begun)
            held = answers.empty()  # all that were taken are still there
        finally:
            httpx.get(f"{url}/open", verify=False)
        opened = time.perf_counter()
        served = [answers.get(timeout=30) for _ in range(THREADS + BACKLOG)]
        after = httpx.get(f"{url}/legacy", verify=False)
        normal = (time.perf_counter() - opened) * 1000

    assert held
    assert {(answer.status_code, answer.headers.get("retry-after")) for answer in refused} == {(503, "1")}
    assert {(answer.status_code, answer.content) for answer in served} == {(200, b"legacy")}
    assert after.content == b"legacy"  # at once back to normal
    p99 = sorted(times)[98] * 1000
    print(f"uvicorn: beside {CALLS} calls of a slow app a native route has a p99 of {p99:.1f} ms")
    print(f"uvicorn: {THREADS + BACKLOG} held calls and a new one served {normal:.0f} ms after the load")


@pytest.mark.spec("SEC-21")
def test_what_waits_for_too_long_is_told_503_and_not_before() -> None:
    request = b"GET /impatient HTTP/1.1\r\nHost: testserver\r\nConnection: close\r\n\r\n"
    with serve("uvicorn", "tests.servers.overloaded:app") as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect(30)) for _ in range(10)]
        waited, answers = [], []
        begun = time.perf_counter()
        for client in clients:
            client.sendall(request)
        while len(clients) > 1:  # whichever of them has the thread
            for client in select(clients, [], [], 30)[0]:
                answers.append(client.recv(4096))
                waited.append(time.perf_counter() - begun)
                clients.remove(client)
        httpx.get(f"{server.url}/open", verify=False)
        held = clients[0].recv(4096)

    assert held.startswith(b"HTTP/1.1 200")
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 503"}
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in answers)
    assert min(waited) >= QUEUE_TIMEOUT
    late = (max(waited) - QUEUE_TIMEOUT) * 1000
    print(f"uvicorn: 503 for nine calls at most {late:.0f} ms after their time in the queue was over")


@pytest.mark.spec("SEC-21")
def test_an_asgi_app_with_all_it_may_serve_refuses_one_more_and_leaves_threads_to_the_others() -> None:
    answers: SimpleQueue[httpx.Response] = SimpleQueue()
    with (
        serve("gunicorn", "tests.servers.overloaded:wsgi_app") as server,
        ThreadPoolExecutor(CONCURRENCY + 2) as pool,
    ):
        url = server.url
        try:
            for _ in range(CONCURRENCY + 2):
                pool.submit(lambda: answers.put(httpx.get(f"{url}/slow", timeout=60)))
            refused = [answers.get(timeout=30) for _ in range(2)]
            native = httpx.get(f"{url}/native").content
            held = answers.empty()
        finally:
            httpx.get(f"{url}/open")
        served = [answers.get(timeout=30) for _ in range(CONCURRENCY)]
        after = httpx.get(f"{url}/slow")

    assert held
    assert native == b"native"
    assert {(answer.status_code, answer.headers.get("retry-after")) for answer in refused} == {(503, "1")}
    assert {(answer.status_code, answer.content) for answer in (*served, after)} == {(200, b"slow")}
