from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import starlette.middleware
from fastapi import APIRouter, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge import ASGIToWSGI, Site, Stack, WSGIToASGI, as_asgi, as_wsgi, wsgi
from bridge._protocol.kind import Side
from bridge._runtime.lifespan import Lifespan
from bridge.errors import ConfigurationError, LifespanFailed
from bridge.integrations.flask import mount as mount_in_flask
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.support.asgi import Exchange, get, http_scope
from tests.support.layers import ASGILayer, Probe, WSGILayer, back, way
from tests.support.wsgi import call, make_environ

# Its annotations are those of ASGI middleware.
Middleware: Any = starlette.middleware.Middleware
SIDES: tuple[Side, Side] = ("asgi", "wsgi")


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str


def ask(site: Site, face: Side, path: str = "/", *, host: str = "test", root: str = "", **more: Any) -> Reply:
    """Ask a face as a server does; `raw` is the path as it was sent."""
    raw = more.pop("raw", path)
    headers = {"host": host, **more.pop("headers", {})}
    method = more.pop("method", "GET")
    query = more.pop("query", "")
    if face == "asgi":
        scope = http_scope(
            root + path,
            method=method,
            root_path=root,
            raw_path=(root + raw).encode(),
            query_string=query.encode(),
        )
        scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
        exchange = asyncio.run(Exchange().run(site.asgi, scope, timeout=30))
        found = {name.decode().title(): value.decode() for name, value in exchange.headers}
        return Reply(exchange.status, found, exchange.body.decode())
    keys = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
    environ = make_environ(path, method=method, SCRIPT_NAME=root, QUERY_STRING=query)
    answer = call(site.wsgi, {**environ, **keys, "REQUEST_URI": root + raw})
    return Reply(answer.status, answer.headers, answer.body.decode())


def wsgi_app(name: str) -> Any:
    """Make a WSGI app that answers with its name and what it sees of the path."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    return app


def asgi_app(name: str) -> Any:
    """The same for ASGI."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("no lifespan here")
        rest = scope["path"].removeprefix(scope["root_path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{name} {scope['root_path']} {rest}".encode()})

    return app


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    return Probe(monkeypatch)


@pytest.fixture(autouse=True)
def _nobody_has_passed_yet() -> None:
    way.set("")
    back.set("")


# ------------------------------------------------------------ which app answers


def paths() -> Site:
    site = Site()
    site.mount("/", asgi_app("root"))
    site.mount("/legacy", wsgi_app("legacy"))
    site.mount("/legacy/v2", asgi_app("v2"))
    site.mount("/kept", wsgi_app("kept"), prefix="keep")
    return site


@pytest.mark.spec("SEC-14", "U-11", "U-14", "U-19")
@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize("root", ["", "/up"])
@pytest.mark.parametrize(
    ("path", "app", "prefix"),
    [
        ("/", "root", ""),
        ("/x", "root", ""),
        ("/legacyx", "root", ""),
        ("//legacy/x", "root", ""),
        ("/legacy/", "legacy", "/legacy"),
        ("/legacy/x/y", "legacy", "/legacy"),
        ("/legacy/v2/x", "v2", "/legacy/v2"),
        ("/legacy/v20", "legacy", "/legacy"),
        ("/legacy/../x", "legacy", "/legacy"),
        ("/kept", "kept", ""),
        ("/kept/x", "kept", ""),
    ],
)
def test_the_longest_prefix_answers_and_takes_its_part_of_the_path(
    face: Side, root: str, path: str, app: str, prefix: str
) -> None:
    assert ask(paths(), face, path, root=root).text == f"{app} {root}{prefix} {path.removeprefix(prefix)}"


@pytest.mark.spec("SEC-14", "SEC-15")
@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize(
    ("path", "raw", "answer"),
    [
        ("/legacy/x", "/legacy%2Fx", "root  /legacy/x"),
        ("/legacy/v2/x", "/legacy/v2%2fx", "legacy /legacy /v2/x"),
        ("/legacy/a/b", "/legacy/a%2Fb", "legacy /legacy /a/b"),
        ("/legacy/../x", "/legacy/%2e%2e/x", "legacy /legacy /../x"),
        ("/legacy/../x", "/legacy%2F..%2Fx", "root  /legacy/../x"),
    ],
)
def test_an_encoded_slash_is_no_border_and_dots_lead_nowhere(
    face: Side, path: str, raw: str, answer: str
) -> None:
    assert ask(paths(), face, path, raw=raw).text == answer


