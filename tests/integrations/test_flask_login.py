"""One login for Flask and FastAPI: Flask's session, flask-login, and Starlette's session in Flask."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import redis
from cachelib.file import FileSystemCache
from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_session import Session as ServerSideSession
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

from bridge.errors import ConfigurationError
from bridge.integrations.fastapi import (
    FlaskVisit,
    LoginCookies,
    flask_login_user,
    flask_session,
    flask_visit,
    mount,
)
from bridge.integrations.flask import StarletteSession
from tests.support.servers import free_port, run


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def make_legacy(**config: Any) -> Flask:
    app = Flask("legacy")
    app.config.update(SECRET_KEY="new", **config)
    manager = LoginManager(app)
    manager.user_loader(lambda name: User(name))

    @app.get("/read")
    def read() -> dict[str, Any]:
        return {name: value for name, value in session.items() if name[0] != "_"}

    @app.get("/write/<value>")
    def write(value: str) -> str:
        session["value"] = value
        return "written"

    @app.get("/login/<name>")
    def log_in(name: str) -> str:
        login_user(User(name))
        return "in"

    @app.get("/logout")
    def log_out() -> str:
        logout_user()
        return "out"

    @app.get("/whoami")
    def whoami() -> dict[str, Any]:
        return {"user": current_user.get_id()}

    return app


def make_site(legacy: Flask) -> FastAPI:
    site = FastAPI()
    mount(site, "/legacy", legacy)
    Session = Annotated[Any, Depends(flask_session(legacy))]
    CurrentUser = Annotated[Any, Depends(flask_login_user(legacy))]
    Visit = Annotated[FlaskVisit, Depends(flask_visit(legacy))]

    async def read(session: Session) -> dict[str, Any]:
        return {name: value for name, value in session.items() if name[0] != "_"}

    async def write(value: str, session: Session) -> RedirectResponse:
        session["value"] = value
        return RedirectResponse("/read", 303)

    async def clear(session: Session) -> None:
        session.clear()

    async def whoami(user: CurrentUser) -> dict[str, Any]:
        return {"user": user.get_id()}

    async def log_in(name: str, visit: Visit, remember: bool = False) -> None:
        await visit.run(login_user, User(name), remember=remember)

    async def log_out(visit: Visit) -> None:
        await visit.run(logout_user)

    site.add_api_route("/read", read)
    site.add_api_route("/write/{value}", write, response_model=None)
    site.add_api_route("/clear", clear)
    site.add_api_route("/whoami", whoami)
    site.add_api_route("/login/{name}", log_in)
    site.add_api_route("/logout", log_out)
    return site


@pytest.fixture(scope="module")
def redis_client() -> Iterator[redis.Redis]:
    """A client of a real server, which keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with run(command, port), redis.Redis(port=port) as client:
        yield client


@pytest.fixture(params=["cookie", "files", "redis"])
def legacy(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """With Flask's signed cookie, and with the server-side sessions of flask-session."""
    app = make_legacy()
    if request.param == "files":
        app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path)))
        ServerSideSession(app)
    elif request.param == "redis":
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=request.getfixturevalue("redis_client"))
        ServerSideSession(app)
    return app


def test_a_session_is_read_and_written_on_both_sides(legacy: Flask) -> None:
    client = TestClient(make_site(legacy))

    client.get("/legacy/write/flask")
    assert client.get("/read").json() == {"value": "flask"}

    assert client.get("/write/fastapi").json() == {"value": "fastapi"}  # over a redirect
    assert client.get("/legacy/read").json() == {"value": "fastapi"}

    client.get("/clear")
    assert client.get("/legacy/read").json() == {}


def test_who_logs_in_on_one_side_is_known_on_the_other_and_may_log_out_on_any(legacy: Flask) -> None:
    client = TestClient(make_site(legacy))
    assert client.get("/whoami").json() == {"user": None}

    client.get("/legacy/login/ada")
    assert client.get("/whoami").json() == {"user": "ada"}
    client.get("/logout")
    assert client.get("/legacy/whoami").json() == {"user": None}

    client.get("/login/eve")
    assert client.get("/legacy/whoami").json() == {"user": "eve"}
    client.get("/legacy/logout")
    assert client.get("/whoami").json() == {"user": None}


def test_a_login_that_is_remembered_outlives_the_session() -> None:
    client = TestClient(make_site(make_legacy()))
    client.get("/login/ada?remember=true")

    client.cookies.delete("session")
    assert client.get("/whoami").json() == {"user": "ada"}
    client.get("/logout")

    assert "remember_token" not in client.cookies
    assert client.get("/whoami").json() == {"user": None}


