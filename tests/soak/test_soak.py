"""The soak itself: that it finds what is wrong and what is lost, and a few seconds of the real thing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from soak.__main__ import SERVERS, serving, write
from soak.clients import Client
from soak.run import Load, soak
from tests.support.servers import free_port


class Wrong(BaseHTTPRequestHandler):
    """Answers everything with the same body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"wrong")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def wrong_server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def load_of_one_act(port: int) -> Load:
    done = threading.Event()

    def hello(client: Client) -> None:
        done.set()
        Client.hello(client)

    load = Load(port, clients=1, acts={hello: 1})
    load.start()
    assert done.wait(10)
    load.stop()
    return load


def test_a_wrong_answer_is_counted() -> None:
    with wrong_server() as port:
        counts = load_of_one_act(port).counts

    assert counts.wrong_answers == counts.acts["hello"] > 0
    assert counts.lost_requests == 0
    assert "was answered 200 with 5 of 200 bytes" in counts.wrong[0]


def test_a_request_without_an_answer_is_lost() -> None:
    counts = load_of_one_act(free_port()).counts

    assert counts.lost_requests == counts.acts["hello"] > 0
    assert counts.wrong_answers == 0
    assert "ConnectionRefusedError" in counts.lost[0]
    assert len(counts.lost) <= 20


@pytest.mark.parametrize("name", SERVERS)
def test_a_few_seconds_under_load_lose_nothing(name: str, tmp_path: Path) -> None:
    """Whether anything grows takes minutes to tell: `make soak`."""
    with serving(SERVERS[name]) as server:
        found = soak(name, server, 2.5)
    write([found], tmp_path)

    assert (found.counts.wrong, found.counts.lost) == ([], [])
    assert not any(found.left.values())
    assert found.counts.acts["hello"] > 0
    (stored,) = json.loads((tmp_path / "soak.json").read_text("utf-8"))["servers"]
    assert stored["requests"] == sum(found.counts.acts.values())
    assert stored["series"]["rss"] == found.series["rss"]