@pytest.mark.parametrize("face", SIDES)
def test_a_path_may_be_of_any_script(face: Side) -> None:
    site = Site()
    site.mount("/é", Flask("é"))
    flask_app = site.routes()[0].app
    flask_app.add_url_rule("/ü", "show", lambda: "here")

    path = "/é/ü" if face == "asgi" else "/é/ü".encode().decode("latin-1")

    assert ask(site, face, path, raw="/%C3%A9/%C3%BC").text == "here"


@pytest.mark.parametrize("face", SIDES)
def test_an_app_of_the_servers_kind_is_reached_without_a_crossing(probe: Probe, face: Side) -> None:
    site = paths()
    own, other = ("/legacy/v2/", "/legacy/") if face == "asgi" else ("/legacy/", "/legacy/v2/")

    ask(site, face, own)
    assert probe.crossings == []
    ask(site, face, other)
    assert probe.crossings == ["WSGIToASGI" if face == "asgi" else "ASGIToWSGI"]


@pytest.mark.parametrize("face", SIDES)
def test_hosts_and_paths_mix_and_sites_nest(face: Side) -> None:
    admin = Site()
    admin.mount("/", wsgi_app("admin"))
    admin.mount("/api", asgi_app("admin-api"))
    inner = Site()
    inner.mount("/deep", wsgi_app("deep"))
    inner.host("only.example.org", wsgi_app("only"))
    site = Site()
    site.host("admin.example.org", admin)
    site.host("*.example.com", wsgi_app("tenant"), exclude=["www.example.com"])
    site.mount("/a", inner)
    site.mount("/", asgi_app("root"))

    asked = [
        ("Admin.example.org:8000", "/x", "admin  /x"),
        ("admin.example.org.", "/api/x", "admin-api /api /x"),
        ("t1.example.com", "/a/deep/x", "tenant  /a/deep/x"),
        ("www.example.com", "/x", "root  /x"),
        ("test", "/a/deep/x", "deep /a/deep /x"),
        ("only.example.org", "/a/x", "only /a /x"),
        ("", "/x", "root  /x"),
    ]

    assert [ask(site, face, path, host=host).text for host, path, _ in asked] == [text for *_, text in asked]


@pytest.mark.parametrize("face", SIDES)
def test_the_same_app_may_be_mounted_twice_and_has_one_adapter(face: Side) -> None:
    app = wsgi_app("twice")
    site = Site()
    site.mount("/a", app)
    site.host("b.example.org", app)

    assert ask(site, face, "/a/x").text == "twice /a /x"
    assert ask(site, face, "/a/x", host="b.example.org").text == "twice  /a/x"
    assert len(site._router.stacks()) == 1


# ------------------------------------------------------------ redirect and 404


@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("root", ["", "/up"])
def test_a_mount_without_its_slash_redirects_as_starlette_does(face: Side, method: str, root: str) -> None:
    reply = ask(paths(), face, "/legacy", method=method, root=root, query="a=1&b=%2F")

    assert (reply.status, reply.headers["Location"]) == (307, f"{root}/legacy/?a=1&b=%2F")


def test_a_server_that_adds_no_root_path_to_the_path_redirects_below_it_too() -> None:
    """hypercorn and daphne pass the path as it was requested."""
    scope = http_scope("/legacy", root_path="/up")

    location = dict(asyncio.run(Exchange().run(paths().asgi, scope)).headers)[b"location"]

    assert location == b"/up/legacy/"


@pytest.mark.parametrize("face", SIDES)
def test_without_redirects_the_app_gets_an_empty_path(face: Side) -> None:
    site = Site(redirect_slashes=False)
    site.mount("/legacy", wsgi_app("legacy"))

    assert ask(site, face, "/legacy").text == "legacy /legacy "


