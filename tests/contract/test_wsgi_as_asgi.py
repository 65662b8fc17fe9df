"""The adapter as its server sees it: an ASGI application."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge import Limits, WSGIToASGI
from bridge.errors import AppProtocolError, ProtocolError
from tests.contract import wsgi_specimens
from tests.contract.wsgi_specimens import Blocks, SpecimenError, answering, echo, hello, show
from tests.support.asgi import Exchange, get, http_scope, post

ROOT = Path(__file__).parents[2]

HEAD_AND_BODY = ["http.response.start", "http.response.body"]


def kinds(exchange: Exchange) -> list[str]:
    return [message["type"] for message in exchange.sent]


# ---------------------------------------------------------------- the callable


@pytest.mark.spec("AA-01")
async def test_the_adapter_is_a_coroutine_callable_that_returns_none() -> None:
    adapter = WSGIToASGI(hello)
    exchange = Exchange()
    call: Any = adapter.__call__  # what servers ask about

    assert asyncio.iscoroutinefunction(call) and inspect.iscoroutinefunction(call)
    assert await call(http_scope(), exchange.receive, exchange.send) is None


@pytest.mark.spec("AA-02", "SEC-25")
@pytest.mark.parametrize("kind", ["foo.bar", "HTTP", "", "http.request"])
async def test_an_unknown_scope_type_raises_and_sends_nothing(kind: str) -> None:
    exchange = Exchange()

    with pytest.raises(ValueError, match="cannot serve a scope of type"):
        await exchange.run(WSGIToASGI(hello), {"type": kind})

    assert (exchange.sent, exchange.received) == ([], 0)


@pytest.mark.spec("AA-03")
async def test_a_websocket_is_closed_before_it_is_accepted() -> None:
    exchange = Exchange({"type": "websocket.connect"})

    await exchange.run(
        WSGIToASGI(hello), {**http_scope(), "type": "websocket", "scheme": "ws", "subprotocols": []}
    )

    assert kinds(exchange) == ["websocket.close"]


# ---------------------------------------------------------------- the events


@pytest.mark.spec("AA-05", "W-55")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("app", [*wsgi_specimens.LEGAL, *wsgi_specimens.BROKEN], ids=lambda app: app.__name__)
async def test_every_trace_is_one_start_then_bodies_then_nothing(app: Any, method: str) -> None:
    exchange = Exchange()
    failed = False

    try:
        await exchange.run(WSGIToASGI(app), http_scope(method=method))
    except (SpecimenError, AppProtocolError):
        failed = True

    assert kinds(exchange) == (
        [] if not exchange.sent else HEAD_AND_BODY[:1] + HEAD_AND_BODY[1:] * _bodies(exchange)
    )
    assert [message["more_body"] for message in exchange.sent[1:-1]] == [True] * (_bodies(exchange) - 1)
    assert exchange.complete is not failed


def _bodies(exchange: Exchange) -> int:
    return len(exchange.sent) - 1


@pytest.mark.spec("AA-06")
async def test_header_names_leave_in_lower_case_as_bytes() -> None:
    exchange = await get(WSGIToASGI(answering(Blocks([b"x"]), ("X-FoO", "v"), ("A", "W"))))

    assert exchange.headers == [(b"x-foo", b"v"), (b"a", b"W")]
    assert {type(part) for field in exchange.headers for part in field} == {bytes}
    assert type(exchange.status) is int


@pytest.mark.spec("AA-07", "AA-21", "E-02")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="nothing-more"),
        pytest.param({"extensions": None, "state": None, "root_path": None, "raw_path": None}, id="none"),
        pytest.param({"asgi": {"version": "3.0"}}, id="no-spec-version"),
        pytest.param(
            {"client": ["1.2.3.4", 5], "server": ["h", 80], "headers": [[b"host", b"h"]]}, id="lists"
        ),
        pytest.param({"client": ("1.2.3.4", "5"), "server": ("h", "80")}, id="str-ports"),
        pytest.param({"x-unknown": object(), "extensions": {"x": {}}}, id="unknown-keys"),
    ],
)
async def test_a_minimal_scope_is_served(more: dict[str, Any]) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", **more}

    exchange = await Exchange().run(WSGIToASGI(show), scope)

    assert (exchange.status, exchange.complete) == (200, True)


@pytest.mark.spec("AA-07", "AA-08")
@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({}, b""),
        ({"body": None}, b""),
        ({"body": b"ab"}, b"ab"),
        ({"body": b"ab", "more_body": False, "x": 1}, b"ab"),
    ],
    ids=["empty", "none", "no-more-body", "unknown-key"],
)
async def test_a_minimal_event_is_the_whole_body(event: dict[str, Any], body: bytes) -> None:
    scope = http_scope(method="POST", headers=[(b"transfer-encoding", b"chunked")])

    exchange = await Exchange({"type": "http.request", **event}).run(WSGIToASGI(echo), scope)

    assert (exchange.status, exchange.body) == (200, body)


@pytest.mark.spec("AA-09")
@pytest.mark.parametrize("header", [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")])
async def test_an_event_of_another_protocol_raises(header: tuple[bytes, bytes]) -> None:
    exchange = Exchange({"type": "websocket.receive", "bytes": b"ab"})

    with pytest.raises(ProtocolError, match=r"receive\(\) gave 'websocket.receive'"):
        await exchange.run(WSGIToASGI(echo), http_scope(method="POST", headers=[header]))

    assert exchange.sent == []


# ---------------------------------------------------------------- refusals

REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "path": ({"path": "secret"}, 400),
    "method": ({"method": "SEC RET"}, 400),
    "host": ({"headers": [(b"host", b"a/secret")]}, 400),
    "value": ({"headers": [(b"x-a", b"secret\x1b[31m")]}, 400),
    "name": ({"headers": [(b"x secret", b"a")]}, 400),
    "length": ({"headers": [(b"content-length", b"+5secret")]}, 400),
    "long path": ({"path": "/secret" + "a" * 70_000}, 414),
    "many headers": ({"headers": [(b"x-secret", b"a")] * 1_001}, 431),
    "large header": ({"headers": [(b"x-secret", b"a" * 300_000)]}, 431),
    "large body": ({"headers": [(b"content-length", b"1001")]}, 413),
}


@pytest.mark.spec("SEC-26", "SEC-27", "H-25")
@pytest.mark.parametrize(("keys", "status"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_a_fixed_text_and_silent(
    keys: dict[str, Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []
    adapter = WSGIToASGI(answering([b"x"], first=calls.append), limits=Limits(max_body_bytes=1_000))

    exchange = await Exchange().run(adapter, {**http_scope(), **keys})

    assert (exchange.status, exchange.complete, calls) == (status, True, [])
    assert b"secret" not in exchange.body and b"secret" not in repr(exchange.headers).encode()
    assert len(exchange.body) == int(dict(exchange.headers)[b"content-length"]) > 0
    assert caplog.records == []


@pytest.mark.spec("SEC-27")
async def test_nothing_of_the_request_but_its_path_is_in_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise SpecimenError("in close")

    app = answering(Blocks([b"xy"], fail), ("Content-Length", "1"), ("Connection", "secret"))
    adapter = WSGIToASGI(app)

    await get(adapter, "/path\x1b[31m\n", headers=[(b"cookie", b"secret")], query_string=b"secret")
    await asyncio.to_thread(adapter.close)

    assert len(caplog.records) == 3  # hop-by-hop, too long, close()
    assert not [record for record in caplog.records if "secret" in record.getMessage()]
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.spec("SEC-35")
async def test_the_scope_in_the_environ_does_not_show_its_headers() -> None:
    shown: list[str] = []
    app = answering([b"x"], first=lambda environ: shown.append(repr(environ["bridge.scope"])))

    await get(WSGIToASGI(app), headers=[(b"cookie", b"s=secret")], query_string=b"secret")

    assert "headers" in shown[0] and "secret" not in shown[0]


# ---------------------------------------------------------------- without asserts

OPTIMIZED = """
import asyncio, sys
from bridge import WSGIToASGI
from bridge.errors import AppProtocolError, ConfigurationError
from tests.contract import wsgi_specimens
from tests.contract.wsgi_specimens import answering
from tests.support.asgi import Exchange, http_scope

