"""Apps under a route of Django's `urls.py`, over each handler that Django has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask

from bridge.errors import ConfigurationError
from bridge.integrations.django import include_asgi, include_wsgi
from tests.integrations.conftest import PROJECT, ROOT, log_in, manage
from tests.support.servers import Server, serve, wait_for_output

on_each_handler = pytest.mark.parametrize("django_server", ["gunicorn", "uvicorn"], indirect=True)
on_every_server = pytest.mark.parametrize(
    "django_server", ["gunicorn", "uvicorn", "runserver"], indirect=True
)


@on_every_server
def test_a_child_knows_where_it_is(client: httpx.Client) -> None:
    answer = client.get("/api/hello").json()

    assert answer["root_path"] == "/api"
    assert answer["path"] == "/api/hello"
    assert answer["url"] == str(client.base_url.join("/api/hello"))
    assert client.get("/api/docs").status_code == 200
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]


@on_every_server
def test_its_lifespan_runs_and_its_state_is_there(client: httpx.Client) -> None:
    assert client.get("/api/hello").json()["started"] == "yes"


@on_every_server
def test_a_wsgi_child_knows_where_it_is(client: httpx.Client) -> None:
    answer = client.get("/legacy/hello").json()

    assert answer == {"script_name": "/legacy", "url": str(client.base_url.join("/legacy/hello")), "user": ""}
    assert client.post("/legacy/echo", content=b"body").content == b"body"


@on_each_handler
def test_what_the_route_captures_reaches_the_child(client: httpx.Client) -> None:
    answer = client.get("/acme/api/hello").json()

    assert (answer["tenant"], answer["root_path"]) == ("acme", "/acme/api")


@on_each_handler
def test_the_route_is_made_by_reverse(client: httpx.Client) -> None:
    assert client.get("/whoami/").json()["api"] == "/api/hello"


@on_each_handler
def test_django_adds_the_slash_of_the_route(client: httpx.Client) -> None:
    answer = client.get("/api")

    assert (answer.status_code, answer.headers["location"]) == (301, "/api/")
    assert client.get("/apix").status_code == 404


@on_each_handler
def test_the_user_of_django_is_in_the_scope(client: httpx.Client) -> None:
    assert client.get("/api/hello").json()["user"] == ""

    log_in(client)

    assert client.get("/api/hello").json()["user"] == "ada"
    assert client.get("/legacy/hello").json()["user"] == "ada"


@on_each_handler
def test_django_saves_the_session_that_a_child_writes(client: httpx.Client) -> None:
    assert [client.get("/api/count-up").json()["count"] for _ in range(2)] == [1, 2]
    assert client.get("/whoami/").json()["count"] == 2


@on_each_handler
def test_an_unsafe_request_of_a_user_needs_the_token(client: httpx.Client) -> None:
    anonymous = client.post("/api/echo", content=b"x")
    log_in(client)
    client.get("/whoami/")
    token = client.cookies["csrftoken"]

    without = client.post("/api/echo", content=b"x")
    forged = client.post("/api/echo", content=b"x", headers={"X-CSRFToken": token[::-1]})
    with_token = client.post("/api/echo", content=b"x", headers={"X-CSRFToken": token})

    assert [anonymous.status_code, without.status_code, forged.status_code] == [200, 403, 403]
    assert with_token.content == b"x"


@on_each_handler
def test_a_form_reaches_the_child_unread(client: httpx.Client) -> None:
    """Django's CSRF rule would have read the form."""
    log_in(client)
    client.get("/whoami/")

    answer = client.post(
        "/api/echo",
        files={"file": b"\x00\xff" * 100_000},
        headers={"X-CSRFToken": client.cookies["csrftoken"]},
    )

    assert answer.headers["content-type"].startswith("multipart/form-data")
    assert answer.content.count(b"\x00\xff") == 100_000


@on_each_handler
def test_a_large_body_goes_both_ways(client: httpx.Client) -> None:
    body = bytes(range(256)) * 20_000

    assert client.post("/api/back", content=body).content == body
    assert client.post("/api/back", content=iter([body, body])).content == body * 2