@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "text/plain; charset=utf-8"),
    ],
)
def test_nothing_there_is_said_in_the_form_that_the_client_likes(
    face: Side, accept: str, content_type: str
) -> None:
    site = Site()
    site.mount("/legacy", wsgi_app("legacy"))

    reply = ask(site, face, "/x", headers={"accept": accept})
    head = ask(site, face, "/x", headers={"accept": accept}, method="HEAD")

    assert (reply.status, reply.headers["Content-Type"], reply.headers["Vary"].lower()) == (
        404,
        content_type,
        "accept",
    )
    assert "Not Found" in reply.text and reply.headers["Content-Length"] == str(len(reply.text))
    assert (head.text, head.headers) == ("", reply.headers)


# ------------------------------------------------------------ middleware


@pytest.mark.parametrize("face", SIDES)
def test_middleware_of_either_kind_stands_around_all_or_around_one(probe: Probe, face: Side) -> None:
    def told(app: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [way.get().encode()]

    async def told_asgi(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": way.get().encode()})

    site = Site()
    site.use(ASGILayer, "i")
    site.mount(
        "/w", lambda environ, start_response: told(None, environ, start_response), middleware=[WSGILayer]
    )
    site.mount("/a", told_asgi, middleware=[Middleware(WSGILayer, "1"), Middleware(ASGILayer, "2")])
    site.use(Middleware(WSGILayer), name="o")

    assert ask(site, face, "/w/").text == "oiw"
    way.set("")
    assert ask(site, face, "/a/").text == "oi12"


@pytest.mark.parametrize("face", SIDES)
def test_middleware_around_all_sees_its_own_paths_before_and_after(face: Side) -> None:
    seen: list[object] = []

    class Watch:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            before = dict(scope)
            await self.app(scope, receive, send)
            seen.append({key: before[key] == scope[key] for key in ("path", "root_path")})

    class WSGIWatch:
        def __init__(self, app: Any) -> None:
            self.app = app

        def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            before = dict(environ)
            blocks: Iterable[bytes] = self.app(environ, start_response)
            seen.append({key: before[key] == environ[key] for key in ("PATH_INFO", "SCRIPT_NAME")})
            return blocks

    site = paths()
    site.use(Watch if face == "asgi" else WSGIWatch)
    ask(site, face, "/legacy/x")

    assert [set(found.values()) for found in seen] == [{True}]  # type: ignore[attr-defined]


def test_a_face_taken_early_is_the_one_of_the_whole_site() -> None:
    site = Site()
    face = site.wsgi
    site.use(WSGILayer, "w")
    site.mount("/", wsgi_app("root"))

    assert call(face).headers["X-Layer"] == "w"


# ------------------------------------------------------------ lifespan


def living(told: list[str], name: str, *, fails: bool = False) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        told.append(f"{name} up")
        if fails:
            raise RuntimeError("no database")
        yield {"key": name}
        told.append(f"{name} down")

    def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.key)

    return Starlette(routes=[Route("/", show)], lifespan=lifespan)


def living_site(told: list[str], *, fails: bool = False) -> Site:
    inner = Site()
    inner.mount("/", living(told, "b"))
    site = Site()
    site.mount("/a", living(told, "a"))
    site.mount("/flask", wsgi_app("flask"))
    site.mount("/inner", inner)
    site.mount("/c", living(told, "c", fails=fails), middleware=[WSGILayer])
    return site


UP = ["a up", "b up", "c up"]
DOWN = ["c down", "b down", "a down"]


@pytest.mark.spec("L-02", "L-08")
@pytest.mark.parametrize("around", [[], [ASGILayer], [WSGILayer], [WSGILayer, ASGILayer, WSGILayer]])
async def test_all_lifespans_are_one_on_the_asgi_face(around: list[Any]) -> None:
    told: list[str] = []
    site = living_site(told)
    for layer in around:
        site.use(layer)
    lifespan = Lifespan(site.asgi, required=True)

    await lifespan.startup(20)
    assert told == UP
    states = [(await get(site.asgi, path)).body for path in ("/a/", "/inner/", "/c/")]
    await lifespan.shutdown(20)

    assert states == [b"a", b"b", b"c"]
    assert told == UP + DOWN


@pytest.mark.spec("L-16", "L-03")
@pytest.mark.parametrize("around", [[], [ASGILayer], [WSGILayer], [WSGILayer, ASGILayer, WSGILayer]])
def test_all_lifespans_are_one_on_the_wsgi_face(around: list[Any]) -> None:
    """The first request starts them all, whichever app it is for, and however many come at once."""
    told: list[str] = []
    site = living_site(told)
    for layer in around:
        site.use(layer)
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda path=path: bodies.append(call(site.wsgi, path=path).body))
        for path in ["/flask/", "/a/", "/inner/", "/c/"]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert told == UP

    site.close()

    assert sorted(bodies) == [b"a", b"b", b"c", b"flask /flask /"]
    assert told == UP + DOWN


