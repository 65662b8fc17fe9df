"""The lifespan of an ASGI app in WSGI servers: docs/how-to/lifespan.md says what is shown here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.servers.wire import get, head, read_reply
from tests.support.interpreter import threads_at_exit
from tests.support.servers import COMMANDS, ROOT, Server, free_port, run, serve, wait_for_output

APP = "tests.servers.lifespans:application"
GRACEFUL = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
"""What has uWSGI let its requests end at SIGTERM."""


def lives(server: Server) -> dict[str, list[str]]:
    """Give what each process has said of its lifespan."""
    told: dict[str, list[str]] = defaultdict(list)
    for what, pid in re.findall(r"^\[(up|down) (\d+)\]$", server.output, re.MULTILINE):
        told[pid].append(what)
    return told


def end(server: Server, number: int) -> None:
    server.process.send_signal(number)
    server.process.wait(30)


@threads_at_exit
@pytest.mark.spec("A-39", "L-06", "L-14", "L-15")
@pytest.mark.parametrize(
    ("kind", "options"),
    [("gunicorn", ()), ("uwsgi", GRACEFUL)],
    ids=["gunicorn", "uwsgi"],
)
def test_shutdown_comes_once_and_after_the_request_in_flight(kind: str, options: tuple[str, ...]) -> None:
    with serve(kind, APP, *options) as server, server.connect(20.0) as sock:
        sock.sendall(head("/slow?0.5"))
        wait_for_output(server, "[entered]")

        end(server, signal.SIGTERM)

        assert read_reply(sock).body == b"ok"
        assert list(lives(server).values()) == [["up", "down"]]


@threads_at_exit
@pytest.mark.spec("L-14")
@pytest.mark.parametrize(
    ("kind", "number"),
    [("waitress", signal.SIGINT), ("werkzeug", signal.SIGINT), ("granian-wsgi", signal.SIGTERM)],
)
def test_shutdown_comes_once_at_the_signal_that_a_server_takes(kind: str, number: int) -> None:
    with serve(kind, APP) as server:
        assert get(server, "/").body == b"ok"

        end(server, number)

        assert list(lives(server).values()) == [["up", "down"]]


@threads_at_exit
@pytest.mark.spec("L-14", "L-15")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gunicorn", ("--max-requests", "2")),
        ("uwsgi", ("--max-requests", "2", "--min-worker-lifetime", "0", *GRACEFUL)),
    ],
    ids=["gunicorn", "uwsgi"],
)
def test_each_worker_that_is_replaced_has_one_lifespan(kind: str, options: tuple[str, ...]) -> None:
    with serve(kind, APP, *options) as server:
        for _ in range(5):
            assert get(server, "/").body == b"ok"

        end(server, signal.SIGTERM)

        told = lives(server)
        assert len(told) >= 2
        assert list(told.values()) == [["up", "down"]] * len(told)


# ---------------------------------------------------------------- a startup that fails


@pytest.mark.spec("L-05", "L-16")
@pytest.mark.parametrize("kind", ["gunicorn", "uwsgi", "waitress", "werkzeug", "granian-wsgi"])
def test_requests_are_refused_where_the_startup_has_failed(kind: str) -> None:
    with serve(kind, APP, env={"LIFESPAN": "fails"}) as server:
        replies = [get(server, "/").status for _ in range(2)]

        assert replies == [500, 500] or (kind == "uwsgi" and replies == [0, 0])  # it closes without a word
        wait_for_output(server, "LifespanFailed", "no database")


COMMANDS_THAT_START = {
    "gunicorn": [*COMMANDS["gunicorn"], "--config", "python:tests.servers.starting_config"],
    "uwsgi": [*COMMANDS["uwsgi"], "--lazy-apps"],
    "waitress": ["tests.servers.waitress_main", "{port}"],
}
"""How each server starts the app before its first request."""


def command_that_starts(kind: str, port: int) -> list[str]:
    program = [str(Path(sys.prefix, "bin/uwsgi"))] if kind == "uwsgi" else [sys.executable, "-m"]
    return [*program, *(part.format(app=APP, port=port) for part in COMMANDS_THAT_START[kind])]


@pytest.mark.spec("L-05", "L-14")
@pytest.mark.parametrize(("kind", "code"), [("gunicorn", 3), ("uwsgi", 22), ("waitress", 1)])
def test_server_that_starts_the_app_stops_where_that_has_failed(kind: str, code: int) -> None:
    done = subprocess.run(
        command_that_starts(kind, free_port()),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LIFESPAN": "fails", "START": "at import"},
        capture_output=True,
        timeout=30,
    )

    assert done.returncode == code
    assert b"no database" in done.stderr


@pytest.mark.spec("L-03", "L-14")
@pytest.mark.parametrize("kind", COMMANDS_THAT_START)
def test_server_can_start_the_app_before_its_first_request(kind: str) -> None:
    port = free_port()
    env = {"START": "at import"} if kind == "uwsgi" else {}
    with run(command_that_starts(kind, port), port, env=env) as server:
        wait_for_output(server, "[up ")
