"""Apps that nobody here wrote, mounted in FastAPI by the examples, and driven by a client."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import Server, free_port, run, serve

pytestmark = pytest.mark.timeout(200)


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60, follow_redirects=True)


def field(page: str, name: str) -> str:
    """Read the value of a hidden field of a form."""
    [tag] = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)[:1]
    found = re.search(r'value="([^"]*)"', tag)
    assert found is not None
    return found[1]


def own_addresses(page: str) -> list[str]:
    """Give the addresses on this server that a page links to or loads."""
    return sorted(set(re.findall(r'(?:href|src)="(/[^"#?]*)', page)))


@pytest.fixture(scope="module")
def dash_site() -> Iterator[Server]:
    with serve("uvicorn", "examples.dash_in_fastapi:site") as server:
        yield server


@pytest.mark.parametrize("prefix", ["/dash/", "/board/"])
def test_a_dash_app_is_whole_under_its_prefix(dash_site: Server, prefix: str) -> None:
    """The page, all its scripts, its layout and a callback, as Dash's own front end asks for them."""
    with client_of(dash_site) as client:
        page = client.get(prefix).text
        config = re.search(r'id="_dash-config"[^>]*>(.*?)</script>', page)
        assert config is not None
        assert json.loads(config[1])["requests_pathname_prefix"] == prefix
        addresses = own_addresses(page)
        assert len(addresses) > 5
        assert all(address.startswith(prefix) for address in addresses)
        assert {client.get(address).status_code for address in addresses} == {200}
        assert client.get(f"{prefix}_dash-layout").json()["type"] == "Div"
        assert len(client.get(f"{prefix}_dash-dependencies").json()) == 1
        call = {
            "output": "square.children",
            "outputs": {"id": "square", "property": "children"},
            "inputs": [{"id": "number", "property": "value", "value": 7}],
            "changedPropIds": ["number.value"],
        }
        answer = client.post(f"{prefix}_dash-update-component", json=call).json()

    assert answer["response"]["square"]["children"] == "7 squared is 49"


@pytest.fixture(scope="module")
def appbuilder_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = tmp_path_factory.mktemp("appbuilder") / "db.sqlite3"
    env = {"APPBUILDER_DATABASE": f"sqlite:///{database}"}
    with serve("uvicorn", "examples.appbuilder_in_fastapi:site", env=env) as server:
        yield server


def test_flask_appbuilder_lets_its_admin_in_and_add_a_user(appbuilder_site: Server) -> None:
    with client_of(appbuilder_site) as client:
        asked = client.get("/admin/users/list/")
        assert asked.url.path == "/admin/login/"
        form = {"username": "admin", "password": "admin", "csrf_token": field(asked.text, "csrf_token")}
        client.post("/admin/login/", data=form)
        users = client.get("/admin/users/list/")
        assert users.url.path == "/admin/users/list/"
        assert "admin@example.org" in users.text
        addresses = own_addresses(users.text)
        assert all(address.startswith("/admin/") for address in addresses)
        pages = [address for address in addresses if "logout" not in address and "/delete/" not in address]
        assert len(pages) > 20
        assert {client.get(address).status_code for address in pages} == {200}

        form_page = client.get("/admin/roles/add").text
        csrf = {"csrf_token": field(form_page, "csrf_token")} if "csrf_token" in form_page else {}
        added = client.post("/admin/roles/add", data={"name": "Bridge builder", **csrf})
        assert added.status_code == 200  # it redirects to where its history says
        assert "Bridge builder" in client.get("/admin/roles/list/").text

        client.get("/admin/logout/")
        assert client.get("/admin/users/list/").url.path == "/admin/login/"


def test_the_routes_of_flask_appbuilder_stand_in_the_schema(appbuilder_site: Server) -> None:
    with client_of(appbuilder_site) as client:
        paths = client.get("/openapi.json").json()["paths"]

    assert paths["/admin/users/show/{pk}"]["get"]["x-legacy"]["framework"] == "flask"


@pytest.fixture(scope="module")
def wagtail_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"WAGTAIL_DATABASE": str(tmp_path_factory.mktemp("wagtail") / "db.sqlite3")}
    port = free_port()
    with run([sys.executable, "-m", "examples.wagtail_in_fastapi", str(port)], port, env=env) as server:
        yield server


def test_a_page_made_in_the_admin_of_wagtail_is_found_by_its_links(wagtail_site: Server) -> None:
    with client_of(wagtail_site) as client:
        asked = client.get("/cms/admin/")
        assert asked.url.path == "/cms/admin/login/"
        token = field(asked.text, "csrfmiddlewaretoken")
        form = {"username": "admin", "password": "admin", "csrfmiddlewaretoken": token}
        admin = client.post("/cms/admin/login/", data=form)
        assert admin.url.path == "/cms/admin/"
        addresses = [a for a in own_addresses(admin.text) if "logout" not in a]
        assert [address for address in addresses if not address.startswith("/cms/")] == []
        assert any(address.startswith("/cms/static/wagtailadmin/") for address in addresses)
        assert {client.get(address).status_code for address in addresses} == {200}

        home = client.get("/cms/admin/pages/add/pages/textpage/2/")
        new = {
            "title": "Über the bridge",
            "slug": "over",
            "text": "A new page",
            "action-publish": "action-publish",
            "csrfmiddlewaretoken": field(home.text, "csrfmiddlewaretoken"),
            "comments-TOTAL_FORMS": "0",
            "comments-INITIAL_FORMS": "0",
        }
        made = client.post("/cms/admin/pages/add/pages/textpage/2/", data=new)
        assert made.url.path == "/cms/admin/pages/2/"
        live = re.findall(r'href="(?:http://[^/"]+)?(/[^"]*over/)"', made.text)
        assert set(live) == {"/cms/over/"}

        page = client.get("/cms/over/")
        assert "A new page" in page.text
        assert own_addresses(page.text) == ["/cms/over/"]