@pytest.mark.spec("L-05")
async def test_a_failed_start_rolls_back_on_the_asgi_face() -> None:
    told: list[str] = []

    with pytest.raises(LifespanFailed, match="no database"):
        await Lifespan(living_site(told, fails=True).asgi, required=True).startup(20)

    assert told == [*UP, "b down", "a down"]


@pytest.mark.spec("L-05", "L-16")
def test_a_failed_start_rolls_back_on_the_wsgi_face_and_is_not_tried_again() -> None:
    told: list[str] = []
    site = living_site(told, fails=True)

    for _ in range(2):
        with pytest.raises(LifespanFailed, match="no database"):
            call(site.wsgi, path="/flask/")

    assert told == [*UP, "b down", "a down"]


def test_a_closed_site_starts_again() -> None:
    told: list[str] = []
    site = Site()
    site.mount("/a", living(told, "a"))

    for _ in range(2):
        site.start()
        site.close()

    assert told == ["a up", "a down"] * 2


# ------------------------------------------------------------ websockets


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"{websocket.scope['root_path']} {await websocket.receive_text()}")
    await websocket.close()


def test_a_websocket_reaches_its_app_on_the_asgi_face() -> None:
    site = Site()
    site.mount("/ws", Starlette(routes=[WebSocketRoute("/echo", echo)]))
    client = TestClient(site.asgi)

    with client.websocket_connect("/ws/echo") as session:
        session.send_text("hello")
        assert session.receive_text() == "/ws hello"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/nowhere"):
        pass


# ------------------------------------------------------------ routes


def spelled(site: Site) -> list[tuple[str, str, str]]:
    return [(route.path, ",".join(route.methods), route.kind) for route in site.routes()]


def test_it_lists_the_routes_of_each_app_with_their_owners() -> None:
    flask_app = Flask("shop", static_folder=None)
    flask_app.add_url_rule("/item/<int:id>", "item", lambda id: "", methods=["POST"])  # noqa: A006
    part = APIRouter(prefix="/part")
    part.add_api_route("/{id}", lambda: None, methods=["GET"], name="part")
    api = FastAPI(title="API", openapi_url=None)
    api.include_router(part, prefix="/v1")
    api.mount("/flask", WSGIToASGI(flask_app))
    star = Starlette(
        routes=[
            WebSocketRoute("/ws", echo),
            Mount("/group", routes=[Route("/x", echo, methods=["GET"])]),
            Host("h.example.org", app=Starlette(routes=[Route("/y", echo, methods=["GET"])])),
        ]
    )
    inner = Site()
    inner.mount("/star", star)
    inner.mount("/plain", wsgi_app("plain"), prefix="keep")
    site = Site()
    site.mount("/shop", flask_app.wsgi_app, middleware=[WSGILayer])
    site.mount("/api", api)
    site.mount("/in", inner)
    site.host("k.example.org", flask_app)
    site.mount("/", wsgi_app("root"))

    assert spelled(site) == [
        ("/shop/item/<int:id>", "OPTIONS,POST", "http"),
        ("/api/v1/part/{id}", "GET", "http"),
        ("/api/flask/item/<int:id>", "OPTIONS,POST", "http"),
        ("/in/star/ws", "", "websocket"),
        ("/in/star/group/x", "GET,HEAD", "http"),
        ("/in/star/y", "GET,HEAD", "http"),
        ("/in/plain", "", "opaque"),
        ("/item/<int:id>", "OPTIONS,POST", "http"),
        ("/", "", "opaque"),
    ]
    routes = site.routes()
    assert [route.host for route in routes] == [*[None] * 5, "h.example.org", None, "k.example.org", None]
    assert routes[0].owner == "flask.app.Flask 'shop'" and routes[0].app is flask_app
    assert (routes[1].owner, routes[1].name) == ("fastapi.applications.FastAPI 'API'", "part")
    assert routes[2].app is api and routes[3].app is star
    assert "wsgi_app" in routes[-1].owner