@on_each_handler
def test_cookies_of_one_name_and_repeated_fields_arrive(client: httpx.Client) -> None:
    answer = client.get("/api/cookies")

    assert answer.headers.get_list("set-cookie") == [
        "a=1; Path=/one; SameSite=lax",
        "a=2; HttpOnly; Path=/two; SameSite=lax",
    ]
    assert answer.headers["link"] == "</x>; rel=next, </y>; rel=prev"


@on_each_handler
def test_an_empty_answer_stays_empty(client: httpx.Client) -> None:
    answer = client.get("/api/empty")

    assert (answer.status_code, answer.content) == (204, b"")


@on_each_handler
def test_an_error_of_the_child_is_answered_by_django(client: httpx.Client, django_server: Server) -> None:
    assert client.get("/api/fail").status_code == 500
    wait_for_output(django_server, "RuntimeError: on purpose")
    assert client.get("/api/nowhere").json() == {"detail": "Not Found"}


@on_each_handler
def test_a_stream_comes_as_it_is_made_and_ends_with_its_client(
    client: httpx.Client, django_server: Server
) -> None:
    with client.stream("GET", "/api/ticks") as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)] == ["tick 0", "tick 1", "tick 2"]

    wait_for_output(django_server, "the ticks end")


@pytest.mark.parametrize("django_server", ["gunicorn"], indirect=True)
def test_the_wsgi_handler_streams_an_upload(django_server: Server) -> None:
    """The rest is sent only when the first block has come back."""
    with django_server.connect() as sock:
        sock.sendall(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 70003\r\n\r\n" + b"1" * 70_000)
        received = b""
        while b"1" * 60_000 not in received.replace(b"\r\n", b""):
            received += sock.recv(65536)
        sock.sendall(b"end")
        while b"end" not in received:
            received += sock.recv(65536)


def test_the_asgi_application_stops_its_children_with_the_server(database: dict[str, str]) -> None:
    with serve("uvicorn", f"{PROJECT}.asgi:application", env=database) as server:
        wait_for_output(server, "the child starts")
        log = server.log
        server.process.terminate()
        server.process.wait(20)
        output = log.read_text()

    assert "the child stops" in output


CLIENTS = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client, AsyncClient
from django.test.utils import setup_test_environment
from django.contrib.auth.models import User
import asyncio
setup_test_environment()
call_command("migrate", verbosity=0)
user = User.objects.create_user("eve")
client = Client()
client.force_login(user)
print(client.get("/api/hello").json()["user"])
print(b"".join(client.post("/api/echo", b"x", content_type="text/plain")))
print(client.get("/api/cookies").cookies["a"].value)
async def main():
    answer = await AsyncClient().get("/api/hello")
    print(answer.status_code, answer.json()["root_path"])
asyncio.run(main())
from bridge._runtime.loop import shared_loop_thread
"""


def test_the_test_clients_of_django_reach_a_child_on_an_in_memory_database() -> None:
    """The user is read in the thread of the test: another one has another database in memory."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENTS],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings"},
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "child" not in line] == [
        "eve",
        "b'x'",
        "1",
        "200 /api",
    ]


def test_the_checks_find_nothing_in_a_right_set_up(database: dict[str, str]) -> None:
    done = manage("check", env=database)

    assert "no issues" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        ('path("api", include_asgi(api))', "bridge.E001"),
        ('path("", include_asgi(api)), path("late/", include_asgi(api))', "bridge.W002"),
        (
            'path("v1/", include([path("", include_asgi(api)), path("late/", include_asgi(api))]))',
            "bridge.W002",
        ),
    ],
)
def test_the_checks_name_what_is_wrong(
    urls: str, found: str, database: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "wrong_urls.py").write_text(
        "from django.urls import include, path\n"
        "from bridge.integrations.django import include_asgi\n"
        "from tests.integrations.django_project.children import api\n"
        f"urlpatterns = [{urls}]\n"
    )
    env = {**database, "DJANGO_URLS": "wrong_urls", "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    done = manage("check", env=env)

    assert found in done.stderr


def test_an_app_of_the_other_kind_is_refused_with_the_right_name() -> None:
    with pytest.raises(ConfigurationError, match="say include_wsgi"):
        include_asgi(Flask("x"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="say include_asgi"):
        include_wsgi(FastAPI())  # type: ignore[arg-type]
