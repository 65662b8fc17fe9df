from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from flask import Flask
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from bridge import Site, WSGIToASGI
from bridge.errors import ConfigurationError
from bridge.integrations.fastapi import mount
from bridge.integrations.flask import mount as mount_in_flask
from tests.conftest import bridge_threads

ROOT = Path(__file__).parents[2]


def make_legacy() -> Flask:
    legacy = Flask("legacy")

    @legacy.get("/books/<int:book_id>")
    def show_book(book_id: int) -> str:
        """Show a book.

        By its number.
        """
        return f"book {book_id}"

    @legacy.route("/books/<int:number>", methods=["DELETE", "PUT"])
    def change_book(number: int) -> str:
        return f"changed {number}"

    @legacy.get("/shelves/<any(new, old):age>/<uuid:key>/<float(min=1.5, signed=True):width>/<path:rest>")
    def show_shelf(**names: object) -> str:
        return repr(names)

    return legacy


def schema_of(app: FastAPI) -> dict[str, Any]:
    with TestClient(app) as client:
        schema: dict[str, Any] = client.get("/openapi.json").json()
    validate(schema)
    return schema


def test_the_routes_of_a_flask_app_stand_in_a_valid_schema() -> None:
    app = FastAPI()
    app.add_api_route("/own", lambda: None)
    mount(app, "/legacy", make_legacy())

    schema = schema_of(app)

    book = schema["paths"]["/legacy/books/{book_id}"]
    assert set(book) == {"get", "put", "delete"}
    assert book["get"]["tags"] == ["legacy"]
    assert book["get"]["summary"] == "Show a book."
    assert book["get"]["description"] == "By its number."
    assert book["get"]["x-legacy"]["endpoint"] == "show_book"
    assert book["put"]["parameters"][0] == {
        "name": "book_id",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    }
    assert "x-legacy" not in schema["paths"]["/own"]["get"]


def test_converters_become_schemas() -> None:
    app = FastAPI()
    mount(app, "/legacy", make_legacy())

    [path] = [path for path in schema_of(app)["paths"] if "shelves" in path]

    parameters = app.openapi()["paths"][path]["get"]["parameters"]
    assert path == "/legacy/shelves/{age}/{key}/{width}/{rest}"
    assert {p["name"]: p["schema"] for p in parameters} == {
        "age": {"type": "string", "enum": ["new", "old"]},
        "key": {"type": "string", "format": "uuid"},
        "width": {"type": "number", "minimum": 1.5},
        "rest": {"type": "string"},
    }


def test_operation_ids_are_unique_with_two_legacy_apps() -> None:
    app = FastAPI()
    mount(app, "/a", make_legacy(), tag="a")
    mount(app, "/b", WSGIToASGI(make_legacy()))

    operations = [op for item in schema_of(app)["paths"].values() for op in item.values()]

    assert len(operations) == len({op["operationId"] for op in operations}) == 10


def test_what_is_no_operation_of_the_legacy_app_stays_out_of_the_schema() -> None:
    legacy = Flask("legacy", static_folder=None)
    legacy.add_url_rule("/here", "here", lambda: "", methods=["GET"])
    legacy.add_url_rule("/old", "old", redirect_to="here")
    legacy.add_url_rule("/only-options", "options", lambda: "", methods=["OPTIONS"])
    mount_in_flask(legacy, "/inner", make_legacy())
    app = FastAPI()
    mount(app, "/legacy", legacy)

    inner = Site()
    inner.mount("/shop", legacy)
    mount(app, "/site", inner)

    assert list(schema_of(app)["paths"]) == ["/legacy/here"]


def test_the_routes_may_stay_out_of_the_schema() -> None:
    app = FastAPI()
    mount(app, "/legacy", make_legacy(), openapi=False)

    assert schema_of(app)["paths"] == {}


def test_the_docs_page_shows_the_schema_with_the_legacy_routes() -> None:
    app = FastAPI()
    mount(app, "/legacy", make_legacy())
    client = TestClient(app)

    assert "/openapi.json" in client.get("/docs").text
    assert client.get("/legacy/books/3").text == "book 3"


def test_the_url_of_a_mount_is_built_by_its_name() -> None:
    app = FastAPI()
    mount(app, "/legacy", make_legacy(), name="old")

    assert app.url_path_for("old", path="/books/3") == "/legacy/books/3"


def test_a_prefix_that_is_taken_is_refused() -> None:
    app = FastAPI()
    mount(app, "/legacy", make_legacy())

    with pytest.raises(ConfigurationError, match="another app is mounted there"):
        mount(app, "/legacy/", make_legacy())


def test_mounting_after_the_start_is_refused() -> None:
    app = FastAPI()
    mount(app, "/early", make_legacy())
    with TestClient(app), pytest.raises(ConfigurationError, match="the FastAPI app has started"):
        mount(app, "/late", make_legacy())


def test_the_threads_are_given_back_when_the_host_stops() -> None:
    app = FastAPI()
    adapter = mount(app, "/legacy", make_legacy())
    before = set(bridge_threads())

    with TestClient(app) as client:
        client.get("/legacy/books/3")
        assert set(bridge_threads()) - before

    assert not set(bridge_threads()) - before
    assert isinstance(adapter, WSGIToASGI)


def test_lifespans_nest_and_their_states_are_one() -> None:
    seen: list[str] = []

    def make(name: str) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
            seen.append(f"{name} starts")
            yield {name: name}
            seen.append(f"{name} stops")

        return FastAPI(lifespan=lifespan)

    host = make("host")
    mount(host, "/child", make("child"))

    with TestClient(host) as client:
        assert client.app_state == {"host": "host", "child": "child"}

    assert seen == ["host starts", "child starts", "child stops", "host stops"]


@pytest.mark.spec("L-08")
def test_host_and_child_may_use_one_key_of_state_for_different_things() -> None:
    def make(name: str) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
            yield {"db": name, name: name}

        app = FastAPI(lifespan=lifespan)

        @app.get("/", name=f"{name} state")
        def show(request: Request) -> dict[str, str]:
            return dict(request.scope["state"])

        return app

    host = make("host")
    mount(host, "/child", make("child"), name="child")

    with TestClient(host) as client:
        assert client.get("/").json()["db"] == "host"
        assert client.get("/child/").json() == {"db": "child", "host": "host", "child": "child"}
    assert host.url_path_for("child:child state") == "/child/"


DJANGO = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django_project.settings"
from django.core.wsgi import get_wsgi_application
from fastapi import FastAPI
from openapi_spec_validator import validate
from bridge.integrations.fastapi import mount
app = FastAPI()
mount(app, "/site", get_wsgi_application())
schema = app.openapi()
validate(schema)
print(json.dumps(schema["paths"]))
"""


def test_the_routes_of_a_urlconf_stand_in_a_valid_schema() -> None:
    """In a process of its own: Django can be configured once only."""
    done = subprocess.run(
        [sys.executable, "-c", DJANGO], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    paths = json.loads(done.stdout)

    only_post = paths["/site/only-post/{number}/{slug}/"]
    assert list(only_post) == ["post"]
    assert only_post["post"]["x-legacy"]["framework"] == "django"
    assert [p["schema"] for p in only_post["post"]["parameters"]] == [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    ]
    assert paths["/site/year/{year}/"]["get"]["parameters"][0]["schema"]["pattern"] == "^[0-9]{4}$"
    assert list(paths["/site/class-view/"]) == ["get", "delete"]
    assert paths["/site/anything/"]["get"]["x-legacy"]["methods"] == "any"
    assert "/site/admin/login/" in paths