def test_it_lists_what_is_mounted_in_a_flask_app() -> None:
    host = Flask("host", static_folder=None)
    host.add_url_rule("/own", "own", lambda: "")
    host.add_url_rule("/elsewhere", "elsewhere", build_only=True)
    api = FastAPI(openapi_url=None)
    api.add_api_route("/x", lambda: None, methods=["GET"])
    mount_in_flask(host, "/api", api)
    mount_in_flask(host, "/plain", wsgi_app("plain"))
    site = Site()
    site.mount("/host", host)

    assert spelled(site) == [
        ("/host/own", "GET,HEAD,OPTIONS", "http"),
        ("/host/api/x", "GET", "http"),
        ("/host/plain", "", "opaque"),
    ]
    own, *others = site.routes()
    assert own.view is host.view_functions["own"] and own.source[0].endpoint == "own"
    assert [(route.app, route.source) for route in others] == [(host, ())] * 2


DJANGO = """
import sys
from bridge import Site
assert not {"django", "flask", "fastapi", "starlette"} & set(sys.modules)
Site().mount("/x", lambda environ, start_response: [])
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from django.views.generic import View
settings.configure(ROOT_URLCONF="__main__", SECRET_KEY="x")
django.setup()
class Page(View):
    def get(self, request, id): ...
    def post(self, request, id): ...
inner = [path("<int:id>/", Page.as_view(), name="page")]
from django.views.decorators.http import require_POST
@require_POST
def drop(request): ...
urlpatterns = [path("", print), path("pages/", include((inner, "pages"))), path("drop", drop, name="drop")]
site = Site()
site.mount("/cms", get_wsgi_application())
for route in site.routes():
    print(route.path, route.methods, route.name, route.owner)
assert not {"flask", "fastapi", "starlette"} & set(sys.modules)
from fastapi import FastAPI
from bridge.integrations.django import include_asgi
api = FastAPI(openapi_url=None)
api.add_api_route("/x", print, methods=["GET"])
urlpatterns[:] = [path("in/", include([path("api/", include_asgi(api))]))]
for route in site.routes():
    print(route.path, route.methods, route.name, route.owner)
"""


def test_it_lists_the_routes_of_django_and_imports_no_framework() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DJANGO],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "/cms/ ()  django.core.handlers.wsgi.WSGIHandler",
        "/cms/pages/<int:id>/ ('GET', 'OPTIONS', 'POST') pages:page django.core.handlers.wsgi.WSGIHandler",
        "/cms/drop ('POST',) drop django.core.handlers.wsgi.WSGIHandler",
        "/cms/in/api/x ('GET',) print django.core.handlers.wsgi.WSGIHandler",
    ]


# ------------------------------------------------------------ what is refused


def twice() -> None:
    site = paths()
    site.mount("/legacy/", wsgi_app("again"))


def overlapping() -> None:
    site = Site()
    site.host("*.example.org", wsgi_app("all"))
    site.host("a.example.org", wsgi_app("one"))


