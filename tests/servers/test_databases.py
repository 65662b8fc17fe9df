"""Hooks that give database sessions back, under real load: no connection and no transaction stays open."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.servers.wire import get, head, recv_until, reset
from tests.support.servers import Server, serve

THREADS, POOL = 8, 4  # those of tests/servers/databases.py, which cannot be imported without a database
REQUESTS = 1000


@contextmanager
def site_of(kind: str, database: Path, *, hooks: bool) -> Iterator[Server]:
    env = {"SITE": kind, "DATABASE": str(database), "HOOKS": "1" if hooks else ""}
    with serve("uvicorn", "tests.servers.databases:site", "--log-level", "warning", env=env) as server:
        yield server


def connections(server: Server, database: Path) -> int:
    """Count the connections of a server to an SQLite database: each has the file open once."""
    files = psutil.Process(server.process.pid).open_files()
    return sum(file.path == str(database) for file in files)


def settle(server: Server, database: Path, most: int) -> int:
    """Wait until there are no more connections than these; give how many there are."""
    end = time.monotonic() + 20
    while (count := connections(server, database)) > most and time.monotonic() < end:
        time.sleep(0.02)  # there is no event for what another process has open
    return count


def check_no_transaction(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")  # nobody reads and nobody writes
        connection.execute("ROLLBACK")


PATHS = ["/read", "/write", "/read", "/forget", "/read", "/fail", "/read", "/stream"]


def request(server: Server, number: int) -> int:
    path = PATHS[number % len(PATHS)]
    if path != "/stream":
        return get(server, path).status
    with server.connect() as client:  # abandoned in the middle
        client.sendall(head(path))
        recv_until(client, b"\r\n\r\n")
        reset(client)
    return 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("kind", "most"), [("sqlalchemy", POOL), ("django", 0)])
def test_a_thousand_requests_leave_no_connection_beyond_the_pool_and_no_transaction(
    kind: str, most: int, tmp_path: Path
) -> None:
    """Django keeps no pool: with CONN_MAX_AGE of 0 each request closes its connection."""
    database = tmp_path / "database"
    with site_of(kind, database, hooks=True) as server:
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda number: request(server, number), range(REQUESTS)))

        assert settle(server, database, most) <= most
        check_no_transaction(database)

    written = REQUESTS // len(PATHS)
    assert [statuses.count(status) for status in (0, 200, 500)] == [written, written * 6, written]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT body, count(*) FROM notes GROUP BY 1").fetchall() == [
            ("kept", written)
        ]


@pytest.mark.parametrize("kind", ["sqlalchemy", "django"])
def test_without_hooks_threads_keep_their_connections(kind: str, tmp_path: Path) -> None:
    """The reason for the hooks; it would make the test above worthless if it failed."""
    database = tmp_path / "database"
    with site_of(kind, database, hooks=False) as server:
        assert get(server, "/forget").status == 200

        assert connections(server, database) == 1
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN EXCLUSIVE")
