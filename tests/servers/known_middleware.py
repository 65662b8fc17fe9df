"""Ten well-known ASGI and ten well-known WSGI middlewares, each around two twins of one app.

The twins answer alike: one is ASGI, one is WSGI. `/<name>/own/` has the twin of the middleware's kind, so
under a server of that kind it is the native stack; `/<name>/two/` has the twin of the other kind.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sentry_sdk
from asgi_correlation_id import CorrelationIdMiddleware
from asgi_correlation_id.context import correlation_id
from beaker.middleware import SessionMiddleware as BeakerSession
from brotli_asgi import BrotliMiddleware
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ASGITelemetry
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WSGITelemetry
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.middleware.lint import HTTPWarning, LintMiddleware, WSGIWarning
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.middleware.shared_data import SharedDataMiddleware
from whitenoise import WhiteNoise

from bridge import Site, Stack, asgi, wsgi
from bridge.stack import Entry
from bridge.types import Environ, Receive, Scope, Send, StartResponse, WSGIApp

warnings.simplefilter("error", WSGIWarning)  # what LintMiddleware finds fails the request
warnings.simplefilter("error", HTTPWarning)

trace.set_tracer_provider(TracerProvider())

captured: list[tuple[str, str]] = []
"""What Sentry was told: the middleware of the path, and the exception."""


class Recorder(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            event = item.get_event()
            if event is not None and "exception" in event:
                exception = event["exception"]["values"][-1]
                captured.append((event["request"]["url"], exception["value"]))


sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1",
    transport=Recorder,
    default_integrations=False,
    auto_enabling_integrations=False,
)

static = Path(tempfile.mkdtemp(prefix="known-middleware-"))
(static / "page.txt").write_text("a static page\n" * 40, "utf-8")
os.utime(static / "page.txt", (1_700_000_000, 1_700_000_000))

TEXT = b"The same line again and again.\n" * 200


def answer(facts: dict[str, Any], session: Any) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Answer as both twins do: the headers, and the blocks."""
    path = facts["path"]
    if path == "/fail":
        raise RuntimeError("the app failed")
    if path == "/text":
        return [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(TEXT)))], [TEXT]
    if path == "/stream":
        return [("Content-Type", "text/plain")], [TEXT[:1000], b"", TEXT[1000:3000], TEXT[3000:]]
    if path == "/cookies":
        cookies = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; HttpOnly")]
        return [("Content-Type", "text/plain"), *cookies, ("Content-Length", "2")], [b"ok"]
    if path == "/captured":
        facts = {"captured": sorted({value for url, value in captured if facts["root"] in url})}
    if session is not None:
        session["visits"] = session.get("visits", 0) + 1
        facts["session"] = dict(session)
    span = trace.get_current_span().get_span_context()
    facts["trace"] = f"{span.trace_id:032x}" if span.is_valid else ""
    facts["correlation"] = correlation_id.get() or ""
    body = json.dumps(facts, sort_keys=True).encode()
    return [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], [body]


SEEN = ("HOST", "X_FORWARDED_FOR", "ORIGIN", "X_REQUEST_ID", "X_A")


def wsgi_twin(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    scope = environ.get("bridge.scope", {})
    facts = {
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "client": environ["REMOTE_ADDR"],
        "headers": {key: environ[f"HTTP_{key}"] for key in SEEN if f"HTTP_{key}" in environ},
        "body": environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode(),
    }
    headers, blocks = answer(facts, scope.get("session"))
    start_response("200 OK", headers)
    return [] if facts["method"] == "HEAD" else blocks if len(blocks) == 1 else _one_by_one(blocks)


def _one_by_one(blocks: list[bytes]) -> Iterator[bytes]:
    yield from blocks


async def asgi_twin(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError("no lifespan here")
    given = {name.decode().upper().replace("-", "_"): value.decode() for name, value in scope["headers"]}
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    facts = {
        "method": scope["method"],
        "scheme": scope["scheme"],
        "root": scope["root_path"],
        "path": scope["path"].removeprefix(scope["root_path"]),
        "query": scope["query_string"].decode(),
        "client": scope["client"][0],
        "headers": {key: given[key] for key in SEEN if key in given},
        "body": body.decode(),
    }
    headers, blocks = answer(facts, scope.get("session"))
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    if scope["method"] == "HEAD":
        blocks = []
    for block in blocks[:-1]:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": blocks[-1] if blocks else b""})


def upstream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Stand behind Werkzeug's ProxyMiddleware, on a server of its own."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Upstream", "yes")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode(), environ["wsgi.input"].read()]


def count_visits(app: WSGIApp) -> WSGIApp:
    """Use the session of Beaker, which only WSGI reaches."""

    def counted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        session = environ["beaker.session"]
        session["visits"] = session.get("visits", 0) + 1
        session.save()
        visits = str(session["visits"])
        return app(
            environ,
            lambda status, headers, *more: start_response(status, [*headers, ("X-Visits", visits)], *more),
        )

    return counted


ASGI: dict[str, list[Entry]] = {
    "gzip": [asgi(GZipMiddleware, minimum_size=100)],
    "cors": [asgi(CORSMiddleware, allow_origins=["https://a.example"], allow_credentials=True)],
    "session": [asgi(SessionMiddleware, secret_key="not a secret", max_age=None)],
    "trusted-host": [asgi(TrustedHostMiddleware, allowed_hosts=["demo.test"])],
    "https-redirect": [asgi(HTTPSRedirectMiddleware)],
    "correlation-id": [asgi(CorrelationIdMiddleware, validator=None)],
    "telemetry": [asgi(ASGITelemetry)],
    "sentry": [asgi(SentryAsgiMiddleware)],
    "brotli": [asgi(BrotliMiddleware, minimum_size=100)],
    "proxy-headers": [asgi(ProxyHeadersMiddleware, trusted_hosts="*")],
}
WSGI: dict[str, list[Entry]] = {
    "proxy-fix": [wsgi(ProxyFix, x_for=1, x_proto=1, x_host=1, x_prefix=1)],
    "dispatcher": [wsgi(DispatcherMiddleware, {"/sub": wsgi_twin})],
    "shared-data": [wsgi(SharedDataMiddleware, {"/static": str(static)})],
    "profiler": [wsgi(ProfilerMiddleware, stream=io.StringIO())],
    "lint": [wsgi(LintMiddleware)],
    "http-proxy": [
        wsgi(ProxyMiddleware, {"/proxied": {"target": os.environ.get("UPSTREAM", "http://127.0.0.1:1/")}})
    ],
    "whitenoise": [wsgi(WhiteNoise, root=str(static), prefix="static")],
    "wsgi-telemetry": [wsgi(WSGITelemetry)],
    "wsgi-sentry": [wsgi(SentryWsgiMiddleware)],
    "beaker": [
        wsgi(
            BeakerSession,
            {
                "session.type": "cookie",
                "session.validate_key": "not a secret",
                "session.data_serializer": "json",
            },
        ),
        wsgi(count_visits),
    ],
}

site = Site()
for name, entries in ASGI.items():
    site.mount(f"/{name}/own", Stack(asgi_twin, entries))
    site.mount(f"/{name}/two", Stack(wsgi_twin, entries))
for name, entries in WSGI.items():
    site.mount(f"/{name}/own", Stack(wsgi_twin, entries))
    site.mount(f"/{name}/two", Stack(asgi_twin, entries))

app = site.asgi
application = site.wsgi