def in_itself() -> None:
    site, inner = Site(), Site()
    site.mount("/a", inner)
    inner.mount("/b", Stack(site))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (twice, "'/legacy': something is mounted there already"),
        (overlapping, r"exclude=\['a.example.org'\]"),
        (in_itself, "cannot be mounted in itself"),
        (lambda: Site().mount("/a", Starlette), "cannot tell by its signature"),
        (lambda: Site().mount("/a", None), "expected a WSGI or ASGI app"),
        (lambda: Site().mount("a", wsgi_app("a")), "starts with a slash"),
        (lambda: Site().mount("/a", wsgi_app("a"), prefix="cut"), "expected 'strip' or 'keep'"),  # type: ignore[arg-type]
        (lambda: Site().host("a:80", wsgi_app("a")), "without port"),
        (lambda: Site().use(lambda app: app), r"say so with asgi\("),
        (lambda: Site().use(wsgi(lambda app: asgi_app("x"))), "state its kind with asgi"),
        (lambda: Site(startup_timeout=-1), "startup_timeout"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Callable[[], None], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_what_was_refused_leaves_the_site_as_it_was() -> None:
    site = paths()
    with pytest.raises(ConfigurationError):
        site.mount("/legacy", wsgi_app("again"))

    assert ask(site, "wsgi", "/legacy/x").text == "legacy /legacy /x"
    assert len(site.routes()) == 4


@pytest.mark.parametrize("begin", ["asgi", "wsgi", "start", "lifespan"])
def test_mounting_after_the_start_is_refused(begin: str) -> None:
    site = paths()
    if begin == "start":
        site.start()
    elif begin == "lifespan":
        with TestClient(site.asgi):
            pass
    else:
        ask(site, "asgi" if begin == "asgi" else "wsgi")

    changes: list[Callable[[], None]] = [
        lambda: site.mount("/late", wsgi_app("late")),
        lambda: site.host("late.example.org", wsgi_app("late")),
        lambda: site.use(WSGILayer),
    ]
    for change in changes:
        with pytest.raises(ConfigurationError, match="the site has started"):
            change()


def test_a_site_gives_its_faces_to_as_asgi_and_as_wsgi() -> None:
    site = paths()

    assert as_asgi(site) is site.asgi and as_wsgi(site) is site.wsgi


def test_an_adapter_with_options_is_used_as_it_is() -> None:
    adapter = WSGIToASGI(wsgi_app("a"), threads=2)
    other = ASGIToWSGI(asgi_app("b"), lifespan="off")
    site = Site()
    site.mount("/a", adapter)
    site.mount("/b", other)

    assert [stack.asgi for stack in site._router.stacks()] == [adapter, other.app]
    assert [stack.wsgi for stack in site._router.stacks()] == [adapter.app, other]


@pytest.mark.spec("SEC-31")
def test_what_an_asgi_app_set_is_gone_in_the_next_request_of_the_thread() -> None:
    """A server's thread keeps its context, and the next app may have no adapter that cleans up."""

    async def sets(scope: Scope, receive: Receive, send: Send) -> None:
        back.set("a secret of the first request")
        await asgi_app("sets")(scope, receive, send)

    def shows(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [back.get().encode()]

    site = Site()
    site.mount("/sets", sets)
    site.mount("/shows", shows)

    call(site.wsgi, path="/sets/")

    assert call(site.wsgi, path="/shows/").body == b""


@pytest.mark.parametrize("face", SIDES)
def test_a_face_that_is_mounted_stands_for_its_site(probe: Probe, face: Side) -> None:
    site = Site()
    site.mount("/of-asgi", paths().asgi)
    site.mount("/of-wsgi", paths().wsgi)
    own = "/legacy/v2/x" if face == "asgi" else "/legacy/x"

    texts = [ask(site, face, mount + own).text for mount in ("/of-asgi", "/of-wsgi")]

    assert [text.split()[1] for text in texts] == [mount + own[:-2] for mount in ("/of-asgi", "/of-wsgi")]
    assert probe.crossings == []
    assert len(site.routes()) == 8
    assert as_wsgi(site.asgi) is site.wsgi and as_asgi(site.wsgi) is site.asgi


@pytest.mark.spec("AA-10")
def test_headers_may_be_a_generator() -> None:
    def shows(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["HTTP_X_A"].encode()]

    site = Site()
    site.host("example.org", shows)
    scope = http_scope()
    scope["headers"] = (field for field in [(b"host", b"example.org"), (b"x-a", b"still there")])

    assert asyncio.run(Exchange().run(site.asgi, scope)).body == b"still there"


def test_a_site_may_be_subclassed() -> None:
    class Shop(Site):
        pass

    shop = Shop()
    shop.mount("/a", wsgi_app("a"))
    site = Site()
    site.mount("/shop", shop)

    assert [route.path for route in site.routes()] == ["/shop/a"]
