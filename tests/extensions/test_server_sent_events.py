"""200 event streams at once, in both directions: each event arrives while its stream waits for the next."""

from __future__ import annotations

import itertools
import json
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.extensions.event_streams import STREAMS
from tests.servers.wire import get, head, recv_until
from tests.support.servers import Server, serve

COMMANDS = {
    "uvicorn": ("tests.extensions.event_streams:wsgi_bridged", []),
    "gunicorn": (
        "tests.extensions.event_streams:asgi_bridged",
        ["--threads", str(STREAMS + 4), "--worker-connections", "1000"],
    ),
}

_runs = itertools.count()

EVENT = re.compile(rb"data: (\d+)\n\n")


@pytest.fixture(scope="module", params=COMMANDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    app, options = COMMANDS[request.param]
    with serve(request.param, app, *options) as server:
        yield server


def open_streams(server: Server, stack: ExitStack) -> dict[str, socket.socket]:
    """Open as many streams as there are threads for, by names that no test had before."""
    run = next(_runs)
    opened = {f"{run}-{number}": stack.enter_context(server.connect(20)) for number in range(STREAMS)}
    for name, sock in opened.items():
        sock.sendall(head(f"/events/{name}"))
    for sock in opened.values():
        recv_until(sock, b"retry: 1000\n\n")
    return opened


@pytest.fixture
def streams(server: Server) -> Iterator[dict[str, socket.socket]]:
    with ExitStack() as stack:
        yield open_streams(server, stack)
    assert b"True" in get(server, "/all-ended").body


def next_event(sock: socket.socket) -> tuple[int, int]:
    """Wait for an event; give the time of its yield and of its arrival, in nanoseconds."""
    received = b""
    while (found := EVENT.search(received)) is None:
        data = sock.recv(65536)
        assert data, "the stream ended"
        received += data
    return int(found[1]), time.monotonic_ns()


@pytest.mark.spec("W-46", "WA-10", "AA-12", "A-33", "SEC-20")
def test_each_of_200_streams_gets_its_event_before_the_next_is_made_and_ends_with_its_client(
    server: Server,
    streams: dict[str, socket.socket],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    millis = []
    with server.connect(20) as teller:
        for name, sock in streams.items():
            teller.sendall(head(f"/say/{name}"))
            recv_until(teller, b"said")
            said, arrived = next_event(sock)
            millis.append((arrived - said) / 1e6)

    assert min(millis) > 0  # one clock for both processes
    median, late = statistics.median(millis), statistics.quantiles(millis, n=100)[-1]
    record_property("event_millis", median)
    kind = request.node.callspec.params["server"]
    print(
        f"\n{kind}: an event of one of {STREAMS} open streams after {median:.1f} ms "
        f"(median; 99 % within {late:.1f} ms)"
    )
    for sock in streams.values():
        recv_until(sock, b": keep-alive\n\n")  # nothing to say, and still there


@pytest.mark.spec("AA-12", "A-33", "SEC-20")
def test_the_threads_of_200_clients_that_leave_are_free_for_the_next_200(
    server: Server, streams: dict[str, socket.socket], request: pytest.FixtureRequest
) -> None:
    """A generator has its end at the next block, and at once under gunicorn: what counts are its blocks.

    Ten of them would be five seconds: it is time enough for any machine, and far from never.
    """
    left = {}
    for name, sock in streams.items():
        left[name] = time.monotonic_ns()
        sock.close()
    seconds = []
    for name, at in left.items():
        ended, *made = json.loads(get(server, f"/end/{name}").body)
        assert sum(block > at for block in made) <= 10
        seconds.append((ended - at) / 1e9)
    with ExitStack() as stack:
        assert len(open_streams(server, stack)) == STREAMS  # there are four threads more than these

    kind = request.node.callspec.params["server"]
    print(
        f"\n{kind}: a stream of {STREAMS} ends {statistics.median(seconds):.2f} s after its client has left "
        f"(median; the last after {max(seconds):.2f} s)"
    )
