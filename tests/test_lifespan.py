from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from bridge import Site, WSGIToASGI, compose_lifespan
from bridge.errors import ConfigurationError, LifespanFailed
from bridge.types import ASGIApp, Receive, Scope, Send
from tests.conftest import bridge_threads
from tests.contract.asgi_specimens import hello
from tests.contract.wsgi_specimens import hello as wsgi_hello
from tests.support.asgi import Exchange, http_scope

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]


def lifespan_of(name: str, seen: list[str], *, fails: bool = False, **state: object) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[dict[str, Any]]:
        if fails:
            raise ValueError(f"no {name}")
        seen.append(f"{name} starts")
        yield state
        seen.append(f"{name} stops")

    return lifespan


def app_of(name: str, seen: list[str], **options: Any) -> Starlette:
    """An app that answers with the state that it finds."""

    async def view(request: Any) -> JSONResponse:
        return JSONResponse(dict(request.scope["state"]))

    return Starlette(routes=[Route("/", view)], lifespan=lifespan_of(name, seen, **options))


async def no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await hello(scope, receive, send)


def fastapi_host(lifespan: Any, *children: ASGIApp) -> FastAPI:
    host = FastAPI(lifespan=lifespan)
    for number, child in enumerate(children, 1):
        host.mount(f"/{number}", child)
    return host


def starlette_host(lifespan: Any, *children: ASGIApp) -> Starlette:
    routes = [Mount(f"/{number}", child) for number, child in enumerate(children, 1)]
    return Starlette(routes=routes, lifespan=lifespan)


HOSTS = pytest.mark.parametrize("host_of", [fastapi_host, starlette_host])


@HOSTS
def test_mounted_apps_start_in_order_after_the_host_and_stop_in_reverse(host_of: Any) -> None:
    seen: list[str] = []
    children = [app_of(name, seen) for name in ("first", "second")]
    host = host_of(compose_lifespan(*children, lifespan=lifespan_of("host", seen)), *children)

    with TestClient(host):
        assert seen == ["host starts", "first starts", "second starts"]

    assert seen[3:] == ["second stops", "first stops", "host stops"]


@HOSTS
@pytest.mark.spec("L-08")
def test_the_states_of_mounted_apps_are_one(host_of: Any) -> None:
    children = [app_of("first", [], pool="a"), app_of("second", [], queue="b")]
    host = host_of(compose_lifespan(*children, lifespan=lifespan_of("host", [], db="c")), *children)

    with TestClient(host) as client:
        assert client.get("/1/").json() == {"pool": "a", "queue": "b", "db": "c"}


@HOSTS
@pytest.mark.spec("L-05")
def test_a_mounted_app_that_fails_stops_those_before_it_and_the_host(host_of: Any) -> None:
    seen: list[str] = []
    children = [
        app_of("first", seen),
        app_of("second", seen),
        app_of("bad", seen, fails=True),
        app_of("never", seen),
    ]
    host = host_of(compose_lifespan(*children, lifespan=lifespan_of("host", seen)), *children)

    with pytest.raises(LifespanFailed, match="no bad"), TestClient(host):
        pass

    assert seen == [
        *("host starts", "first starts", "second starts"),
        *("second stops", "first stops"),  # and the host's own ends by the exception that it got
    ]


def test_the_lifespan_of_a_host_gets_its_app() -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def own(app: object) -> AsyncIterator[None]:
        seen.append(app)
        yield

    host = FastAPI(lifespan=compose_lifespan(lifespan=own))

    with TestClient(host):
        assert seen == [host]


@pytest.mark.spec("L-08")
def test_two_apps_with_one_key_of_state_for_different_things_do_not_start() -> None:
    seen: list[str] = []
    children = [app_of("first", seen, db="mine"), app_of("second", seen, db="yours")]

    with (
        pytest.raises(LifespanFailed, match=r"both fill in state\['db'\]"),
        TestClient(fastapi_host(compose_lifespan(*children))),
    ):
        pass

    assert seen[2:] == ["second stops", "first stops"]


def test_one_thing_may_stand_in_two_states() -> None:
    shared = "one object"
    children = [app_of("first", [], db=shared), app_of("second", [], db=shared)]

    with TestClient(fastapi_host(compose_lifespan(*children))) as client:
        assert client.app_state == {"db": shared}


@pytest.mark.spec("L-04", "L-09")
def test_an_app_without_lifespan_is_no_obstacle() -> None:
    host = fastapi_host(compose_lifespan(no_lifespan), no_lifespan)

    with TestClient(host) as client:
        assert client.get("/1").text == "hello"
        assert client.app_state == {}


@pytest.mark.spec("L-13")
def test_the_threads_of_a_mounted_wsgi_app_end_with_the_host() -> None:
    before = set(bridge_threads())
    child = WSGIToASGI(wsgi_hello)

    with TestClient(fastapi_host(compose_lifespan(child), child)) as client:
        assert client.get("/1").text == "hello"
        assert set(bridge_threads()) - before

    assert not set(bridge_threads()) - before


def test_a_site_is_a_child_with_the_lifespans_of_all_that_is_in_it() -> None:
    seen: list[str] = []
    site = Site()
    site.mount("/a", app_of("inner", seen))

    with TestClient(fastapi_host(compose_lifespan(site), site.asgi)) as client:
        assert client.get("/1/a/").status_code == 200

    assert seen == ["inner starts", "inner stops"]


