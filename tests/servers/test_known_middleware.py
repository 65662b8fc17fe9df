"""Well-known middleware around an app of the other kind does what it does around one of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.servers import known_middleware
from tests.support.servers import Server, serve

ASGI = list(known_middleware.ASGI)
WSGI = list(known_middleware.WSGI)
SITE = "tests.servers.known_middleware"

# What servers and connections add, or frame as they like (RFC 9110 section 7.6.1).
SERVERS_OWN = frozenset({"date", "server", "connection", "transfer-encoding"})

FORWARDED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "front.example",
    "X-Forwarded-Prefix": "/front",
}
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

QUESTIONS: dict[str, dict[str, Any]] = {
    "echo": {"url": "/echo?a=1&b=%C3%A9", "headers": {"X-A": "1", "X-Request-ID": "abc", **TRACE}},
    "forwarded": {"url": "/echo", "headers": FORWARDED},
    "post": {"method": "POST", "url": "/echo", "content": "body"},
    "text": {"url": "/text"},
    "gzip": {"url": "/text", "headers": {"Accept-Encoding": "gzip"}},
    "brotli": {"url": "/text", "headers": {"Accept-Encoding": "br"}},
    "head": {"method": "HEAD", "url": "/text", "headers": {"Accept-Encoding": "gzip"}},
    "stream": {"url": "/stream"},
    "stream-gzip": {"url": "/stream", "headers": {"Accept-Encoding": "gzip"}},
    "stream-brotli": {"url": "/stream", "headers": {"Accept-Encoding": "br"}},
    "cookies": {"url": "/cookies"},
    "origin": {"url": "/echo", "headers": {"Origin": "https://a.example"}},
    "bad-origin": {"url": "/echo", "headers": {"Origin": "https://b.example"}},
    "preflight": {
        "method": "OPTIONS",
        "url": "/echo",
        "headers": {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"},
    },
    "bad-host": {"url": "/echo", "headers": {"Host": "evil.test"}},
    "no-slash": {"url": "/"},
    "static": {"url": "/static/page.txt"},
    "static-range": {"url": "/static/page.txt", "headers": {"Range": "bytes=3-9"}},
    "static-unchanged": {
        "url": "/static/page.txt",
        "headers": {"If-Modified-Since": "Wed, 15 Nov 2023 00:00:00 GMT"},
    },
    "no-static": {"url": "/static/none.txt"},
    "sub-app": {"url": "/sub/echo"},
    "proxied": {"method": "POST", "url": "/proxied/x", "content": "body"},
    "fail": {"url": "/fail"},
    "captured": {"url": "/captured"},
    "again": {"url": "/echo"},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serve("waitress", f"{SITE}:upstream") as server:
        yield f"{server.url}/"


@pytest.fixture(scope="module")
def uvicorn(upstream: str) -> Iterator[Server]:
    with serve("uvicorn", f"{SITE}:app", "--no-proxy-headers", env={"UPSTREAM": upstream}) as server:
        yield server


@pytest.fixture(scope="module")
def gunicorn(upstream: str) -> Iterator[Server]:
    options = ["--no-control-socket", "--forwarded-allow-ips", "192.0.2.1"]
    with serve("gunicorn", f"{SITE}:application", *options, env={"UPSTREAM": upstream}) as server:
        yield server


def ask_all(server: Server, name: str, variant: str) -> dict[str, tuple[Any, ...]]:
    """Put all questions, one after the other, as one client with cookies."""
    prefix = f"/{name}/{variant}"
    answers = {}
    with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:
        for key, question in QUESTIONS.items():
            if (name, key) == ("lint", "head"):
                continue  # werkzeug 3.1 complains of the Content-Length of any HEAD
            headers = {"Host": "demo.test", "Accept-Encoding": "identity", **question.get("headers", {})}
            request = client.build_request(
                question.get("method", "GET"),
                prefix + question["url"],
                headers=headers,
                content=question.get("content"),
            )
            answers[key] = _essence(client.send(request, stream=True), prefix)
    return answers


def _essence(response: httpx.Response, prefix: str) -> tuple[Any, ...]:
    body = response.read()  # decompressed: a compressor may flush at other places
    response.close()
    if response.status_code == 500:
        return (500,)  # its body and headers are the server's
    framing = {"content-length"} if response.url.path.endswith("/stream") else set()
    headers = [
        (name.lower(), _neutral(value, prefix))
        for name, value in response.headers.multi_items()
        if name.lower() not in SERVERS_OWN | framing
    ]
    return response.status_code, headers, _neutral(body.decode(), prefix)


def _neutral(text: str, prefix: str) -> str:
    """Take out the prefix, and what is chosen at random or by the clock."""
    text = text.replace(prefix, "/app").replace(prefix.strip("/"), "app")
    text = re.sub(r"\b(?!0af7651916cd43dd8448eb211c80319c)[0-9a-f]{32}\b", "<id>", text)
    text = re.sub(r"\d\d:\d\d:\d\d GMT", "<time> GMT", text)
    return re.sub(r"(session(?:\.id)?)=[^;]+", r"\1=<signed>", text)


@pytest.mark.parametrize("name", ASGI)
def test_asgi_middleware_around_a_wsgi_app_does_as_natively(
    uvicorn: Server, gunicorn: Server, name: str
) -> None:
    native = ask_all(uvicorn, name, "own")

    assert ask_all(uvicorn, name, "two") == native
    assert ask_all(gunicorn, name, "two") == native
    assert ask_all(gunicorn, name, "own") == native


@pytest.mark.parametrize("name", WSGI)
def test_wsgi_middleware_around_an_asgi_app_does_as_natively(
    uvicorn: Server, gunicorn: Server, name: str
) -> None:
    native = ask_all(gunicorn, name, "own")

    assert ask_all(gunicorn, name, "two") == native
    assert ask_all(uvicorn, name, "two") == native
    assert ask_all(uvicorn, name, "own") == native


DOES: dict[str, Callable[[dict[str, tuple[Any, ...]]], bool]] = {
    "gzip": lambda a: (
        "content-encoding" in dict(a["gzip"][1]) and "content-encoding" in dict(a["stream-gzip"][1])
    ),
    "cors": lambda a: dict(a["preflight"][1])["access-control-allow-origin"] == "https://a.example",
    "session": lambda a: int(a["again"][2].split('"visits": ')[1].split("}")[0]) > 10,
    "trusted-host": lambda a: a["bad-host"][0] == 400,
    "https-redirect": lambda a: dict(a["echo"][1])["location"] == "https://demo.test/app/echo?a=1&b=%C3%A9",
    "correlation-id": lambda a: dict(a["echo"][1])["x-request-id"] == "abc",
    "telemetry": lambda a: '"trace": "0af7651916cd43dd8448eb211c80319c"' in a["echo"][2],
    "sentry": lambda a: '"captured": ["the app failed"]' in a["captured"][2],
    "brotli": lambda a: dict(a["brotli"][1])["content-encoding"] == "br",
    "proxy-headers": lambda a: '"client": "203.0.113.7"' in a["forwarded"][2],
    "proxy-fix": lambda a: '"root": "/front"' in a["forwarded"][2] and "front.example" in a["forwarded"][2],
    "dispatcher": lambda a: '"root": "/app/sub"' in a["sub-app"][2],
    "shared-data": lambda a: a["static"][2].startswith("a static page") and a["static-unchanged"][0] == 304,
    "profiler": lambda a: a["text"][0] == 200,
    "lint": lambda a: {a[key][0] for key in a if key != "fail"} == {200},
    "http-proxy": lambda a: dict(a["proxied"][1])["x-upstream"] == "yes",
    "whitenoise": lambda a: a["static-range"][0] == 206,
    "wsgi-telemetry": lambda a: '"trace": "0af7651916cd43dd8448eb211c80319c"' in a["echo"][2],
    "wsgi-sentry": lambda a: '"captured": ["the app failed"]' in a["captured"][2],
    "beaker": lambda a: int(dict(a["again"][1])["x-visits"]) > 20,
}


@pytest.mark.parametrize("name", [*ASGI, *WSGI])
def test_the_middleware_does_something_at_all(uvicorn: Server, gunicorn: Server, name: str) -> None:
    """So that two stacks without any effect cannot pass for equal ones."""
    answers = ask_all(uvicorn if name in ASGI else gunicorn, name, "own")

    assert DOES[name](answers), answers
