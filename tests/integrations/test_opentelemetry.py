"""Spans and metrics as the real SDK of OpenTelemetry exports them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.integrations.opentelemetry import RequestMetrics, RequestSpans, observe_adapters
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.support.asgi import Exchange, get, http_scope, post
from tests.support.wsgi import Answer, call, make_environ

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("test")


@pytest.fixture(autouse=True)
def _no_spans_of_others() -> Iterator[None]:
    exporter.clear()
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN  # nothing is left in this thread


def spans() -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterator[bytes] | list[bytes]:
    with tracer.start_as_current_span("app"):
        if environ["PATH_INFO"] == "/fail":
            raise ValueError("of the app")
        environ["wsgi.input"].read()
        start_response("201 Created", [])
        return iter([b"one", b"two"]) if environ["PATH_INFO"] == "/stream" else [b"hello"]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    with tracer.start_as_current_span("app"):
        if scope["path"] == "/fail":
            raise ValueError("of the app")
        await send({"type": "http.response.start", "status": 201, "headers": []})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})


def serve_wsgi_app(path: str) -> None:
    """Request a path inside a span of the server."""
    adapter = WSGIToASGI(wsgi_app, name="shop", observers=[RequestSpans(provider)])

    async def request() -> None:
        with tracer.start_as_current_span("server", kind=SpanKind.SERVER):
            await get(adapter, path)

    try:
        asyncio.run(request())
    finally:
        adapter.close()


def serve_asgi_app(path: str) -> None:
    """Request a path inside a span of the server."""
    adapter = ASGIToWSGI(asgi_app, name="shop", lifespan="off", observers=[RequestSpans(provider)])
    try:
        with tracer.start_as_current_span("server", kind=SpanKind.SERVER):
            call(adapter, path=path)
            assert trace.get_current_span().name == "server"  # type: ignore[attr-defined]
    finally:
        adapter.close()


both = pytest.mark.parametrize("serve", [serve_wsgi_app, serve_asgi_app])


@both
@pytest.mark.parametrize("path", ["/", "/stream"])
def test_the_span_of_the_bridge_stands_between_the_servers_and_the_apps(serve: Any, path: str) -> None:
    serve(path)

    found = spans()
    bridge, app, server = found["bridge shop"], found["app"], found["server"]
    assert bridge.parent == server.context
    assert app.parent == bridge.context
    attributes = dict(bridge.attributes or {})
    assert attributes["bridge.outcome"] == "completed"
    assert attributes["http.response.status_code"] == 201
    assert attributes["url.path"] == path
    assert bridge.status.status_code is StatusCode.UNSET
    queue = attributes["bridge.queue_seconds"]
    assert isinstance(queue, float)
    assert queue >= 0


def leave_a_context() -> None:
    """Do what an app does that forgets to detach; or has a span that goes on after its response."""
    assert baggage.get_baggage("user") is None
    context.attach(trace.set_span_in_context(tracer.start_span("left"), baggage.set_baggage("user", "me")))


def leaving_wsgi_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    leave_a_context()
    start_response("200 OK", [])
    return [b"hello"]


async def leaving_asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    leave_a_context()
    await asgi_app(scope, receive, send)


@pytest.mark.parametrize("path", ["/", "/stream"])
def test_what_an_asgi_app_leaves_current_is_nothing_to_the_next_request(path: str) -> None:
    adapter = ASGIToWSGI(
        leaving_asgi_app,
        name="shop",
        lifespan="off",
        observers=[RequestSpans(provider), RequestSpans(provider)],
    )

    for _ in range(3):
        call(adapter, path=path)
        assert baggage.get_baggage("user") is None
    adapter.close()

    outermost = [
        span for span in exporter.get_finished_spans() if span.name == "bridge shop" and not span.parent
    ]
    assert len({span.context.trace_id for span in outermost}) == 3


async def test_what_a_wsgi_app_leaves_current_is_nothing_to_the_next_request() -> None:
    adapter = WSGIToASGI(leaving_wsgi_app, name="shop", observers=[RequestSpans(provider)])

    for _ in range(3):
        await get(adapter)
        assert baggage.get_baggage("user") is None
    await asyncio.to_thread(adapter.close)

    bridges = [span for span in exporter.get_finished_spans() if span.name == "bridge shop"]
    assert [span.parent for span in bridges] == [None] * 3


@both
def test_a_failure_marks_the_span(serve: Any) -> None:
    with pytest.raises(ValueError, match="of the app"):
        serve("/fail")

    bridge = spans()["bridge shop"]
    assert (bridge.status.status_code, bridge.status.description) == (StatusCode.ERROR, "failed")
    assert "http.response.status_code" not in (bridge.attributes or {})


def test_a_response_that_is_closed_early_ends_its_span() -> None:
    adapter = ASGIToWSGI(asgi_app, name="shop", lifespan="off", observers=[RequestSpans(provider)])

    def serve() -> None:
        blocks: Any = adapter(make_environ("/stream"), Answer().start_response)
        next(blocks)
        blocks.close()

    serve()
    adapter.close()

    assert (spans()["bridge shop"].attributes or {})["bridge.outcome"] in ("disconnected", "completed")


async def test_a_path_that_cannot_be_encoded_is_shown_all_the_same() -> None:
    adapter = WSGIToASGI(wsgi_app, name="shop", observers=[RequestSpans(provider)])

    scope = {**http_scope(), "path": "/\udcff", "raw_path": b"/%ff"}
    await Exchange().run(adapter, scope)
    await asyncio.to_thread(adapter.close)

    path = (spans()["bridge shop"].attributes or {})["url.path"]
    assert path == "/?"


def metrics_of(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_metrics_count_requests_and_read_adapters() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    observe_adapters(meters)
    adapter = WSGIToASGI(wsgi_app, name="metered", observers=[RequestMetrics(meters)])

    async def requests() -> None:
        await post(adapter, b"x" * 100)
        with pytest.raises(ValueError, match="of the app"):
            await get(adapter, "/fail")

    asyncio.run(requests())
    found = metrics_of(reader)
    adapter.close()
    meters.shutdown()

    def points(name: str) -> list[Any]:
        return [point for point in found[name] if point.attributes["bridge.app"] == "metered"]

    assert {p.attributes["bridge.outcome"]: p.count for p in points("bridge.request.duration")} == {
        "completed": 1,
        "failed": 1,
    }
    assert [p.value for p in points("bridge.request.received")] == [100]
    assert [p.value for p in points("bridge.request.sent")] == [5]
    assert [p.value for p in points("bridge.requests.in_flight")] == [0]
    assert {p.attributes["bridge.state"]: p.value for p in points("bridge.threads")}.keys() == {
        "busy",
        "idle",
    }
    badly = {p.attributes["bridge.outcome"]: p.value for p in points("bridge.requests.ended_badly")}
    assert badly == {"failed": 1, "disconnected": 0, "rejected": 0, "timed_out": 0, "refused": 0}