sys.flags.optimize == 1 or sys.exit("asserts are on")

async def outcome(app, **keys):
    exchange = Exchange()
    try:
        await exchange.run(WSGIToASGI(app), {**http_scope(), **keys})
    except (AppProtocolError, ValueError) as exc:
        return type(exc).__name__, exchange.complete
    return exchange.status, exchange.complete

async def main():
    hello = wsgi_specimens.hello
    print(await outcome(hello, type="foo.bar"))
    print(await outcome(hello, path="@evil"))
    print(await outcome(hello, headers=[(b"x-a", b"a\\rb")]))
    print(await outcome(hello, headers=[(b"host", b"a"), (b"host", b"b")]))
    print(await outcome(hello, headers=[(b"content-length", b"+1")]))
    print(await outcome(answering([b"x"], ("X", "a\\r\\nSet-Cookie: e=1"))))
    print(await outcome(answering([b"x"], status="200 OK\\r\\nX: y")))
    for name in ("short", "no_start", "starts_twice", "text_block", "returns_none"):
        print(await outcome(getattr(wsgi_specimens, name)))
    print(await outcome(hello))
    try:
        WSGIToASGI(hello, threads=0)
    except ConfigurationError:
        print("refused")

asyncio.run(main())
"""


@pytest.mark.spec("SEC-25")
def test_the_checks_hold_without_asserts() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMIZED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "('ValueError', False)",
        *["(400, True)"] * 4,
        *["('AppProtocolError', False)"] * 5,
        *["('AppTypeError', False)"] * 2,
        "(200, True)",
        "refused",
    ]


@pytest.mark.spec("AA-06", "AA-19")
async def test_a_common_request_is_two_events() -> None:
    exchange = await post(WSGIToASGI(echo), b"body")

    assert kinds(exchange) == HEAD_AND_BODY
    assert exchange.body == b"body"
