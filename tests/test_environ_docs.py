from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge import ASGIToWSGI, WSGIToASGI
from tests.support.asgi import Exchange, http_scope
from tests.support.wsgi import call, make_environ

if TYPE_CHECKING:
    from bridge.types import Environ, Receive, Scope, Send, StartResponse

PAGE = Path(__file__).parents[1] / "docs/reference/environ-and-scope.md"


def documented(heading: str) -> dict[str, str]:
    """Read a table of the page: each key, and when it is present."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE))


def always(table: dict[str, str]) -> set[str]:
    return {key for key, present in table.items() if present == "always"}


async def environ_of(scope: dict[str, Any]) -> Environ:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    await Exchange().run(WSGIToASGI(app), scope)
    return seen[0]


def scope_of(environ: Environ, *, lifespan: bool) -> Scope:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    adapter = ASGIToWSGI(app, lifespan="on" if lifespan else "off")
    call(adapter, environ)
    adapter.close()
    return seen[0]


FULL_SCOPE = http_scope(
    "/mount/page",
    root_path="/mount",
    scheme="https",
    query_string=b"q=1",
    extensions={
        "http.response.early_hint": {},
        "http.response.trailers": {},
        "tls": {
            "server_cert": "-----BEGIN CERTIFICATE-----",
            "tls_version": 0x0304,
            "cipher_suite": 0x1301,
            "client_cert_chain": ["-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"],
            "client_cert_name": "CN=someone",
        },
    },
    headers=[(b"content-type", b"text/plain"), (b"content-length", b"0"), (b"x-one", b"1"), (b"x_two", b"2")],
)
MINIMAL_SCOPE = {"type": "http", "method": "GET", "path": "/"}


@pytest.mark.spec("W-17")
async def test_the_table_names_every_key_of_an_environ() -> None:
    environ = await environ_of(FULL_SCOPE)

    keys = {re.sub(r"\AHTTP_.*", "HTTP_*", key) for key in environ}
    assert keys == set(documented("From scope to environ"))


@pytest.mark.spec("W-17", "W-07")
async def test_a_bare_request_has_the_keys_that_are_always_there() -> None:
    environ = await environ_of(MINIMAL_SCOPE)

    assert set(environ) == always(documented("From scope to environ"))


@pytest.mark.spec("W-15")
async def test_keys_of_our_own_bear_our_name() -> None:
    environ = await environ_of(FULL_SCOPE)

    own = {key for key in environ if "." in key and not key.startswith("wsgi.")}
    own.remove("gunicorn.http2.send_trailers")  # is gunicorn's, for the apps that look for it
    assert own
    assert all(re.fullmatch(r"bridge\.[a-z0-9_.]+", key) for key in own)


def test_the_table_names_every_key_of_a_scope() -> None:
    scope = scope_of(make_environ(), lifespan=True)

    assert set(scope) == set(documented("From environ to scope"))


@pytest.mark.spec("A-12")
def test_a_scope_without_lifespan_has_the_keys_that_are_always_there() -> None:
    environ = make_environ()
    for key in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PROTOCOL"):
        del environ[key]

    scope = scope_of(environ, lifespan=False)

    assert set(scope) == always(documented("From environ to scope"))
