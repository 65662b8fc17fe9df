"""Each limit, one below, at it and one above, through the adapters."""

from __future__ import annotations

import io
from typing import Any

import pytest

from bridge import ASGIToWSGI, Limits, WSGIToASGI
from tests.contract.asgi_specimens import echo as asgi_echo
from tests.contract.asgi_specimens import hello as asgi_hello
from tests.contract.wsgi_specimens import echo, hello
from tests.support.asgi import Exchange, body_events, http_scope
from tests.support.wsgi import call, make_environ

STEPS = pytest.mark.parametrize("step", [-1, 0, 1], ids=["below", "at", "above"])
BASE = len(b"host") + len(b"testserver")


@STEPS
@pytest.mark.spec("SEC-18")
async def test_the_number_of_headers(step: int) -> None:
    headers = [(b"x-%d" % number, b"1") for number in range(9 + step)]  # and Host

    exchange = await Exchange().run(
        WSGIToASGI(hello, limits=Limits(max_headers=10)), http_scope(headers=headers)
    )

    assert exchange.status == (431 if step > 0 else 200)


@STEPS
@pytest.mark.spec("SEC-18")
async def test_the_bytes_of_all_headers(step: int) -> None:
    value = b"x" * (100 - BASE - len(b"x-long") + step)
    scope = http_scope(headers=[(b"x-long", value)])

    exchange = await Exchange().run(WSGIToASGI(hello, limits=Limits(max_header_bytes=100)), scope)

    assert exchange.status == (431 if step > 0 else 200)


@STEPS
async def test_the_bytes_of_the_path_and_its_query(step: int) -> None:
    scope = http_scope("/" + "p" * 9, query_string=b"q" * (10 + step))

    exchange = await Exchange().run(WSGIToASGI(hello, limits=Limits(max_path_bytes=20)), scope)

    assert exchange.status == (414 if step > 0 else 200)


@STEPS
@pytest.mark.spec("SEC-17")
@pytest.mark.parametrize("declared", [True, False])
async def test_the_bytes_of_the_body(step: int, declared: bool) -> None:
    body = b"x" * (20 + step)
    headers = [(b"content-length", b"%d" % len(body))] if declared else [(b"transfer-encoding", b"chunked")]
    scope = http_scope(method="POST", headers=headers)
    adapter = WSGIToASGI(echo, limits=Limits(max_body_bytes=20))

    exchange = await Exchange(*body_events(body[:10], body[10:])).run(adapter, scope)

    assert (exchange.status, exchange.body == body) == ((413, False) if step > 0 else (200, True))


@STEPS
@pytest.mark.spec("SEC-18")
async def test_the_bytes_of_a_single_header_are_bounded_with_all_others(step: int) -> None:
    most = Limits().max_header_bytes
    scope = http_scope(headers=[(b"x-long", b"x" * (most - BASE - len(b"x-long") + step))])

    exchange = await Exchange().run(WSGIToASGI(hello), scope)

    assert exchange.status == (431 if step > 0 else 200)


# ---------------------------------------------------------------- under WSGI servers


@STEPS
@pytest.mark.spec("SEC-18")
def test_the_number_of_headers_under_wsgi(step: int) -> None:
    fields: dict[str, Any] = {f"HTTP_X_{number}": "1" for number in range(9 + step)}  # and Host
    adapter = ASGIToWSGI(asgi_hello, lifespan="off", limits=Limits(max_headers=10))

    assert call(adapter, make_environ(**fields)).status == (431 if step > 0 else 200)


@STEPS
@pytest.mark.spec("SEC-18")
@pytest.mark.parametrize("most", [100, Limits().max_header_bytes])
def test_the_bytes_of_all_headers_under_wsgi(step: int, most: int) -> None:
    value = "x" * (most - BASE - len("x-long") + step)
    adapter = ASGIToWSGI(asgi_hello, lifespan="off", limits=Limits(max_header_bytes=most))

    assert call(adapter, make_environ(HTTP_X_LONG=value)).status == (431 if step > 0 else 200)


@STEPS
@pytest.mark.spec("SEC-17")
def test_the_bytes_of_a_body_without_a_length_under_wsgi(step: int) -> None:
    body = b"x" * (20 + step)
    environ = make_environ(method="POST", wsgi__input=io.BytesIO(body), wsgi__input_terminated=True)
    adapter = ASGIToWSGI(asgi_echo, lifespan="off", limits=Limits(max_body_bytes=20))

    answer = call(adapter, environ)

    assert (answer.status, answer.body == body) == ((413, False) if step > 0 else (200, True))


@STEPS
def test_the_bytes_of_the_path_and_its_query_under_wsgi(step: int) -> None:
    environ: dict[str, Any] = make_environ(path="/" + "p" * 9)
    environ["QUERY_STRING"] = "q" * (10 + step)
    adapter = ASGIToWSGI(asgi_hello, lifespan="off", limits=Limits(max_path_bytes=20))

    assert call(adapter, environ).status == (414 if step > 0 else 200)


@STEPS
@pytest.mark.spec("SEC-17")
def test_the_bytes_of_a_declared_body_under_wsgi(step: int) -> None:
    body = b"x" * (20 + step)
    environ: dict[str, Any] = make_environ()
    environ.update(
        {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    )
    adapter = ASGIToWSGI(asgi_hello, lifespan="off", limits=Limits(max_body_bytes=20))

    assert call(adapter, environ).status == (413 if step > 0 else 200)
