"""What is offered and sent, and what is not: only what both sides know, and only as it came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge import WSGIToASGI
from bridge.errors import AppProtocolError
from bridge.types import Environ, Scope, StartResponse
from tests.contract.asgi_specimens import body, bridged, catching, recording, start
from tests.contract.wsgi_specimens import hello
from tests.support.asgi import get
from tests.support.wsgi import call, make_environ


def scope_of(**keys: Any) -> Scope:
    scopes: list[Scope] = []
    call(bridged(recording(scopes)), make_environ(**keys))
    return scopes[0]


async def environ_of(**keys: Any) -> Environ:
    environs: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environs.append(environ)
        return hello(environ, start_response)

    await get(WSGIToASGI(app), **keys)
    return environs[0]


@pytest.mark.spec("E-24", "E-01")
async def test_foreign_offers_are_left_alone() -> None:
    offers = {
        "http.response.debug": {},
        "http.response.priority": {},
        "http.response.informational": {},
        "x": 1,
    }

    exchange = await get(WSGIToASGI(hello), extensions=offers)

    assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
    assert [set(message) for message in exchange.sent] == [
        {"type", "status", "headers"},
        {"type", "body", "more_body"},
    ]


@pytest.mark.spec("E-17", "E-18", "E-03")
@pytest.mark.parametrize(
    "kind",
    ["http.response.trailers", "http.response.debug", "http.response.push", "http.response.informational"],
)
def test_what_this_wsgi_server_cannot_do_is_not_offered_and_raises(kind: str) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, {"type": kind}, start(), body(b"ok"))))

    assert kind not in scope_of()["extensions"]
    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.body == b"ok"


@pytest.mark.spec("E-19")
@pytest.mark.parametrize(
    ("raw", "query", "uri"),
    [
        (b"/a%2Fb", b"x=1", "/a%2Fb?x=1"),
        (b"/a%2Fb", b"", "/a%2Fb"),
        (b"/root/caf\xc3\xa9", b"\xff", "/root/caf\u00c3\u00a9?\u00ff"),
    ],
)
async def test_the_uri_is_the_raw_path_and_the_query(raw: bytes, query: bytes, uri: str) -> None:
    environ = await environ_of(raw_path=raw, query_string=query)

    assert (environ["REQUEST_URI"], environ["RAW_URI"]) == (uri, uri)


@pytest.mark.spec("E-19")
@pytest.mark.parametrize("raw", [None, b""])
async def test_without_a_raw_path_there_is_no_uri(raw: bytes | None) -> None:
    environ = await environ_of(raw_path=raw)

    assert not {"REQUEST_URI", "RAW_URI"}.intersection(environ)


@pytest.mark.spec("E-19")
@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
def test_the_uri_of_a_server_becomes_the_raw_path(key: str) -> None:
    scope = scope_of(**{"PATH_INFO": "/a/b", "QUERY_STRING": "x=1", key: "/a%2Fb?x=1"})

    assert scope["raw_path"] == b"/a%2Fb"


@pytest.mark.spec("E-26")
def test_only_the_protocol_tells_the_version() -> None:
    assert scope_of(HTTP2="on", SERVER_PROTOCOL="HTTP/1.1")["http_version"] == "1.1"
    assert scope_of(SERVER_PROTOCOL="HTTP/2.0")["http_version"] == "2"


@pytest.mark.spec("E-26")
async def test_only_the_version_of_the_scope_tells_the_protocol() -> None:
    environ = await environ_of(http_version="2")

    assert environ["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert "HTTP2" not in environ
