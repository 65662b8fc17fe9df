"""Files over real servers: whole, and without a thread of the app while they go out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.wire import get, head, narrow
from tests.support.servers import Server, serve

SIZE = 24 * 1024 * 1024
"""More than the buffers of two sockets and of a server take."""

ASGI = {"uvicorn": False, "granian": True}
"""Which servers offer pathsend."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("sent") / "file.bin"
    path.write_bytes(os.urandom(1024) * (SIZE // 1024))
    return path


@pytest.fixture(params=ASGI)
def asgi_server(request: pytest.FixtureRequest, path: Path) -> Iterator[Server]:
    with serve(request.param, "tests.extensions.apps:wsgi_bridged", env={"SENT_FILE": str(path)}) as server:
        offered = b"http.response.pathsend" in get(server, "/extensions").body
        assert offered is ASGI[request.param]
        yield server


@pytest.mark.spec("E-05", "E-13", "W-61")
def test_slow_downloads_leave_every_thread_to_the_others(asgi_server: Server, path: Path) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(narrow(asgi_server)) for _ in range(4)]  # the app has two threads
        for sock in slow:
            sock.sendall(head("/file", "Connection: close"))
            assert sock.recv(12) == b"HTTP/1.1 200"

        for _ in range(4):
            assert get(asgi_server, "/thread").body.startswith(b"bridge-")

        rest = slow[0]
        received = bytearray()
        while data := rest.recv(1 << 20):
            received += data
    body = bytes(received).partition(b"\r\n\r\n")[2]
    assert body == path.read_bytes()
