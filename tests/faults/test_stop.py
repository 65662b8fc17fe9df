"""SIGTERM while a request, a stream, a reader and an uploader that stall are in flight."""

from __future__ import annotations

import contextlib
import socket
from contextlib import ExitStack

import pytest

from tests.faults.full import fully
from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, Start, target
from tests.servers.wire import head, narrow, read_reply, recv_until
from tests.support.servers import wait_for_output

OPTIONS = {
    "uvicorn": ("--timeout-graceful-shutdown", "2"),
    # Its worker waits for a stalled client as long as its arbiter does, which then kills it.
    "gunicorn": ("--graceful-timeout", "4", "--config", "python:tests.faults.gunicorn_config"),
}

NOTICE = {"uvicorn": "Waiting for connections to close", "gunicorn": "Handling signal: term"}
"""What is logged when a server has taken note of the signal."""


@pytest.mark.spec("L-06", "L-13", "SEC-11", "SEC-20")
@pytest.mark.parametrize("kind", ["gunicorn", *fully("uvicorn")])
def test_stop_with_everything_in_flight_ends_in_order(start_site: Start, key: str, kind: str) -> None:
    assert THREADS >= 4  # one for each
    with start_site(kind, *OPTIONS[kind], module="tests.faults.apps") as site, ExitStack() as stack:
        request, stream, upload = (stack.enter_context(site.server.connect(20.0)) for _ in range(3))
        reader = stack.enter_context(narrow(site.server))
        request.sendall(head(target("/source", key=f"{key} request", gate=True, blocks=1, size=3)))
        stream.sendall(head(target("/first", key=f"{key} stream")))
        reader.sendall(head(target("/source", key=f"{key} reader", size=100_000)))
        upload.sendall(
            head(target("/sink", key=f"{key} upload"), "Content-Length: 100000", method="POST") + bytes(1000)
        )
        for who in ("request", "reader", "upload"):
            site.board.wait(f"{key} {who}", "entered")
        begun = recv_until(stream, b"\n\r\n")

        site.server.process.terminate()
        wait_for_output(site.server, NOTICE[kind])
        site.board.note(f"{key} request", "go")
        site.board.note(f"{key} stream", "go")

        reply = read_reply(request)
        assert (reply.status, reply.body, reply.whole) == (200, bytes(3), True)
        assert recv_until(stream, b"0\r\n\r\n", begun).endswith(b"3\r\nend\r\n0\r\n\r\n")
        site.server.process.wait(30)
        output = site.server.output
        assert read_reply(upload).status != 200
        assert not _rest_is_whole(reader)
    if kind in ASGI:
        assert output.count("[thread ends]") == output.count("[thread begins]") == THREADS
    else:
        assert output.count("[lifespan.startup.complete]") == 1
        assert output.count("[lifespan.shutdown.complete]") == 1


def _rest_is_whole(sock: socket.socket) -> bool:
    """Read what is left of an answer in chunks; tell whether it has come to an end of its own."""
    tail = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 20):
            tail = (tail + data)[-5:]
    return tail == b"0\r\n\r\n"
