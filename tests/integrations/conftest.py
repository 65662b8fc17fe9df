"""The Django project of the tests with a database, and the servers that serve it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Server, free_port, run, serve

ROOT = Path(__file__).parents[2]
PROJECT = "tests.integrations.django_project"
MANAGE = [sys.executable, "-m", f"{PROJECT}.manage"]


def manage(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a management command of the project."""
    return subprocess.run(
        [*MANAGE, *command], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=50
    )


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a database with one user: ada, with the password "engine"."""
    env = {
        "DJANGO_DATABASE": str(tmp_path_factory.mktemp("django") / "db.sqlite3"),
        "DJANGO_SUPERUSER_PASSWORD": "engine",
    }
    done = manage("migrate", "--verbosity=0", env=env)
    assert done.returncode == 0, done.stderr
    user = ("--username=ada", "--email=ada@example.org")
    done = manage("createsuperuser", "--noinput", *user, env=env)
    assert done.returncode == 0, done.stderr
    return env


@pytest.fixture(scope="session")
def _django_servers(database: dict[str, str]) -> Iterator[Callable[[str], Server]]:
    with ExitStack() as stack:
        running: dict[str, Server] = {}

        def start(kind: str) -> Server:
            if kind not in running:
                if kind == "runserver":
                    port = free_port()
                    command = [*MANAGE, "runserver", "--noreload", f"127.0.0.1:{port}"]
                    server = run(command, port, env={**database, "DJANGO_DEBUG": "1"})
                elif kind == "login site":
                    server = serve("uvicorn", f"{PROJECT}.login_site:site", env=database)
                else:
                    module = "wsgi" if kind == "gunicorn" else "asgi"
                    server = serve(kind, f"{PROJECT}.{module}:application", env=database)
                running[kind] = stack.enter_context(server)
            return running[kind]

        yield start


@pytest.fixture
def django_server(request: pytest.FixtureRequest, _django_servers: Callable[[str], Server]) -> Server:
    return _django_servers(request.param)


@pytest.fixture
def client(django_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=django_server.url, timeout=20) as client:
        yield client


def log_in(client: httpx.Client, prefix: str = "") -> None:
    answer = client.post(f"{prefix}/login/", data={"username": "ada", "password": "engine"})
    assert answer.text == "in"
