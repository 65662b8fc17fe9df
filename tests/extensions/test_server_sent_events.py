"""200 event streams at once, in both directions: each event arrives while its stream waits for the next."""

from __future__ import annotations

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

EVENT = re.compile(rb"data: (\d+)\n\n")


@pytest.fixture(scope="module", params=COMMANDS)
def streams(request: pytest.FixtureRequest) -> Iterator[tuple[Server, list[socket.socket]]]:
    """A server, and its open streams."""
    app, options = COMMANDS[request.param]
    with serve(request.param, app, *options) as server, ExitStack() as stack:
        opened = [stack.enter_context(server.connect(20)) for _ in range(STREAMS)]
        for number, sock in enumerate(opened):
            sock.sendall(head(f"/events/{number}"))
        for sock in opened:
            recv_until(sock, b"retry: 1000\n\n")
        yield server, opened


def next_event(sock: socket.socket) -> tuple[int, int]:
    """Wait for an event; give the time of its yield and of its arrival, in nanoseconds."""
    received = b""
    while (found := EVENT.search(received)) is None:
        data = sock.recv(65536)
        assert data, "the stream ended"
        received += data
    return int(found[1]), time.monotonic_ns()


@pytest.mark.spec("W-46", "WA-10")
def test_each_of_200_streams_gets_its_event_before_the_next_is_made(
    streams: tuple[Server, list[socket.socket]],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    server, opened = streams
    millis = []
    with server.connect(20) as teller:
        for number, sock in enumerate(opened):
            teller.sendall(head(f"/say/{number}"))
            recv_until(teller, b"said")
            said, arrived = next_event(sock)
            millis.append((arrived - said) / 1e6)

    assert min(millis) > 0  # one clock for both processes
    median, late = statistics.median(millis), statistics.quantiles(millis, n=100)[-1]
    record_property("event_millis", median)
    kind = request.node.callspec.params["streams"]
    print(
        f"\n{kind}: an event of one of {STREAMS} open streams after {median:.1f} ms "
        f"(median; 99 % within {late:.1f} ms)"
    )


def test_an_event_for_all_reaches_all(streams: tuple[Server, list[socket.socket]]) -> None:
    server, opened = streams
    with server.connect(20) as teller:
        for number in range(STREAMS):
            teller.sendall(head(f"/say/{number}"))
            recv_until(teller, b"said")

    assert len([next_event(sock) for sock in opened]) == STREAMS


def test_a_stream_with_nothing_to_say_keeps_its_connection_alive(
    streams: tuple[Server, list[socket.socket]],
) -> None:
    recv_until(streams[1][0], b": keep-alive\n\n")


@pytest.mark.spec("AA-12", "A-33", "SEC-20")
def test_streams_whose_clients_leave_end(streams: tuple[Server, list[socket.socket]]) -> None:
    """The last of this module: it closes what the others use."""
    server, opened = streams
    for sock in opened:
        sock.close()

    assert b"True" in get(server, "/open?count=0").body
