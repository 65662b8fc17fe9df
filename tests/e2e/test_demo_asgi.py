"""`python -m examples.demo asgi`: httpbin and Django, both WSGI, under uvicorn."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from tests.e2e.client import Ask, Page, ask, end_by, open_client, raw_exchange, send
from tests.support.servers import Server


@pytest.fixture
def client(asgi_demo: Server) -> Iterator[httpx.Client]:
    with open_client(asgi_demo) as client:
        yield client


@pytest.fixture
def admin(client: httpx.Client) -> httpx.Client:
    """A client that is logged in to the Django admin."""
    login = client.get("/django/admin/", follow_redirects=True)
    form = {**Page(login).fields, "username": "demo", "password": "demo"}
    response = client.post(login.url, data=form)
    assert (response.status_code, response.headers["location"]) == (302, "/django/admin/")
    return client


# ------------------------------------------------------------ the page


def test_page_explains_itself_and_its_links_answer(client: httpx.Client) -> None:
    page = client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<kbd>demo</kbd>" in page.text and "WSGIToASGI" in page.text
    slow = re.compile(r"/drip|/countdown")
    links = [link for link in Page(page).links if not slow.search(link)]
    answers = {link: client.get(link, follow_redirects=True).status_code for link in links}
    assert set(answers.values()) == {200}, answers
    assert {link.split("/")[1] for link in links} == {"api", "django", "httpbin"}


def test_api_and_its_documentation_answer(client: httpx.Client) -> None:
    docs, schema = client.get("/api/docs"), client.get("/api/openapi.json").json()

    assert "url: '/api/openapi.json'" in docs.text
    assert schema["servers"] == [{"url": "/api"}] and "/books" in schema["paths"]
    assert client.post("/api/books", json={"title": ""}).status_code == 422


# ------------------------------------------------------------ httpbin, as natively served

MIB = bytes(range(256)) * 4096
FILES = {"note": ("note.txt", b"caf\xc3\xa9\r\n", "text/plain")}
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=abc123"}

ASKS = {
    "get": Ask("/httpbin/get"),
    "query": Ask("/httpbin/get?a=1&a=2&b=%C3%A9&c=a+b&d="),
    "bad-utf8-query": Ask("/httpbin/get?a=%E9%FF"),
    "request-headers": Ask("/httpbin/headers", options={"headers": [(b"X-A", b"1"), (b"X-B", b"caf\xe9")]}),
    "user-agent": Ask("/httpbin/user-agent", options={"headers": {"User-Agent": "e2e"}}),
    "cookies-sent": Ask("/httpbin/cookies", options={"headers": {"Cookie": "a=1; b=2"}}),
    "cookies-set": Ask("/httpbin/cookies/set?a=1&b=2"),
    "cookies-deleted": Ask("/httpbin/cookies/delete?a=&b="),
    "redirect": Ask("/httpbin/redirect/3"),
    "relative-redirect": Ask("/httpbin/relative-redirect/3"),
    "absolute-redirect": Ask("/httpbin/absolute-redirect/3"),
    "redirect-to": Ask("/httpbin/redirect-to?url=/httpbin/get&status_code=308"),
    **{
        f"status-{code}": Ask(f"/httpbin/status/{code}")
        for code in (200, 201, 202, 204, 301, 304, 400, 401, 402)
    },
    **{f"status-{code}": Ask(f"/httpbin/status/{code}") for code in (404, 406, 407, 418, 429, 500, 503, 599)},
    "stream": Ask("/httpbin/stream/20"),
    "drip": Ask("/httpbin/drip?numbytes=5&duration=0.1&code=203"),
    "gzip": Ask("/httpbin/gzip"),
    "deflate": Ask("/httpbin/deflate"),
    "brotli-refused": Ask("/httpbin/brotli", options={"headers": {"Accept-Encoding": "identity"}}),
    "range": Ask("/httpbin/range/1024", options={"headers": {"Range": "bytes=10-99"}}),
    "range-beyond": Ask("/httpbin/range/1024", options={"headers": {"Range": "bytes=2000-"}}),
    "bytes": Ask("/httpbin/bytes/5000?seed=1"),
    "stream-bytes": Ask("/httpbin/stream-bytes/100000?seed=1&chunk_size=999"),
    "etag-matches": Ask("/httpbin/etag/abc", options={"headers": {"If-None-Match": '"abc"'}}),
    "etag-differs": Ask("/httpbin/etag/abc", options={"headers": {"If-Match": '"def"'}}),
    "cached": Ask("/httpbin/cache", options={"headers": {"If-None-Match": "x"}}),
    "cache-control": Ask("/httpbin/cache/60"),
    "base64": Ask("/httpbin/base64/aGVsbG8gd29ybGQNCg=="),
    "utf8": Ask("/httpbin/encoding/utf8"),
    "html": Ask("/httpbin/html"),
    "index": Ask("/httpbin/"),
    "png": Ask("/httpbin/image/png"),
    "image-by-accept": Ask("/httpbin/image", options={"headers": {"Accept": "image/webp"}}),
    "basic-auth": Ask("/httpbin/basic-auth/u/p", options={"auth": ("u", "p")}),
    "basic-auth-missing": Ask("/httpbin/basic-auth/u/p"),
    "bearer": Ask("/httpbin/bearer", options={"headers": {"Authorization": "Bearer abc"}}),
    "response-headers": Ask("/httpbin/response-headers?X-B=1&X-A=2&X-A=3&ETag=e"),
    "links": Ask("/httpbin/links/10/3"),
    "xml": Ask("/httpbin/xml"),
    "odd-path": Ask("/httpbin/anything/%C3%A9/a%20b/a%2Fb//c;d+e/%25/.."),
    "path-not-utf8": Ask("/httpbin/anything/%E9%FF"),
    "not-found": Ask("/httpbin/nowhere"),
    "wrong-method": Ask("/httpbin/get", "POST"),
    "head": Ask("/httpbin/get", "HEAD"),
    "head-of-stream": Ask("/httpbin/stream/20", "HEAD"),
    "options": Ask("/httpbin/anything", "OPTIONS", {"headers": {"Access-Control-Request-Headers": "X-A"}}),
    "delete": Ask("/httpbin/delete", "DELETE"),
    "post-form": Ask("/httpbin/post", "POST", {"data": {"a": ["1", "2"], "b": "é"}}),
    "post-json": Ask("/httpbin/post", "POST", {"json": {"a": [1, None, "é"]}}),
    "post-files": Ask("/httpbin/post", "POST", {"files": FILES, "data": {"a": "1"}, "headers": BOUNDARY}),
    "post-binary": Ask("/httpbin/post", "POST", {"content": MIB}),
    "post-empty": Ask("/httpbin/post", "POST"),
    "put": Ask("/httpbin/put", "PUT", {"content": b"\r\n\x00\xff"}),
    "patch": Ask("/httpbin/patch", "PATCH", {"json": {}}),
}


@pytest.mark.parametrize("question", [pytest.param(value, id=key) for key, value in ASKS.items()])
def test_httpbin_answers_as_it_does_under_gunicorn(
    asgi_demo: Server, native_httpbin: Server, question: Ask
) -> None:
    """Status, body, and every header in its order; but for those of `SERVERS_OWN`.

    One difference is left out here and tested below: repeated request headers are joined by ", ", where
    gunicorn 27 joins them by ",".
    """
    bridged = ask(asgi_demo, question)

    assert bridged == ask(native_httpbin, question)


@pytest.mark.spec("H-19")
def test_httpbin_sees_repeated_headers_joined(client: httpx.Client) -> None:
    seen = client.get("/httpbin/headers", headers=[("X-A", "1"), ("X-A", "2")]).json()["headers"]

    assert seen["X-A"] == "1, 2"


@pytest.mark.parametrize("path", ["redirect/5", "relative-redirect/5", "absolute-redirect/5"])
def test_httpbin_redirects_lead_on_under_the_prefix(client: httpx.Client, path: str) -> None:
    response = client.get(f"/httpbin/{path}", follow_redirects=True)

    assert (response.status_code, len(response.history)) == (200, 5)
    assert response.json()["url"] == str(client.base_url.join("/httpbin/get"))


def test_httpbin_cookies_are_kept_and_deleted(client: httpx.Client) -> None:
    kept = client.get("/httpbin/cookies/set?a=1&b=2", follow_redirects=True).json()
    left = client.get("/httpbin/cookies/delete?a=", follow_redirects=True).json()

    assert kept == {"cookies": {"a": "1", "b": "2"}}
    assert left == {"cookies": {"b": "2"}}


def test_httpbin_drip_comes_drop_by_drop(client: httpx.Client) -> None:
    """Held back until it is whole, it would come after the read timeout of the client."""
    with client.stream("GET", "/httpbin/drip?numbytes=60&duration=120&delay=0") as response:
        assert next(response.iter_raw()) == b"*"


@pytest.mark.parametrize("page", ["/httpbin/", "/httpbin/links/10/0", "/httpbin/forms/post"])
def test_httpbin_links_lead_on_under_the_prefix(
    client: httpx.Client, native_httpbin: Server, page: str
) -> None:
    links = Page(client.get(page)).links
    quick = [link for link in links if "/drip" not in link and "/delay/" not in link]
    with open_client(native_httpbin) as other:
        native = {link: other.get(link).status_code for link in quick}

    answers = {link: client.get(link) for link in quick}

    assert links and all(link.startswith("/httpbin/") for link in links)
    assert {link: answer.status_code for link, answer in answers.items()} == native
    targets = {answer.headers.get("location", "/httpbin/") for answer in answers.values()}
    assert {urlsplit(target).path.split("/")[1] for target in targets - {"http://example.com/"}} == {
        "httpbin"
    }


# ------------------------------------------------------------ the Django admin


def test_admin_sends_to_its_login_under_the_prefix(client: httpx.Client) -> None:
    response = client.get("/django/", follow_redirects=True)

    assert [step.headers["location"] for step in response.history] == [
        "/django/admin/",
        "/django/admin/login/?next=/django/admin/",
    ]
    assert response.status_code == 200


def test_admin_login_without_csrf_token_is_forbidden(client: httpx.Client) -> None:
    login = client.get("/django/admin/login/")

    response = client.post(login.url, data={"username": "demo", "password": "demo"})

    assert (login.status_code, response.status_code) == (200, 403)
    assert "sessionid" not in client.cookies


def test_admin_login_with_wrong_password_is_refused(client: httpx.Client) -> None:
    login = client.get("/django/admin/login/")

    response = client.post(login.url, data={**Page(login).fields, "username": "demo", "password": "x"})

    assert response.status_code == 200 and "Please enter the correct username and password" in response.text


def test_admin_adds_a_note_and_lists_it(admin: httpx.Client) -> None:
    form = admin.get("/django/admin/notes/note/add/")
    fields = {**Page(form).fields, "title": "Straße & <Brücke>", "text": "日本"}
    for button in ("_addanother", "_continue"):
        del fields[button]

    saved = admin.post(form.url, data=fields)
    listed = admin.get(saved.headers["location"])

    assert (saved.status_code, saved.headers["location"]) == (302, "/django/admin/notes/note/")
    assert "Straße &amp; &lt;Brücke&gt;" in listed.text and "日本" in listed.text
    assert "was added successfully" in listed.text  # the message crossed in a cookie


def test_admin_note_without_title_is_not_saved(admin: httpx.Client) -> None:
    form = admin.get("/django/admin/notes/note/add/")

    response = admin.post(form.url, data={**Page(form).fields, "title": ""})

    assert response.status_code == 200 and "This field is required" in response.text


def test_admin_logs_out(admin: httpx.Client) -> None:
    token = Page(admin.get("/django/admin/")).fields["csrfmiddlewaretoken"]

    goodbye = admin.post("/django/admin/logout/", data={"csrfmiddlewaretoken": token})
    after = admin.get("/django/admin/notes/note/")

    assert goodbye.status_code == 200 and "Logged out" in goodbye.text
    assert after.headers["location"] == "/django/admin/login/?next=/django/admin/notes/note/"


def test_admin_links_all_answer_under_the_prefix(admin: httpx.Client) -> None:
    """Walk the whole admin, two clicks deep."""
    pages = ["/django/admin/"]
    seen: dict[str, int] = {}
    for _ in range(3):
        answers = [admin.get(page) for page in pages]
        seen |= {page: answer.status_code for page, answer in zip(pages, answers, strict=True)}
        html = [answer for answer in answers if "html" in answer.headers.get("content-type", "")]
        links = {link for answer in html for link in Page(answer).links}
        pages = sorted(link for link in links - seen.keys() if "logout" not in link)

    assert {page for page in seen if not page.startswith("/django/")} == {"/django"}  # "View site"
    assert {"/django/admin/notes/note/1/change/", "/django/admin/auth/user/1/change/"} <= seen.keys()
    assert set(seen.values()) <= {200, 302, 307}, seen


def test_admin_styles_are_served_under_the_prefix(client: httpx.Client) -> None:
    sheets = Page(client.get("/django/admin/login/")).stylesheets

    answers = [client.get(sheet) for sheet in sheets]

    assert "/django/static/admin/css/base.css" in sheets
    assert all(sheet.startswith("/django/static/") for sheet in sheets)
    assert {(a.status_code, a.headers["content-type"].split(";")[0]) for a in answers} == {(200, "text/css")}
    assert all(len(a.content) == int(a.headers["content-length"]) > 100 for a in answers)


@pytest.mark.spec("H-32", "H-05")
def test_static_file_that_the_client_has_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/django/static/admin/css/base.css")

    again = client.get(first.url, headers={"If-Modified-Since": first.headers["last-modified"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers.get("content-length") in (None, first.headers["content-length"])


# ------------------------------------------------------------ what is proven on the wire


@pytest.mark.spec("H-21")
@pytest.mark.parametrize(
    "path", ["/", "/api/books", "/httpbin/get", "/httpbin/stream/3", "/django/admin/login/"]
)
def test_each_response_has_one_date_and_one_server(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert [len(headers.get_list(name)) for name in ("date", "server")] == [1, 1]
    assert "connection" not in headers


TARGETS = ["/", "/a/b", "/caf%C3%A9/%E6%97%A5", "/a%20b%25c;d=e,f", "/a+b//c/?q=%C3%A9&r=a+b%26"]


@pytest.mark.spec("U-14")
@pytest.mark.parametrize("target", [*TARGETS, "/a/../b/./c"])
def test_django_sees_the_whole_path_that_was_asked_for(client: httpx.Client, target: str) -> None:
    seen = send(client, Ask(f"/django/request{target}")).json()

    assert seen["script_name"] == "/django"
    assert seen["path_info"] == unquote(f"/request{target}".partition("?")[0])


@pytest.mark.spec("U-28")
@pytest.mark.parametrize("target", TARGETS)
def test_django_and_fastapi_rebuild_the_url_that_was_asked_for(client: httpx.Client, target: str) -> None:
    django = send(client, Ask(f"/django/request{target}")).json()
    fastapi = send(client, Ask(f"/api/request{target}")).json()

    site = str(client.base_url).rstrip("/")
    assert unquote(django["url"]) == f"{site}/django/request{unquote(target)}"
    assert unquote(fastapi["url"]) == f"{site}/api/request{unquote(target)}"


HEAD = (
    b"POST /django/request/ HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
TRAILED = b"3\r\nabc\r\n0\r\nX-Admin: 1\r\n\r\n"


@pytest.mark.spec("H-22")
@pytest.mark.parametrize("segments", [[HEAD, TRAILED], [HEAD + TRAILED]], ids=["apart", "at-once"])
def test_trailer_does_not_become_a_header(h11_site: Server, segments: list[bytes]) -> None:
    """Under uvicorn's h11: its httptools (0.54) puts the trailers of a request that comes at once into the
    list of header fields itself, before any app is called.
    """
    received = raw_exchange(h11_site, *segments)

    assert received.startswith(b"HTTP/1.1 200 ") and b'"Host": "demo"' in received
    assert b"X-Admin" not in received


# ------------------------------------------------------------ the end


def test_demo_ends_cleanly_by_ctrl_c(tmp_path: Path) -> None:
    ended = end_by(signal.SIGINT, "asgi", tmp_path)

    assert ended.answers == [200, 200, 200]
    assert (ended.returncode, ended.left_running, ended.left_files) == (0, [], [])
    assert "demo / demo" in ended.output and "Traceback" not in ended.output
