from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import starlette.testclient
from fastapi import FastAPI, Request
from flask import Flask, request, session

from bridge import ASGIToWSGI, Site, Stack, WSGIToASGI
from bridge.testing import asgi_client, bridge_client, open_asgi_client, open_wsgi_client, wsgi_client

__all__ = ["asgi_client", "bridge_client", "wsgi_client"]  # fixtures of this module from here on


@pytest.fixture
def bridge_app(told: list[str]) -> Site:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        told.append("up")
        yield
        told.append("down")

    api = FastAPI(lifespan=lifespan)

    @api.post("/echo")
    async def echo(request: Request) -> dict[str, str]:
        return {"url": str(request.url), "body": (await request.body()).decode()}

    flask_app = Flask("pages")
    flask_app.secret_key = "only for this test"

    @flask_app.route("/count", methods=["GET", "POST"])
    def count() -> dict[str, Any]:
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"], "form": request.form.get("a"), "root": request.script_root}

    site = Site()
    site.mount("/api", api)
    site.mount("/pages", flask_app)
    return site


@pytest.fixture
def told() -> list[str]:
    return []


def test_the_fixture_runs_a_test_on_both_faces(bridge_client: Any, told: list[str]) -> None:
    assert told == ["up"]
    assert bridge_client.post("/api/echo", content=b"hi").json() == {
        "url": "http://testserver/api/echo",
        "body": "hi",
    }
    assert bridge_client.get("/api/echo").json() == {"detail": "Method Not Allowed"}


def test_cookies_stay_and_redirects_are_followed(bridge_client: Any) -> None:
    bridge_client.get("/pages/count")

    answer = bridge_client.post("/pages/count", data={"a": "1"})

    assert answer.json() == {"count": 2, "form": "1", "root": "/pages"}
    assert bridge_client.get("/pages").url.path == "/pages/"


@pytest.mark.parametrize("opened", [open_asgi_client, open_wsgi_client])
def test_the_lifespan_ends_with_the_client(opened: Any, bridge_app: Site, told: list[str]) -> None:
    with opened(bridge_app) as client:
        client.get("/pages/count")
        assert told == ["up"]

    assert told == ["up", "down"]


@pytest.mark.parametrize("opened", [open_asgi_client, open_wsgi_client])
@pytest.mark.parametrize("kind", [Flask, FastAPI])
def test_a_client_takes_an_app_of_either_kind(opened: Any, kind: Any) -> None:
    with opened(kind("test") if kind is Flask else kind()) as client:
        assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize("opened", [open_asgi_client, open_wsgi_client])
def test_what_an_app_raises_is_raised(opened: Any) -> None:
    def fails(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("as it was raised")

    with opened(fails) as client, pytest.raises(RuntimeError, match="as it was raised"):
        client.get("/")


PROJECT = {
    "conftest.py": """
import pytest
from bridge import Site

pytest_plugins = ["bridge.testing"]

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode()]

@pytest.fixture
def bridge_app():
    site = Site()
    site.mount("/a", app)
    return site
""",
    "test_it.py": """
def test_both(bridge_client):
    assert bridge_client.get("/a/").text == "/a"

def test_each(asgi_client, wsgi_client):
    assert asgi_client.get("/a/").text == wsgi_client.get("/a/").text
""",
}


def test_a_project_gets_the_fixtures_by_naming_the_plugin(tmp_path: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text, "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_without_an_app_the_fixture_says_what_to_define(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["bridge.testing"]', "utf-8")
    (tmp_path / "test_it.py").write_text(PROJECT["test_it.py"], "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert "define a fixture bridge_app" in done.stdout


# ------------------------------------------------------------ the clients of others, on any face


def test_flasks_client_reaches_an_asgi_app_in_a_site_within_flask(bridge_app: Site) -> None:
    host = Flask("host")
    bridge_app.mount("/", host.wsgi_app)
    host.add_url_rule("/own", "own", lambda: "own")
    host.wsgi_app = bridge_app.wsgi  # type: ignore[assignment,method-assign]

    client = host.test_client()

    assert client.get("/own").text == "own"
    assert client.post("/api/echo", data=b"hi").get_json()["url"] == "http://localhost/api/echo"
    bridge_app.close()


@pytest.mark.parametrize("shape", ["site", "stack", "adapter"])
def test_httpx_drives_either_face(bridge_app: Site, shape: str) -> None:
    flask_app = bridge_app.routes()[-1].app
    faces: dict[str, tuple[Any, Any]] = {
        "site": (bridge_app.asgi, bridge_app.wsgi),
        "stack": (Stack(flask_app).asgi, Stack(flask_app).wsgi),
        "adapter": (WSGIToASGI(flask_app), ASGIToWSGI(WSGIToASGI(flask_app))),
    }
    asgi, wsgi = faces[shape]
    path = "/pages/count" if shape == "site" else "/count"

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://t") as client:
            return (await client.get(path)).json()

    over_asgi = asyncio.run(ask())
    with httpx.Client(transport=httpx.WSGITransport(wsgi), base_url="http://t") as sync_client:
        over_wsgi = sync_client.get(path).json()
    bridge_app.close()

    assert over_asgi == over_wsgi and over_asgi["count"] == 1


def test_starlettes_client_takes_the_asgi_face(bridge_app: Site, told: list[str]) -> None:
    with starlette.testclient.TestClient(bridge_app.asgi) as client:
        assert client.get("/pages/count").json()["count"] == 1

    assert told == ["up", "down"]


@pytest.mark.parametrize("missing", ["pytest", "httpx", "starlette"])
def test_what_it_needs_is_said_where_it_is_missing(missing: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{missing!r}] = None; import bridge.testing"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert "pip install 'asgi-wsgi-bridge[testing]'" in done.stderr
