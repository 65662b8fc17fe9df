"""One login for Django and FastAPI, over a real server and a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from tests.integrations.conftest import PROJECT, ROOT, log_in, manage
from tests.support.servers import serve

pytestmark = pytest.mark.parametrize("django_server", ["login site"], indirect=True)

NOBODY = {"user": "", "known": False}
ADA = {"user": "ada", "known": True}


def test_who_logs_in_to_django_is_known_to_fastapi(client: httpx.Client) -> None:
    assert client.get("/me").json() == NOBODY

    log_in(client, "/site")
    assert client.get("/me").json() == ADA

    client.get("/log-out")
    assert client.get("/site/whoami/").json()["user"] == ""
    assert client.get("/me").json() == NOBODY


def test_who_logs_in_through_fastapi_is_known_to_django(client: httpx.Client) -> None:
    client.get("/log-in")
    assert client.get("/site/whoami/").json()["user"] == "ada"

    client.get("/site/whoami/")
    client.post("/site/logout/")
    assert client.get("/me").json() == NOBODY


def test_the_session_of_django_is_read_and_written_on_both_sides(client: httpx.Client) -> None:
    assert client.get("/count-up", follow_redirects=True).json() == {"count": 1}
    assert client.get("/site/api/count-up").json() == {"count": 2}
    assert client.get("/count").json() == {"count": 2}


def test_reading_writes_no_cookie(client: httpx.Client) -> None:
    log_in(client, "/site")

    answer = client.get("/me")

    assert "set-cookie" not in answer.headers
    assert "Cookie" in answer.headers["vary"]


def test_an_unsafe_request_of_a_user_needs_the_token(client: httpx.Client) -> None:
    assert client.post("/me").json() == {"user": ""}
    log_in(client, "/site")
    client.get("/site/whoami/")
    token = client.cookies["csrftoken"]

    assert client.post("/me").status_code == 403
    assert client.post("/me", headers={"X-CSRFToken": token[::-1]}).status_code == 403
    assert client.post("/me", headers={"X-CSRFToken": token}).json() == {"user": "ada"}


def test_a_session_that_is_made_up_is_nobody(client: httpx.Client) -> None:
    client.cookies.set("sessionid", "x" * 32)

    assert client.get("/me").json() == NOBODY


def test_a_login_survives_a_rotated_key_and_not_an_unknown_one(
    client: httpx.Client, database: dict[str, str]
) -> None:
    log_in(client, "/site")
    cookies = {"sessionid": client.cookies["sessionid"]}
    app = f"{PROJECT}.login_site:site"

    rotated = {"DJANGO_KEY": "the next key", "DJANGO_OLD_KEYS": "a key for tests only"}
    with serve("uvicorn", app, env={**database, **rotated}) as server:
        assert httpx.get(f"{server.url}/me", cookies=cookies, timeout=20).json() == ADA
    with serve("uvicorn", app, env={**database, "DJANGO_KEY": "another"}) as server:
        assert httpx.get(f"{server.url}/me", cookies=cookies, timeout=20).json() == NOBODY


def test_a_changed_password_ends_the_login_on_both_sides(
    client: httpx.Client, database: dict[str, str]
) -> None:
    log_in(client, "/site")
    set_password = (
        "from django.contrib.auth.models import User; ada = User.objects.get(); "
        "ada.set_password({!r}); ada.save()"
    )
    try:
        assert manage("shell", "-c", set_password.format("other"), env=database).returncode == 0
        assert client.get("/me").json() == NOBODY
    finally:
        manage("shell", "-c", set_password.format("engine"), env=database)


def test_django_reads_and_writes_the_session_of_starlette(client: httpx.Client) -> None:
    client.get("/starlette/one")
    assert client.get("/site/starlette/").json() == {"value": "one"}

    client.get("/site/starlette/two/")
    assert client.get("/starlette").json() == {"value": "two"}


def test_the_setting_of_the_starlette_app_is_asked_for(client: httpx.Client) -> None:
    code = "from bridge.integrations.django import StarletteSessionMiddleware as M; M(print)"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings"}

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, timeout=50)

    assert b"BRIDGE_STARLETTE_APP is not set" in done.stderr
