"""The requests that `guard` counts, on one thread as far as it can be: `wsgi-get=240 wsgi-post=120`."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Collection

from benchmarks.served import fastapi_native, flask_native
from benchmarks.workloads import (
    asgi_hello,
    asgi_stream,
    discard,
    exhaust,
    new_environ,
    new_scope,
    one_body,
    start_nothing,
    wsgi_hello,
    wsgi_stream,
)
from bridge import ASGIToWSGI, LoopThread, ThreadPool, WSGIToASGI
from bridge._runtime.worker_pool import WorkerPool
from bridge.observation import Observer, RequestBegan, RequestEnded
from bridge.types import ASGIApp, Environ, Receive, Scope, Send, StartResponse, WSGIApp

_BODY = b"x" * 1024
_BLOCKS = 20


class _Direct(WorkerPool):
    """A pool without threads, whose waiting for each other would be counted and differ from run to run."""

    def submit(self, job: Callable[[], None]) -> bool:
        job()
        return False


def _wsgi_reader(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.input"].read()
    return wsgi_hello(environ, start_response)


async def _asgi_reader(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await receive()
    await asgi_hello(scope, receive, send)


def _observer(began: RequestBegan) -> Callable[[RequestEnded], object]:
    return _told


def _told(ended: RequestEnded) -> None: ...


def _serve_wsgi(
    app: WSGIApp, requests: int, *bodies: bytes, measure: bool = False, observers: Collection[Observer] = ()
) -> None:
    pool = ThreadPool()
    pool.workers = _Direct(1, 0)
    adapter = WSGIToASGI(app, pool=pool, measure=measure, observers=observers)

    async def serve() -> None:
        for _ in range(requests):
            scope = new_scope()
            if bodies:
                scope["headers"] = [*scope["headers"], (b"content-length", b"%d" % len(bodies[0]))]
            await adapter(scope, one_body(*bodies), discard)

    asyncio.run(serve())


def _serve_asgi(
    app: ASGIApp,
    requests: int,
    body: bytes = b"",
    *,
    measure: bool = False,
    observers: Collection[Observer] = (),
) -> None:
    loop_thread = LoopThread(asyncio.new_event_loop)
    adapter = ASGIToWSGI(app, loop_thread=loop_thread, measure=measure, observers=observers)
    for _ in range(requests):
        environ = new_environ()
        if body:
            environ.update({"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)})
        exhaust(adapter(environ, start_nothing))
    adapter.close()
    loop_thread.close()


RUNS: dict[str, Callable[[int], None]] = {
    "wsgi-get": lambda requests: _serve_wsgi(wsgi_hello, requests),
    "wsgi-post": lambda requests: _serve_wsgi(_wsgi_reader, requests, _BODY),
    "wsgi-stream": lambda requests: _serve_wsgi(wsgi_stream(_BLOCKS), requests),
    "asgi-get": lambda requests: _serve_asgi(asgi_hello, requests),
    "asgi-post": lambda requests: _serve_asgi(_asgi_reader, requests, _BODY),
    "asgi-stream": lambda requests: _serve_asgi(asgi_stream(_BLOCKS), requests),
    "wsgi-measured": lambda requests: _serve_wsgi(wsgi_hello, requests, measure=True),
    "wsgi-observed": lambda requests: _serve_wsgi(wsgi_hello, requests, observers=[_observer]),
    "asgi-measured": lambda requests: _serve_asgi(asgi_hello, requests, measure=True),
    "asgi-observed": lambda requests: _serve_asgi(asgi_hello, requests, observers=[_observer]),
    "flask": lambda requests: _serve_wsgi(flask_native(), requests),
    "fastapi": lambda requests: _serve_asgi(fastapi_native(), requests),
}

if __name__ == "__main__":
    for argument in sys.argv[1:]:
        kind, _, count = argument.partition("=")
        RUNS[kind](int(count))
