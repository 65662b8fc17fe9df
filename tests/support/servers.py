"""Real servers in processes of their own, on free ports of 127.0.0.1, ended by their process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]

COMMANDS: dict[str, list[str]] = {
    "uvicorn": ["uvicorn", "{app}", "--host", "127.0.0.1", "--port", "{port}"],
    "uvicorn-h11": ["uvicorn", "{app}", "--host", "127.0.0.1", "--port", "{port}", "--http", "h11"],
    "gunicorn": [
        "gunicorn",
        "{app}",
        "--bind",
        "127.0.0.1:{port}",
        "--worker-class",
        "gthread",
        "--threads",
        "8",
    ],
    "gunicorn-sync": ["gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "--no-control-socket"],
    "gunicorn-gthread": [
        "gunicorn",
        "{app}",
        "--bind",
        "127.0.0.1:{port}",
        "--no-control-socket",
        "--access-logfile",
        "-",
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--worker-connections",
        "2000",
    ],
    "gunicorn-gevent": [
        "gunicorn",
        "{app}",
        "--bind",
        "127.0.0.1:{port}",
        "--no-control-socket",
        "--worker-class",
        "gevent",
    ],
    "werkzeug": ["tests.websocket.werkzeug_server", "{app}", "{port}"],
    "uvicorn-websockets": [
        "uvicorn",
        "{app}",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--ws",
        "websockets",
        "--loop",
        "uvloop",
    ],
    "uvicorn-wsproto": [
        "uvicorn",
        "{app}",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--ws",
        "wsproto",
        "--loop",
        "asyncio",
    ],
    "hypercorn": ["hypercorn", "{app}", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1"],
    "hypercorn-trio": ["hypercorn", "{app}", "--bind", "127.0.0.1:{port}", "--worker-class", "trio"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"],
    "granian": ["granian", "{app}", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}"],
    "granian-wsgi": ["granian", "{app}", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}"],
    "uwsgi": [
        "--http-socket",
        "127.0.0.1:{port}",
        "--module",
        "{app}",
        "--master",
        "--die-on-term",
        "--need-app",
        "--threads",
        "4",
        "--add-header",
        "Connection: close",
        "--home",
        sys.prefix,
    ],
    "waitress": ["waitress", "--host", "127.0.0.1", "--port", "{port}", "{app}"],
}


@dataclass
class Server:
    """A running server.

    Attributes:
        log: where its standard output and error go.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def workers(self) -> list[psutil.Process]:
        """The process that serves: the children of a pre-forking server, else the server itself."""
        process = psutil.Process(self.process.pid)
        return process.children(recursive=True) or [process]

    def rss(self) -> int:
        """Resident memory of the serving processes, in bytes."""
        return sum(worker.memory_info().rss for worker in self.workers())

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def serve(kind: str, app: str, *options: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """Run a server of COMMANDS with an app given as module:name, until the block ends.

    Args:
        kind: a key of COMMANDS.
        app: an import string, found from the root of the project.
        options: further arguments for the server.
        env: further environment variables.
    """
    port = free_port()
    command = [part.format(app=app, port=port) for part in COMMANDS[kind]]
    if kind == "waitress":  # takes its options before the app
        command = [*command[:-1], *options, command[-1]]
    else:
        command += options
    # uWSGI is a program and no module.
    program = [str(Path(sys.prefix, "bin/uwsgi"))] if kind == "uwsgi" else [sys.executable, "-m"]
    with run([*program, *command], port, env=env) as server:
        yield server


@contextmanager
def run(
    command: list[str], port: int, *, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[Server]:
    """Run any command that serves on a port, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(env or {})},
            )
        server = Server(process, port, log)
        try:
            _wait_until_it_listens(server)
            yield server
        finally:
            stop(server)


def _wait_until_it_listens(server: Server, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}:\n{server.output}")
        try:
            server.connect(1.0).close()
        except OSError:
            time.sleep(0.02)  # there is no event for another process beginning to listen
        else:
            return
    raise RuntimeError(f"the server does not listen:\n{server.output}")


def wait_for_output(server: Server, *texts: str, seconds: float = 20.0) -> str:
    """Wait until a server has logged all of these texts; give the whole output."""
    end = time.monotonic() + seconds
    while not all(text in (output := server.output) for text in texts):
        if time.monotonic() > end:
            missing = [text for text in texts if text not in output]
            raise AssertionError(f"not in the log: {missing}\n{output[-4000:]}")
        time.sleep(0.02)  # there is no event for another process writing to its log
    return output


@dataclass
class MemoryUse:
    """Resident memory of a server while something went on, in bytes."""

    before: int
    peak: int

    @property
    def growth(self) -> int:
        return self.peak - self.before


@contextmanager
def watched_memory(server: Server, seconds: float = 0.02) -> Iterator[MemoryUse]:
    """Sample the memory of a server until the block ends."""
    workers = server.workers()

    def rss() -> int:
        return sum(worker.memory_info().rss for worker in workers)

    use = MemoryUse(rss(), 0)
    over = threading.Event()

    def sample() -> None:
        while not over.wait(seconds):
            use.peak = max(use.peak, rss())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield use
    finally:
        over.set()
        thread.join()
        use.peak = max(use.peak, rss())


def stop(server: Server, seconds: float = 10.0) -> None:
    """End a server and its children, kindly at first."""
    process = server.process
    children = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for child in children:
        if child.is_running():
            child.kill()
