"""`python -m examples.demo wsgi`: FastAPI, which is ASGI, under gunicorn beside httpbin and Django."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from tests.e2e.client import Ask, Page, ask, end_by, open_client, raw_exchange, send
from tests.support.servers import Server


@pytest.fixture
def client(wsgi_demo: Server) -> Iterator[httpx.Client]:
    with open_client(wsgi_demo) as client:
        yield client


# ------------------------------------------------------------ the page and its neighbours


def test_page_explains_itself_and_its_links_answer(client: httpx.Client) -> None:
    page = client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<kbd>demo</kbd>" in page.text and "ASGIToWSGI" in page.text
    links = [link for link in Page(page).links if "/drip" not in link and "/countdown" not in link]
    answers = {link: client.get(link, follow_redirects=True).status_code for link in links}
    assert set(answers.values()) == {200}, answers
    assert {link.split("/")[1] for link in links} == {"api", "django", "httpbin"}


def test_admin_is_there_with_its_styles(client: httpx.Client) -> None:
    login = client.get("/django/", follow_redirects=True)

    form = {**Page(login).fields, "username": "demo", "password": "demo"}
    response = client.post(login.url, data=form, follow_redirects=True)

    assert response.url.path == "/django/admin/" and "Site administration" in response.text
    assert all(sheet.startswith("/django/static/") for sheet in Page(login).stylesheets)
    assert {client.get(sheet).status_code for sheet in Page(login).stylesheets} == {200}


# ------------------------------------------------------------ FastAPI under /api


def test_docs_load_the_schema_from_under_the_prefix(client: httpx.Client) -> None:
    docs = client.get("/api/docs")

    assert "url: '/api/openapi.json'" in docs.text
    assert "window.location.origin + '/api/docs/oauth2-redirect'" in docs.text


def test_openapi_names_the_prefix_as_its_server(client: httpx.Client) -> None:
    schema = client.get("/api/openapi.json").json()

    [server] = schema["servers"]
    assert server == {"url": "/api"}
    plain = [path for path, item in schema["paths"].items() if "get" in item and "{" not in path]
    answers = {path: client.get(server["url"] + path, params={"pause": 0}).status_code for path in plain}
    assert answers == {"/books": 200, "/countdown": 200, "/events": 200}


def test_book_is_added_and_found_where_location_says(client: httpx.Client) -> None:
    book = {"title": "Straße 日本", "pages": 12}

    added = client.post("/api/books", json=book)

    number = added.json()["id"]
    assert added.status_code == 201
    assert added.headers["location"] == str(client.base_url.join(f"/api/books/{number}"))
    assert client.get(added.headers["location"]).json() == {"id": number, **book}


INVALID = {
    "empty-title": ({"title": "", "pages": 1}, ["body", "title"], "string_too_short"),
    "no-pages": ({"title": "A"}, ["body", "pages"], "missing"),
    "negative": ({"title": "A", "pages": -1}, ["body", "pages"], "greater_than"),
    "text": ({"title": "A", "pages": "many"}, ["body", "pages"], "int_parsing"),
}


@pytest.mark.parametrize(("book", "place", "kind"), INVALID.values(), ids=INVALID.keys())
def test_invalid_book_is_refused_with_422(
    client: httpx.Client, book: dict[str, object], place: list[str], kind: str
) -> None:
    response = client.post("/api/books", json=book)

    assert response.status_code == 422
    assert [(error["loc"], error["type"]) for error in response.json()["detail"]] == [(place, kind)]


def test_body_that_is_not_json_is_refused_with_422(client: httpx.Client) -> None:
    response = client.post("/api/books", content=b'{"title": ', headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["detail"][0]["type"]) == (422, "json_invalid")


def test_jinja_page_links_to_addresses_that_answer_under_the_prefix(client: httpx.Client) -> None:
    page = client.get("/api/")

    links = Page(page).links
    assert "The Bridge on the Drina" in page.text  # put there by the lifespan of the app
    assert {"/api/books", "/api/books/1", "/api/docs"} <= set(links)
    assert all(link.startswith("/api/") for link in links)
    assert {client.get(link).status_code for link in links} == {200}
    assert f'data-events="{client.base_url.join("/api/events")}"' in page.text


def test_countdown_comes_line_by_line(client: httpx.Client) -> None:
    """Held back until it is whole, it would come after the read timeout of the client."""
    with client.stream("GET", "/api/countdown?start=60&pause=1") as response:
        assert next(response.iter_raw()) == b"60\n"


def test_events_come_one_by_one(client: httpx.Client) -> None:
    with client.stream("GET", "/api/events?count=60&pause=1") as response:
        first = next(response.iter_raw())

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first == b'id: 1\nevent: tick\ndata: {"number": 1, "of": 60}\n\n'


def test_events_come_all_and_end(client: httpx.Client) -> None:
    text = client.get("/api/events?count=50&pause=0").text

    events = [event for event in text.split("\n\n") if event]
    numbers = [json.loads(event.partition("data: ")[2]).get("number") for event in events]
    assert numbers == [*range(1, 51), None]


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with-length"])
def test_upload_arrives_whole(client: httpx.Client, chunked: bool) -> None:
    blocks = [bytes([number]) * 65_537 for number in range(48)]
    body = b"".join(blocks)

    digest = client.post("/api/digest", content=iter(blocks) if chunked else body).json()

    assert digest == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


# ------------------------------------------------------------ FastAPI, as natively served

ASKS = {
    "docs": Ask("/api/docs"),
    "openapi": Ask("/api/openapi.json"),
    "book": Ask("/api/books/1"),
    "redirect-to-no-slash": Ask("/api/books/?a=1"),
    "no-book": Ask("/api/books/999999"),
    "wrong-book": Ask("/api/books/first"),
    "invalid": Ask("/api/books", "POST", {"json": {"pages": 0}}),
    "no-json": Ask("/api/books", "POST", {"content": b"\xff"}),
    "wrong-method": Ask("/api/books", "PUT"),
    "head-not-allowed": Ask("/api/books", "HEAD"),
    "not-found": Ask("/api/nowhere"),
    "countdown": Ask("/api/countdown?start=5&pause=0"),
    "events": Ask("/api/events?count=3&pause=0"),
    "wrong-query": Ask("/api/countdown?start=0&pause=x"),
    "empty-upload": Ask("/api/digest", "POST"),
    "upload": Ask("/api/digest", "POST", {"content": bytes(range(256)) * 1024}),
    "request": Ask("/api/request/?q=%C3%A9&r=a+b"),
    "request-odd-path": Ask("/api/request/caf%C3%A9/a%20b//c;d+e/%25/../."),
    "request-with-body": Ask("/api/request/", "POST", {"json": {"a": "é"}}),
    "request-headers": Ask(
        "/api/request/", options={"headers": [(b"Cookie", b"a=1; b=2"), (b"X-B", b"caf\xe9")]}
    ),
}


@pytest.mark.parametrize("question", [pytest.param(value, id=key) for key, value in ASKS.items()])
def test_fastapi_answers_as_it_does_under_uvicorn(
    wsgi_demo: Server, native_api: Server, question: Ask
) -> None:
    """Status, body, and every header in its order; but for those of `SERVERS_OWN`.

    uvicorn puts the prefix before the path that it gets, gunicorn gets it with the path.
    """
    bridged = ask(wsgi_demo, question)

    assert bridged == ask(native_api, question.without_prefix("/api"))


# ------------------------------------------------------------ what is proven on the wire


@pytest.mark.spec("H-21")
@pytest.mark.parametrize(
    "path", ["/", "/api/books", "/api/countdown?pause=0", "/api/nowhere", "/httpbin/get"]
)
def test_each_response_has_one_date_and_one_server(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert [len(headers.get_list(name)) for name in ("date", "server", "connection")] == [1, 1, 1]


@pytest.mark.spec("U-28")
@pytest.mark.parametrize(
    "target", ["/", "/a/b", "/caf%C3%A9/%E6%97%A5", "/a%20b%25c;d=e,f", "/a+b//c/?q=%C3%A9&r=a+b%26"]
)
def test_fastapi_and_django_rebuild_the_url_that_was_asked_for(client: httpx.Client, target: str) -> None:
    fastapi = send(client, Ask(f"/api/request{target}")).json()
    django = send(client, Ask(f"/django/request{target}")).json()

    site = str(client.base_url).rstrip("/")
    assert (fastapi["root_path"], fastapi["path"]) == (
        "/api",
        unquote(f"/api/request{target}".partition("?")[0]),
    )
    assert unquote(fastapi["url"]) == f"{site}/api/request{unquote(target)}"
    assert unquote(django["url"]) == f"{site}/django/request{unquote(target)}"


HEAD = b"POST /api/request/ HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
TRAILED = b"3\r\nabc\r\n0\r\nX-Admin: 1\r\n\r\n"


@pytest.mark.spec("H-22")
@pytest.mark.parametrize("segments", [[HEAD, TRAILED], [HEAD + TRAILED]], ids=["apart", "at-once"])
def test_trailer_does_not_become_a_header(wsgi_demo: Server, segments: list[bytes]) -> None:
    received = raw_exchange(wsgi_demo, *segments)

    assert received.startswith(b"HTTP/1.1 200 ") and b'"size":3' in received
    assert b"x-admin" not in received.lower()


# ------------------------------------------------------------ the end


def test_demo_ends_cleanly_by_sigterm(tmp_path: Path) -> None:
    ended = end_by(signal.SIGTERM, "wsgi", tmp_path)

    assert ended.answers == [200, 200, 200]
    assert (ended.returncode, ended.left_running, ended.left_files) == (0, [], [])
    assert "demo / demo" in ended.output and "Traceback" not in ended.output
