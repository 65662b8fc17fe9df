"""A notice board in the server's process: its apps and the tests leave notes, and wait for each other's.

It is reached beside the server under test, so that it answers even while all of the server's threads are
taken, and by a server that does one request at a time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import socketserver
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PORT_FILE = "BOARD_PORT_FILE"
"""The environment variable that says where the server's process leaves the port of its board."""

PATIENCE = 30.0  # seconds until a wait is an error


class Board:
    """Counted notes, kept under the key of the test that is interested in them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._listeners: dict[tuple[str, str], list[tuple[int, Callable[[], object]]]] = {}

    def note(self, key: str, what: str) -> None:
        at = (key, what)
        with self._lock:
            self._counts[at] += 1
            listeners = self._listeners.get(at, [])
            due = [call for count, call in listeners if count <= self._counts[at]]
            self._listeners[at] = [item for item in listeners if item[0] > self._counts[at]]
        for call in due:
            call()

    def notes(self, key: str) -> dict[str, int]:
        with self._lock:
            return {what: count for (owner, what), count in self._counts.items() if owner == key}

    def wait(self, key: str, what: str, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait in a thread until something has been noted so often."""
        noted = threading.Event()
        self._listen(key, what, count, noted.set)
        if not noted.wait(timeout):
            raise TimeoutError(f"{what!r} was not noted {count} times within {timeout} s")

    async def noted(self, key: str, what: str, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait on an event loop until something has been noted so often."""
        loop = asyncio.get_running_loop()
        noted = asyncio.Event()
        self._listen(key, what, count, lambda: loop.call_soon_threadsafe(noted.set))
        async with asyncio.timeout(timeout):
            await noted.wait()

    def counts(self, trace: bool = False) -> dict[str, int]:
        """Count what this process has: threads without the board's own, unfinished tasks, traced bytes."""
        if not tracemalloc.is_tracing() and trace:
            tracemalloc.start()
        gc.collect()
        threads = [thread.name for thread in threading.enumerate()]
        # By its type: isinstance() would ask proxies what they stand for.
        tasks = [item for item in gc.get_objects() if issubclass(type(item), asyncio.Task)]
        return {
            "threads": sum(name != "board" and "process_request_thread" not in name for name in threads),
            "tasks": sum(not task.done() for task in tasks),
            "traced": tracemalloc.get_traced_memory()[0],
        }

    def _listen(self, key: str, what: str, count: int, call: Callable[[], object]) -> None:
        at = (key, what)
        with self._lock:
            there = self._counts[at] >= count
            if not there:
                self._listeners.setdefault(at, []).append((count, call))
        if there:
            call()


def publish(board: Board) -> None:
    """Offer a board on a port of its own, and leave the port in the file that the environment names."""
    where = os.environ.get(PORT_FILE)
    if where is None:  # imported by a test, not by a server
        return

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            name, *args = json.loads(self.rfile.readline())
            try:
                result: Any = getattr(board, name)(*args)
            except TimeoutError as exc:
                result = {"late": str(exc)}
            self.wfile.write(json.dumps(result).encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="board", daemon=True).start()
    draft = Path(f"{where}.{os.getpid()}")
    draft.write_text(str(server.server_address[1]), "ascii")
    draft.replace(where)


@dataclass(frozen=True)
class RemoteBoard:
    """The board of a server, as a test sees it."""

    port_file: Path

    def note(self, key: str, what: str) -> None:
        self._ask("note", key, what)

    def notes(self, key: str) -> dict[str, int]:
        notes: dict[str, int] = self._ask("notes", key)
        return notes

    def wait(self, key: str, what: str, count: int = 1, timeout: float = PATIENCE) -> None:
        answer = self._ask("wait", key, what, count, timeout)
        if answer is not None:
            raise TimeoutError(f"{answer['late']}; there is {self.notes(key)}")

    def counts(self, trace: bool = False) -> dict[str, int]:
        counts: dict[str, int] = self._ask("counts", trace)
        return counts

    def _ask(self, *question: Any) -> Any:
        port = int(self.port_file.read_text("ascii"))
        with socket.create_connection(("127.0.0.1", port), PATIENCE * 1.5) as sock:
            sock.sendall(json.dumps(question).encode() + b"\n")
            return json.loads(sock.makefile("rb").readline())
