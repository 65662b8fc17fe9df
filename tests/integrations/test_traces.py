"""One trace over two crossings, ASGI to WSGI to ASGI and the reverse, as the SDKs of tracers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import sentry_sdk
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ASGITelemetry
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WSGITelemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.integrations.opentelemetry import RequestSpans
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp
from tests.support.asgi import get
from tests.support.wsgi import call

REQUESTS = 20
"""At once, so that one could get into the trace of another."""


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0)  # the others have their turn
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"he", "more_body": True})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"llo"})


def wsgi_hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"he"
    yield b"llo"


def ask_asgi(app: ASGIApp, adapter: WSGIToASGI) -> None:
    async def ask() -> None:
        exchanges = await asyncio.gather(*(get(app, f"/{number}") for number in range(REQUESTS)))
        assert [exchange.body for exchange in exchanges] == [b"hello"] * REQUESTS

    try:
        asyncio.run(ask())
    finally:
        adapter.close()


def ask_wsgi(app: WSGIApp) -> None:
    for number in range(REQUESTS):
        assert call(app, path=f"/{number}").body == b"hello"


# ---------------------------------------------------------------- OpenTelemetry


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def chains(exporter: InMemorySpanExporter) -> list[list[str]]:
    """Give, for each innermost span, the scopes of instrumentation from it to the root, in one trace."""
    spans = {
        span.context.span_id: span
        for span in exporter.get_finished_spans()
        if span.context and not span.name.endswith(("send", "receive"))  # one for each event
    }
    parents = {span.parent.span_id for span in spans.values() if span.parent}
    found = []
    for number, span in spans.items():
        if number in parents:
            continue
        chain, at = [], span
        while True:
            scope = at.instrumentation_scope
            assert scope is not None
            chain.append(scope.name.rpartition(".")[2])
            if at.parent is None:
                break
            assert at.parent.trace_id == span.context.trace_id
            at = spans[at.parent.span_id]
        found.append(chain)
    return found


def test_opentelemetry_sees_one_trace_from_asgi_to_wsgi_to_asgi(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    watch = [RequestSpans(provider)]
    inner = ASGIToWSGI(ASGITelemetry(hello, tracer_provider=provider), lifespan="off", observers=watch)
    adapter = WSGIToASGI(WSGITelemetry(inner, tracer_provider=provider), observers=watch)

    ask_asgi(ASGITelemetry(adapter, tracer_provider=provider), adapter)

    assert chains(exporter) == [["asgi", "bridge", "wsgi", "bridge", "asgi"]] * REQUESTS


def test_opentelemetry_sees_one_trace_from_wsgi_to_asgi_to_wsgi(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    inner = WSGIToASGI(WSGITelemetry(wsgi_hello, tracer_provider=provider))
    outer = ASGIToWSGI(ASGITelemetry(inner, tracer_provider=provider), lifespan="off")

    ask_wsgi(WSGITelemetry(outer, tracer_provider=provider))
    inner.close()

    assert chains(exporter) == [["wsgi", "asgi", "wsgi"]] * REQUESTS


# ---------------------------------------------------------------- Sentry


class InMemory(Transport):
    """Keeps what Sentry would send."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            if item.type == "transaction":
                self.transactions.append(item.payload.json)


@pytest.fixture
def sentry() -> Iterator[InMemory]:
    before = sentry_sdk.get_client()
    transport = InMemory()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(before)


def spanned_wsgi(app: WSGIApp) -> WSGIApp:
    """Put an app into a span of the transaction that is current where it is called."""

    def spanned(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with sentry_sdk.start_span(op="wsgi", name=environ["PATH_INFO"]):
            return list(app(environ, start_response))

    return spanned


def spanned_asgi(app: ASGIApp) -> ASGIApp:
    async def spanned(scope: Scope, receive: Receive, send: Send) -> None:
        with sentry_sdk.start_span(op="asgi", name=scope["path"]):
            await app(scope, receive, send)

    return spanned


def check_transactions(transport: InMemory, outer: str, inner: str) -> None:
    assert len(transport.transactions) == REQUESTS
    for transaction in transport.transactions:
        root = transaction["contexts"]["trace"]
        spans = {span["op"]: span for span in transaction["spans"]}
        assert spans[outer]["parent_span_id"] == root["span_id"]
        assert spans[inner]["parent_span_id"] == spans[outer]["span_id"]
        assert {span["trace_id"] for span in spans.values()} == {root["trace_id"]}
        assert len({span["description"] for span in spans.values()}) == 1  # of one request
    assert len({transaction["spans"][0]["description"] for transaction in transport.transactions}) == REQUESTS


def test_sentry_sees_one_transaction_from_asgi_to_wsgi_to_asgi(sentry: InMemory) -> None:
    adapter = WSGIToASGI(spanned_wsgi(ASGIToWSGI(spanned_asgi(hello), lifespan="off")))

    ask_asgi(SentryAsgiMiddleware(adapter), adapter)

    check_transactions(sentry, "wsgi", "asgi")


def test_sentry_sees_one_transaction_from_wsgi_to_asgi_to_wsgi(sentry: InMemory) -> None:
    inner = WSGIToASGI(spanned_wsgi(wsgi_hello))
    outer = ASGIToWSGI(spanned_asgi(inner), lifespan="off")

    ask_wsgi(SentryWsgiMiddleware(outer))
    inner.close()

    check_transactions(sentry, "asgi", "wsgi")