@pytest.mark.spec("L-05")
def test_an_app_that_takes_too_long_fails_the_host() -> None:
    @asynccontextmanager
    async def hanging(app: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    composed = compose_lifespan(Starlette(lifespan=hanging), startup_timeout=0.01)

    with pytest.raises(LifespanFailed, match="did not start within"), TestClient(fastapi_host(composed)):
        pass


@pytest.mark.spec("L-06")
def test_an_app_that_does_not_stop_holds_up_neither_the_others_nor_the_host(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def hanging(app: object) -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    seen: list[str] = []
    composed = compose_lifespan(app_of("first", seen), Starlette(lifespan=hanging), shutdown_timeout=0.01)

    with TestClient(fastapi_host(composed)):
        pass

    assert seen == ["first starts", "first stops"]
    assert ["did not stop" in record.getMessage() for record in caplog.records] == [True]


def test_a_composed_lifespan_may_run_again() -> None:
    seen: list[str] = []
    host = fastapi_host(compose_lifespan(app_of("child", seen)))

    for _ in range(2):
        with TestClient(host):
            pass

    assert seen == ["child starts", "child stops"] * 2


# ---------------------------------------------------------------- any other host


class Plain:
    """A host that takes no `lifespan=`: it serves its child under any path."""

    def __init__(self, child: ASGIApp, seen: list[str], **state: object) -> None:
        self.child = child
        self._own = app_of("host", seen, **state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._own if scope["type"] == "lifespan" else self.child)(scope, receive, send)


def test_a_plain_host_is_wrapped_and_starts_first() -> None:
    seen: list[str] = []
    child = app_of("child", seen, pool="a")
    own = lifespan_of("own", seen, queue="b")
    app = compose_lifespan(child, lifespan=own).wrap(Plain(child, seen, db="c"))

    with TestClient(app) as client:
        assert client.get("/").json() == {"pool": "a", "queue": "b", "db": "c"}

    assert seen == [
        *("host starts", "own starts", "child starts"),
        *("child stops", "own stops", "host stops"),
    ]


@pytest.mark.spec("L-09")
async def test_a_server_without_state_gets_it_from_the_wrapper() -> None:
    child = app_of("child", [], pool="a")
    app = compose_lifespan(child).wrap(child_only(child))
    lifespan, request = Exchange({"type": "lifespan.startup"}), Exchange()
    scope = http_scope()
    del scope["state"]

    running = asyncio.ensure_future(
        app({"type": "lifespan", "asgi": {"version": "3.0"}}, lifespan.receive, lifespan.send)
    )
    await lifespan.sent_count(1)
    await app(scope, request.receive, request.send)
    lifespan.events.put_nowait({"type": "lifespan.shutdown"})
    await running

    assert request.sent[1]["body"] == b'{"pool":"a"}'
    assert [message["type"] for message in lifespan.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def child_only(child: ASGIApp) -> ASGIApp:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await child(scope, receive, send)

    return host


@pytest.mark.spec("L-05")
@pytest.mark.parametrize(
    ("bad", "raises"),
    [
        (compose_lifespan(app_of("child", [], fails=True)), None),
        (compose_lifespan(lifespan=lifespan_of("child", [], fails=True)), ValueError),
    ],
    ids=["a child", "the host's own"],
)
async def test_a_failed_start_of_a_wrapped_host_is_told_to_the_server(bad: Any, raises: Any) -> None:
    lifespan = Exchange({"type": "lifespan.startup"})
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    running = bad.wrap(no_lifespan)(scope, lifespan.receive, lifespan.send)
    if raises is None:
        await running
    else:
        with pytest.raises(raises, match="no child"):
            await running

    assert [message["type"] for message in lifespan.sent] == ["lifespan.startup.failed"]
    assert "no child" in lifespan.sent[0]["message"]


async def test_a_server_that_cancels_instead_of_a_shutdown_stops_all() -> None:
    seen: list[str] = []
    app = compose_lifespan(app_of("child", seen)).wrap(no_lifespan)
    lifespan = Exchange({"type": "lifespan.startup"})
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    running = asyncio.ensure_future(app(scope, lifespan.receive, lifespan.send))
    await lifespan.sent_count(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert seen == ["child starts", "child stops"]


# ---------------------------------------------------------------- arguments


async def undecorated(app: object) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("apps", "options", "says"),
    [
        ([wsgi_hello], {}, "WSGIToASGI that serves it"),
        ([None], {}, "is not an ASGI 3 app"),
        ([no_lifespan, no_lifespan], {}, "twice"),
        ([], {"lifespan": undecorated}, "asynccontextmanager"),
        ([], {"lifespan": 1}, "asynccontextmanager"),
        ([], {"startup_timeout": -1}, "startup_timeout"),
        ([], {"shutdown_timeout": "1"}, "shutdown_timeout"),
    ],
)
def test_a_wrong_argument_is_named(apps: list[Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        compose_lifespan(*apps, **options)


def test_request_state_is_typed_as_fastapi_shows_it() -> None:
    child = app_of("child", [], pool="a")
    host = fastapi_host(compose_lifespan(child), child)

    @host.get("/pool")
    def pool(request: Request) -> str:
        return str(request.state.pool)

    with TestClient(host) as client:
        assert client.get("/pool").json() == "a"


def test_a_start_says_what_it_runs_without(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bridge.lifespan")

    with TestClient(fastapi_host(compose_lifespan(no_lifespan))):
        pass

    assert any("does not support lifespan" in record.getMessage() for record in caplog.records)
