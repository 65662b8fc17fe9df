"""The middleware that people have, around frameworks of the other kind, on both faces and without hints."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import starlette.middleware
from fastapi import FastAPI, Request
from flask import Flask, request
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from bridge import Stack
from bridge.testing import open_asgi_client, open_wsgi_client

# Its annotations are those of ASGI middleware.
Middleware: Any = starlette.middleware.Middleware

both_faces = pytest.mark.parametrize(
    "open_client", [open_asgi_client, open_wsgi_client], ids=["asgi", "wsgi"]
)


@both_faces
def test_asgi_middleware_around_a_flask_app(open_client: Callable[..., Any]) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    legacy = Flask("legacy")

    @legacy.get("/visit")
    def visit() -> dict[str, Any]:
        session = request.environ["bridge.scope"]["session"]
        session["visits"] = session.get("visits", 0) + 1
        span = trace.get_current_span().get_span_context()
        return {"visits": session["visits"], "trace": f"{span.trace_id:032x}", "text": "x" * 100}

    stack = Stack(
        legacy,
        [
            Middleware(OpenTelemetryMiddleware, tracer_provider=provider),
            Middleware(CORSMiddleware, allow_origins=["https://a.example"]),
            Middleware(SessionMiddleware, secret_key="only for this test"),
            Middleware(GZipMiddleware, minimum_size=10),
        ],
    )

    with open_client(stack) as client:
        answers = [client.get("/visit", headers={"Origin": "https://a.example"}) for _ in range(2)]

    assert [answer.json()["visits"] for answer in answers] == [1, 2]
    assert answers[0].headers["access-control-allow-origin"] == "https://a.example"
    assert answers[0].headers["content-encoding"] == "gzip"
    # The app ran within the span of its middleware.
    spans = [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.SERVER]
    assert [f"{span.context.trace_id:032x}" for span in spans] == [a.json()["trace"] for a in answers]
    assert [len(stack.plan(face).crossings) for face in ("asgi", "wsgi")] == [1, 2]


@both_faces
def test_wsgi_middleware_around_a_fastapi_app(open_client: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("a static page", "utf-8")
    profile = io.StringIO()
    api = FastAPI()

    @api.get("/where")
    async def where(request: Request) -> dict[str, str]:
        return {"url": str(request.url)}

    stack = Stack(
        api,
        [
            Middleware(ProxyFix, x_proto=1, x_host=1, x_prefix=1),
            Middleware(ProfilerMiddleware, stream=profile),
            Middleware(WhiteNoise, root=str(tmp_path), prefix="static"),
        ],
    )
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
        "X-Forwarded-Prefix": "/site",
    }

    with open_client(stack) as client:
        assert client.get("/where", headers=forwarded).json() == {"url": "https://shop.example/site/where"}
        assert client.get("/static/page.txt").text == "a static page"

    assert "function calls" in profile.getvalue()
    assert [len(stack.plan(face).crossings) for face in ("asgi", "wsgi")] == [2, 1]