def test_nobody_is_logged_out_by_the_adoption() -> None:
    """A cookie from before is good, and is not even written anew."""
    legacy = make_legacy()
    before = legacy.test_client()
    before.get("/login/ada", headers={"User-Agent": "browser"})  # flask-login notes it, and the address
    cookie = before.get_cookie("session")
    assert cookie is not None

    site = make_site(legacy)
    browser = {"user-agent": "browser"}
    client = TestClient(site, cookies={"session": cookie.value}, client=("127.0.0.1", 1), headers=browser)
    answers = [client.get("/whoami"), client.get("/legacy/whoami"), client.get("/read")]

    assert [answer.json() for answer in answers[:2]] == [{"user": "ada"}] * 2
    assert [answer.headers.get("set-cookie") for answer in answers] == [None] * 3
    assert answers[2].headers["vary"] == "Cookie"


def signed(key: str) -> str:
    app = Flask("old")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps({"value": "old"}))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (signed("new"), {"value": "old"}),
        (signed("old"), {"value": "old"}),
        (signed("older"), {}),
        (signed("new")[:-2] + "xx", {}),
        ("garbage", {}),
    ],
    ids=["current key", "rotated key", "unknown key", "tampered with", "garbage"],
)
def test_a_cookie_counts_by_the_keys_of_the_flask_app(value: str, read: dict[str, str]) -> None:
    client = TestClient(make_site(make_legacy(SECRET_KEY_FALLBACKS=["old"])), cookies={"session": value})

    assert client.get("/read").json() == read


@pytest.mark.spec("SEC-30", "SEC-08")
@pytest.mark.parametrize(
    "fields",
    [
        [(b"host", b"a.example, b.example")],
        [(b"authorization", b"Bearer one"), (b"authorization", b"Bearer two")],
        [(b"x-name", b"a\x01b")],
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_no_error_of_the_endpoint(
    fields: list[tuple[bytes, bytes]],
) -> None:
    client = TestClient(make_site(make_legacy()))

    answers = [client.get(path, headers=fields) for path in ("/read", "/whoami", "/legacy/read")]

    assert [answer.status_code for answer in answers] == [400] * 3


def test_sessions_are_opened_and_saved_off_the_loop() -> None:
    threads = {}

    class Interface(SecureCookieSessionInterface):
        def open_session(self, *args: Any) -> Any:
            threads["open"] = threading.current_thread()
            return super().open_session(*args)

        def save_session(self, *args: Any) -> None:
            threads["save"] = threading.current_thread()
            super().save_session(*args)

    legacy = make_legacy()
    legacy.session_interface = Interface()
    site = make_site(legacy)

    @site.get("/loop")
    async def loop(session: Annotated[Any, Depends(flask_session(legacy))]) -> None:
        threads["loop"] = threading.current_thread()

    TestClient(site).get("/loop")

    assert threads["loop"] not in (threads["open"], threads["save"])


def test_without_the_middleware_the_error_says_what_to_add() -> None:
    legacy = make_legacy()
    site = FastAPI()

    @site.get("/")
    async def read(session: Annotated[Any, Depends(flask_session(legacy))]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"add_middleware\(LoginCookies\)"):
        TestClient(site).get("/")
    site = FastAPI()
    site.add_middleware(LoginCookies)
    site.add_api_route("/", read)
    assert TestClient(site).get("/").status_code == 200


def make_shared() -> TestClient:
    api = FastAPI()
    api.add_middleware(SessionMiddleware, secret_key="starlette's", session_cookie="api_session", max_age=60)
    legacy = make_legacy()
    shared = StarletteSession(api, legacy)

    @legacy.get("/shared")
    def show() -> dict[str, Any]:
        return dict(shared.data)

    @legacy.get("/shared/<value>")
    def change(value: str) -> str:
        shared.data.setdefault("values", []).append(value)
        return "changed"

    @legacy.get("/shared/end")
    def end() -> str:
        shared.data.clear()
        return "ended"

    @api.get("/session")
    async def read(request: Request) -> dict[str, Any]:
        return dict(request.session)

    @api.get("/session/{value}")
    async def write(value: str, request: Request) -> None:
        request.session["values"] = [value]

    mount(api, "/legacy", legacy)
    return TestClient(api)


def test_flask_reads_and_writes_the_session_of_starlette() -> None:
    client = make_shared()

    client.get("/session/one")
    assert client.get("/legacy/shared").json() == {"values": ["one"]}
    client.get("/legacy/shared/two")
    assert client.get("/session").json() == {"values": ["one", "two"]}

    ended = client.get("/legacy/shared/end")
    assert "api_session" not in client.cookies
    assert client.get("/session").json() == {}
    assert "Cookie" in ended.headers["vary"]


def test_flask_refuses_a_session_of_starlette_that_was_tampered_with() -> None:
    client = make_shared()
    client.get("/session/one")
    value = client.cookies["api_session"]

    client.cookies.clear()
    client.cookies.set("api_session", value[:-2] + ("xx" if value[-2:] != "xx" else "yy"))

    assert client.get("/legacy/shared").json() == {}


def test_an_unchanged_session_of_starlette_is_not_written() -> None:
    client = make_shared()
    client.get("/session/one")

    assert "set-cookie" not in client.get("/legacy/shared").headers


def test_an_app_without_sessions_has_none_to_share() -> None:
    with pytest.raises(ConfigurationError, match="SessionMiddleware"):
        StarletteSession(FastAPI())
