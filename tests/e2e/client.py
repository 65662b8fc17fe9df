"""What both demos are driven with: a client that shows the wire, and a reader of HTML pages."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import psutil

from tests.support.servers import Server, free_port, run

# Neutral for both servers, so that the URLs an app builds do not differ by the port.
HOST = "demo.test"

# What belongs to the server and its connection (RFC 9110 section 7.6.1, RFC 9112), not to the app: the
# two servers write their own Date and Server, and frame a body of unknown length as they like.
SERVERS_OWN = frozenset({"date", "server", "connection", "transfer-encoding"})


@dataclass(frozen=True)
class Ask:
    """One request; its path is that of the whole site, quoted as it is to be sent."""

    path: str
    method: str = "GET"
    options: dict[str, Any] = field(default_factory=dict)

    def without_prefix(self, prefix: str) -> Ask:
        return replace(self, path=self.path.removeprefix(prefix))


@dataclass(frozen=True)
class Answer:
    """The parts of a response that the app decides."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def open_client(server: Server, **headers: str) -> httpx.Client:
    """Open a client as a browser is: with cookies of its own, and on kept connections."""
    # Without TLS there is nothing to verify; loading the certificates would take most of the time.
    return httpx.Client(base_url=server.url, headers=headers, timeout=30, verify=False)


def ask(server: Server, question: Ask) -> Answer:
    """Put a question to a server as a client without a past: no cookies, a fixed set of headers."""
    with open_client(server, Host=HOST) as client:
        response = send(client, question)
    headers = [(name.lower(), value) for name, value in response.headers.multi_items()]
    return Answer(
        response.status_code,
        [(name, value) for name, value in headers if name not in SERVERS_OWN],
        response.content,
    )


def send(client: httpx.Client, question: Ask) -> httpx.Response:
    """Send a request with its path as it is written: httpx would resolve dot segments and quote more."""
    target = {"target": question.path.encode("ascii")}
    return client.request(question.method, "/", extensions=target, **question.options)


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.stylesheets: list[str] = []
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.links += [values[name] for name in ("href", "src", "action") if values.get(name)]
        if tag == "link" and values.get("rel") == "stylesheet":
            self.stylesheets.append(values["href"])
        if tag == "input" and "name" in values:
            self.fields[values["name"]] = values.get("value", "")


class Page:
    """An HTML page as a browser reads it.

    Attributes:
        links: the paths of all links, images, scripts and forms that stay on the site, made absolute.
        stylesheets: the links to stylesheets.
        fields: the inputs of its forms, with their values.
    """

    def __init__(self, response: httpx.Response) -> None:
        reader = _PageReader()
        reader.feed(response.text)
        site = response.url
        urls = [urlsplit(urljoin(str(site), link)) for link in reader.links]
        self.links = sorted(
            {
                url._replace(scheme="", netloc="", fragment="").geturl()
                for url in urls
                if url.netloc == site_of(site)
            }
        )
        self.stylesheets = reader.stylesheets
        self.fields = reader.fields


def site_of(url: httpx.URL) -> str:
    return url.netloc.decode("ascii")


def raw_exchange(server: Server, *segments: bytes) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    with server.connect(30.0) as sock:
        for segment in segments:
            sock.sendall(segment)
        received = b""
        while data := sock.recv(65536):
            received += data
    return received


def demo_command(kind: str, port: int) -> list[str]:
    return [sys.executable, "-m", "examples.demo", kind, "--port", str(port)]


@dataclass(frozen=True)
class Ended:
    """How a demo ended after a signal, and what it had answered before."""

    answers: list[int]
    returncode: int
    output: str
    left_running: list[psutil.Process]
    left_files: list[Path]


def end_by(number: signal.Signals, kind: str, folder: Path) -> Ended:
    """Start a demo that keeps its files in a folder, use it once, and end it by a signal."""
    port = free_port()
    with run(demo_command(kind, port), port, env={"TMPDIR": str(folder)}) as server:
        with open_client(server) as client:
            answers = [client.get(path).status_code for path in ("/", "/django/request/", "/api/books")]
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.send_signal(number)
        returncode = server.process.wait(30)
        _, running = psutil.wait_procs(children, timeout=10)
        return Ended(answers, returncode, server.output, running, list(folder.iterdir()))
