"""An MCP server inside a Flask site under WSGI servers, with the client of the official SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client

from tests.support.servers import ROOT, Server, free_port, run, stop, wait_for_output

APP = "examples.mcp_in_flask.site:app"
THREADS = "8"
CLIENTS = 3
COMMANDS = {
    "gunicorn": [
        *(sys.executable, "-m", "gunicorn", "--preload", "--threads", THREADS, "--no-control-socket"),
        *("--bind", "127.0.0.1:{port}", APP),
    ],
    "uwsgi": [
        *(str(Path(sys.executable).with_name("uwsgi")), "--http-socket", "127.0.0.1:{port}"),
        *("--master", "--enable-threads", "--threads", THREADS, "--need-app", "--module", APP),
        *("--hook-master-start", "unix_signal:15 gracefully_kill_them_all"),
        *("--add-header", "Connection: close"),
    ],
    "waitress": [
        *(sys.executable, "-m", "waitress", "--threads", THREADS, "--host", "127.0.0.1", "--port", "{port}"),
        *("--channel-request-lookahead=1", APP),
    ],
}

Era = Literal["auto", "legacy"]
"""What the client speaks: the protocol without sessions, or the one that opens with a handshake."""


def command(kind: str, port: int) -> list[str]:
    return [part.format(port=port) for part in COMMANDS[kind]]


@pytest.fixture(scope="module", params=["stateful", "stateless"])
def mode(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module", params=COMMANDS)
def server(request: pytest.FixtureRequest, mode: str) -> Iterator[Server]:
    port = free_port()
    env = {"MCP_STATELESS": "1" if mode == "stateless" else "0"}
    with run(command(request.param, port), port, env=env) as server:
        yield server
        stop(server)
        if request.param != "waitress":  # 3.0 has no handler for SIGTERM: the process ends at once
            wait_for_output(server, "session manager started", "session manager shutting down")
        assert "Traceback" not in server.output


def post(server: Server, path: str, host: str = "127.0.0.1:1") -> int:
    request = urllib.request.Request(
        server.url + path, b"{}", {"Content-Type": "application/json", "Host": host}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status: int = response.status
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code
    return status


eras = pytest.mark.parametrize("era", ["auto", "legacy"])


@pytest.mark.spec("A-38", "L-01", "L-02", "L-15")
@pytest.mark.parametrize("mode", ["stateful"], indirect=True)
def test_the_client_of_the_example_lists_and_calls_a_tool(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.mcp_in_flask.client", f"{server.url}/ai/mcp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.stdout == (
        "word_count: Count the words of a text.\n"
        "publish: Publish an article as soon as an editor has approved it.\n"
        "{'result': 3}\n"
    ), done.stderr


@eras
async def test_a_client_of_either_era_lists_and_calls_a_tool(server: Server, mode: str, era: Era) -> None:
    async with Client(f"{server.url}/ai/mcp", mode=era) as client:
        tools = await client.list_tools()
        result = await client.call_tool("word_count", {"text": "one two three"})

    assert [tool.name for tool in tools.tools] == ["word_count", "publish"]
    assert result.structured_content == {"result": 3}


@pytest.mark.spec("A-31")
@eras
async def test_progress_arrives_before_the_tool_ends(server: Server, era: Era) -> None:
    """The tool waits for an approval, which is given only when its progress has been seen."""
    approvals: list[int] = []

    async def approve(progress: float, total: float | None, message: str | None) -> None:
        assert (progress, total, message) == (1, 2, "waiting for an editor")
        approvals.append(await asyncio.to_thread(post, server, f"/articles/News-{era}/approval"))

    async with Client(f"{server.url}/ai/mcp", mode=era) as client:
        result = await client.call_tool("publish", {"title": f"News-{era}"}, 20, approve)

    assert approvals == [200]
    assert result.structured_content == {"result": f"News-{era} is published"}


@eras
async def test_several_clients_are_served_at_once(server: Server, era: Era) -> None:
    """All are in the middle of a tool before the first is let go.

    Each of the era with sessions holds two threads meanwhile, one for its own stream and one for the call,
    and the approval needs one more: of the eight threads three clients take seven, four would wait for ever.
    """
    inside = asyncio.Barrier(CLIENTS)

    async def publish(title: str) -> object:
        async def approve(progress: float, total: float | None, message: str | None) -> None:
            await inside.wait()
            await asyncio.to_thread(post, server, f"/articles/{title}/approval")

        async with Client(f"{server.url}/ai/mcp", mode=era) as client:
            return (await client.call_tool("publish", {"title": title}, 20, approve)).structured_content

    titles = [f"{number}-{era}" for number in range(CLIENTS)]
    async with asyncio.timeout(40):
        results = await asyncio.gather(*map(publish, titles))

    assert results == [{"result": f"{title} is published"} for title in titles]


def test_the_end_of_a_connection_is_announced(server: Server) -> None:
    """A client that is not told sends its next request into the end of the connection.

    uWSGI 2.0.30 ends it after each response without a word: now and then, while `close()` of the response
    waits for the GIL, a request was already on its way, and was answered by a reset.
    """
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    with closing(connection):
        for _ in range(2):
            connection.request("GET", "/")
            response = connection.getresponse()
            assert response.read() == b"the newsroom"
            if response.getheader("Connection", "").lower() == "close":
                break


def test_the_views_of_the_site_are_served_beside_it(server: Server) -> None:
    with urllib.request.urlopen(server.url, timeout=20) as response:
        assert response.read() == b"the newsroom"


@pytest.mark.parametrize(("host", "status"), [("evil.example", 421), ("localhost:80", 406)])
def test_another_host_is_refused(server: Server, host: str, status: int) -> None:
    """The SDK's protection against DNS rebinding sees the Host that the client sent."""
    assert post(server, "/ai/mcp", host) == status
