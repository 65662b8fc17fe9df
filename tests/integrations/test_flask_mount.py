from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from flask import Flask
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from bridge import ASGIToWSGI, Site, ThreadPool, WSGIToASGI
from bridge.errors import ConfigurationError
from bridge.integrations.flask import Mounts, mount
from tests.support.servers import free_port, run


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/hello")
    async def hello(request: Request) -> dict[str, str]:
        return {"url": str(request.url), "root_path": request.scope["root_path"]}

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def blocks() -> AsyncIterator[str]:
            for number in range(3):
                yield f"{number}\n"

        return StreamingResponse(blocks())

    return api


def make_host() -> Flask:
    host = Flask("host")

    @host.get("/apix")
    def apix() -> str:
        return "the host's"

    return host


def test_a_child_is_reached_through_the_test_client() -> None:
    host = make_host()
    mount(host, "/api", make_api())
    client = host.test_client()

    answer = client.get("/api/hello").get_json()

    assert answer == {"url": "http://localhost/api/hello", "root_path": "/api"}
    assert client.get("/api/stream").data == b"0\n1\n2\n"
    assert client.get("/apix").text == "the host's"


def test_the_longer_prefix_wins_and_a_taken_one_is_refused() -> None:
    host = make_host()
    other = Flask("other")
    other.add_url_rule("/hello", view_func=lambda: "other")
    mount(host, "/api", make_api())
    mount(host, "/api/other/", other)

    assert host.test_client().get("/api/other/hello").text == "other"
    with pytest.raises(ConfigurationError, match="another app is mounted there"):
        mount(host, "/api/", other)


@pytest.mark.parametrize("prefix", ["", "/", "api", "//api", "/api?x", None])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a path"):
        mount(make_host(), prefix, make_api())


def test_mounting_after_the_start_is_refused() -> None:
    host = make_host()
    mount(host, "/early", make_api())
    host.test_client().get("/apix")

    with pytest.raises(ConfigurationError, match="the Flask app has started"):
        mount(host, "/late", make_api())


def test_a_site_may_be_a_child() -> None:
    host, inner = make_host(), Site()
    inner.mount("/v1", make_api())
    mount(host, "/api", inner)

    assert host.test_client().get("/api/v1/hello").get_json()["root_path"] == "/api/v1"


def test_an_extension_mounts_in_every_app_that_it_is_given() -> None:
    mounts = Mounts(apps={"/api": make_api()})
    hosts = [make_host(), make_host()]

    for host in hosts:
        mounts.init_app(host)

    assert [host.test_client().get("/api/hello").status_code for host in hosts] == [200, 200]
    assert hosts[0].extensions["bridge"] is mounts


def test_the_lifespan_of_the_child_runs_and_ends_with_its_adapter() -> None:
    seen = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        seen.append("start")
        yield
        seen.append("stop")

    host = make_host()
    adapter = mount(host, "/api", FastAPI(lifespan=lifespan))
    host.test_client().get("/api/docs")
    assert seen == ["start"]

    assert isinstance(adapter, ASGIToWSGI)
    adapter.close()

    assert seen == ["start", "stop"]


def lively(name: str, seen: list[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        seen.append(f"{name} starts")
        yield
        seen.append(f"{name} stops")

    return FastAPI(lifespan=lifespan)


@pytest.mark.parametrize("shared", [False, True], ids=["own threads", "shared threads"])
def test_an_asgi_server_that_stops_the_host_stops_its_children(shared: bool) -> None:
    """Uvicorn ends by the signal that has stopped it, so the end of the process comes too late."""
    seen: list[str] = []
    host = make_host()
    for name in ("one", "two", "unused"):
        mount(host, f"/{name}", lively(name, seen))
    pool = ThreadPool() if shared else None

    for _ in range(2):
        seen.clear()
        with TestClient(WSGIToASGI(host, pool=pool)) as client:
            client.get("/one/docs")
            client.get("/two/docs")
            client.get("/one/docs")
            assert seen == ["one starts", "two starts"]

        assert seen == ["one starts", "two starts", "two stops", "one stops"]
    if pool is not None:
        pool.close()


def test_a_child_that_a_websocket_has_started_stops_too() -> None:
    seen: list[str] = []
    api = lively("api", seen)

    @api.websocket("/ws")
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    host = make_host()
    mount(host, "/api", api)

    with (
        TestClient(WSGIToASGI(host, websocket=True)) as client,
        client.websocket_connect("/api/ws") as socket,
    ):
        assert socket.receive_text() == "hello"

    assert seen == ["api starts", "api stops"]


def test_a_child_that_was_started_elsewhere_is_left_alone() -> None:
    seen: list[str] = []
    host = make_host()
    adapter = mount(host, "/api", lively("api", seen))
    assert isinstance(adapter, ASGIToWSGI)
    adapter.start()

    with TestClient(WSGIToASGI(host)) as client:
        client.get("/api/docs")

    assert seen == ["api starts"]
    adapter.close()


flask_run_host = make_host()
mount(flask_run_host, "/api", make_api())


def test_flask_run_serves_the_child() -> None:
    port = free_port()
    app = "tests.integrations.test_flask_mount:flask_run_host"
    command = [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]

    with run(command, port) as server:
        answer = httpx.get(f"{server.url}/api/hello", timeout=20).json()

    assert answer == {"url": f"{server.url}/api/hello", "root_path": "/api"}
