"""A site under the servers that people use."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from websockets.sync.client import connect

from tests.support.servers import Server, serve, stop

# Without daphne, which runs no lifespan (4.2): these apps could not serve under it natively.
ASGI = ("uvicorn", "uvicorn-h11", "hypercorn", "granian")
WSGI = ("gunicorn", "gunicorn-sync", "waitress")
SITE = "tests.servers.composed"
UP = ["api up", "inner up", "host up"]
DOWN = ["host down", "inner down", "api down"]


@pytest.fixture(scope="module", params=[*ASGI, *WSGI])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, f"{SITE}:{'app' if request.param in ASGI else 'application'}") as running:
        yield running


def fetch(server: Server, target: str, host: str = "test") -> tuple[int, str, str]:
    """Ask for a target as it is written; give status, Location and body."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.putrequest("GET", target, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers.get("Location", ""), response.read().decode("latin-1")


@pytest.mark.spec("SEC-14", "U-14")
@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/x", "root  /x"),
        ("/legacy/x", "legacy /legacy /x"),
        ("/legacyx", "root  /legacyx"),
        ("/legacy/a%2Fb", "legacy /legacy /a/b"),
        ("/legacy%2Fx", "root  /legacy/x"),
        ("/legacy/%2e%2e/api", "legacy /legacy /../api"),
        ("/legacy/%C3%A9", "legacy /legacy /\xc3\xa9"),
        ("/api/x?a=/legacy%2F", "api /api /api/x"),
        ("/inner/deep/x", "deep /inner/deep /x"),
        ("/inner/x", "inner /inner /inner/x"),
    ],
)
def test_a_path_reaches_its_app(server: Server, target: str, body: str) -> None:
    assert fetch(server, target) == (200, "", body)


def test_a_host_reaches_its_app(server: Server) -> None:
    assert fetch(server, "/legacy/x", host="other.test:80")[2] == "host  /legacy/x"


def test_a_mount_without_its_slash_redirects(server: Server) -> None:
    assert fetch(server, "/legacy?a=%2F")[:2] == (307, "/legacy/?a=%2F")


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"], indirect=True)
@pytest.mark.parametrize("path", ["/ws/echo", "/ws", "/sock/echo"])
def test_a_websocket_reaches_its_app_on_either_face(server: Server, path: str) -> None:
    """On the WSGI face too: the server hands out its socket, and no redirect stands in the way."""
    with connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=20, proxy=None) as client:
        client.send("hello")

        assert client.recv(timeout=20) == f"/{path.split('/')[1]} hello"


@pytest.mark.spec("L-02", "L-15")
@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "gunicorn", "gunicorn-preload"])
def test_all_apps_start_in_order_and_stop_in_reverse_in_each_worker(kind: str) -> None:
    """granian and waitress end without a word to the app; the server matrix has that."""
    options = ["--preload", "--no-control-socket"] if kind == "gunicorn-preload" else []
    face = "application" if kind.startswith("gunicorn") else "app"
    with serve(kind.removesuffix("-preload"), f"{SITE}:{face}", *options) as running:
        assert fetch(running, "/legacy/x")[0] == 200
        stop(running)
        told = re.findall(r"^(\w+ (?:up|down)) (\d+)$", running.output, re.MULTILINE)

    assert [what for what, _ in told] == UP + DOWN
    assert len({pid for _, pid in told}) == 1
