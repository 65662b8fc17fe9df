from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import starlette.middleware
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge import ASGIToWSGI, Stack, WSGIToASGI, as_asgi, as_wsgi, asgi, wsgi
from bridge._protocol.kind import Side
from bridge._runtime.lifespan import Lifespan
from bridge.errors import ConfigurationError, LifespanFailed
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.support.asgi import Exchange, get, happened, http_scope
from tests.support.layers import (
    APPS,
    LAYERS,
    ASGILayer,
    ASGITold,
    Probe,
    WSGILayer,
    WSGITold,
    back,
    way,
)
from tests.support.wsgi import Answer, call, make_environ

# Its annotations are those of ASGI middleware.
Middleware: Any = starlette.middleware.Middleware
SIDES: tuple[Side, Side] = ("asgi", "wsgi")
SHAPES: list[tuple[Side, ...]] = [
    shape for length in (1, 2, 3, 4) for shape in itertools.product(SIDES, repeat=length)
]


@pytest.fixture(autouse=True)
def _nobody_has_passed_yet() -> None:
    """A WSGI server's thread keeps its context from one request to the next."""
    way.set("")
    back.set("")


def build(*kinds: Side, app: Any = None, seen: list[Any] | None = None) -> Stack:
    """Build a stack of telling layers, outermost first; the last kind is that of the app."""
    *layers, of_app = kinds
    entries = [Middleware(LAYERS[kind], f"{kind[0]}{place}", seen) for place, kind in enumerate(layers)]
    return Stack(app or APPS[of_app](), entries)


def ask(stack: Stack, face: Side, path: str = "/") -> tuple[int, bytes, list[str]]:
    """Give status, body and the layers that the response has passed, from the inside."""
    if face == "asgi":
        exchange = asyncio.run(get(stack.asgi, path))
        told = [value.decode() for name, value in exchange.headers if name == b"x-layer"]
        return exchange.status, exchange.body, told
    # In a context of its own, as each request of a server has.
    answer = contextvars.copy_context().run(call, stack.wsgi, path=path)
    return answer.status, answer.body, [value for name, value in answer.header_list if name == "X-Layer"]


# ------------------------------------------------------------ order and crossings


@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize("shape", SHAPES, ids="-".join)
def test_a_request_passes_the_layers_in_order_over_the_crossings_of_the_plan(
    monkeypatch: pytest.MonkeyPatch, face: Side, shape: tuple[Side, ...]
) -> None:
    probe = Probe(monkeypatch)
    stack = build(*shape)
    names = [f"{kind[0]}{place}" for place, kind in enumerate(shape[:-1])]

    status, body, told = ask(stack, face)

    assert (status, body.decode(), told) == (200, "".join(names), names[::-1])
    plan = stack.plan(face)
    assert probe.crossings == [crossing.adapter for crossing in plan.crossings]
    assert [layer.kind for layer in plan.layers] == list(shape)


@pytest.mark.parametrize("kind", SIDES)
def test_the_face_of_the_own_kind_is_the_outermost_layer_itself(kind: Side) -> None:
    app = APPS[kind]()

    assert getattr(Stack(app), kind) is app
    assert type(getattr(build(kind, kind), kind)) is LAYERS[kind]


def test_an_adapter_before_its_inverse_vanishes() -> None:
    native = WSGITold()
    bridged = WSGIToASGI(native)

    assert Stack(bridged).wsgi is native and Stack(bridged).asgi is bridged
    assert Stack(bridged, [WSGILayer]).wsgi.app is native  # type: ignore[attr-defined]
    assert Stack(bridged, [ASGILayer]).asgi.app is bridged  # type: ignore[attr-defined]
    assert Stack(ASGIToWSGI(as_asgi(native)), [ASGILayer]).plan("asgi").layers[-1].kind == "asgi"


def test_an_adapter_among_the_entries_is_used_where_it_is_needed() -> None:
    crossing = Middleware(WSGIToASGI, threads=3)

    needed = Stack(WSGITold(), [ASGILayer, crossing, WSGILayer])
    not_needed = Stack(ASGITold(), [ASGILayer, crossing])

    assert needed.asgi.app._settings.pool.threads == 3  # type: ignore[attr-defined]
    assert isinstance(not_needed.asgi.app, ASGITold)  # type: ignore[attr-defined]
    assert [layer.kind for layer in needed.plan().layers] == ["asgi", "wsgi", "wsgi"]


def test_a_stack_in_a_stack_is_one_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(monkeypatch)
    stack = Stack(Stack(WSGITold(), [Middleware(WSGILayer, "inner")]), [Middleware(WSGILayer, "outer")])

    assert ask(stack, "asgi")[1] == b"outerinner"
    assert probe.crossings == ["WSGIToASGI"] and len(stack.plan().layers) == 3


def test_a_stack_gives_its_faces_to_as_asgi_and_as_wsgi() -> None:
    stack = build("wsgi", "wsgi")

    assert as_asgi(stack) is stack.asgi and as_wsgi(stack) is stack.wsgi


# ------------------------------------------------------------ what passes through


class Seen(list[Any]):
    """A list that tells when it has so many items."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.complete = threading.Event()

    def append(self, item: Any, /) -> None:
        super().append(item)
        if len(self) == self._count:
            self.complete.set()


@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3], ids="-".join)
def test_what_the_app_set_is_seen_by_each_layer_on_the_way_out(face: Side, shape: tuple[Side, ...]) -> None:
    seen = Seen(2)

    ask(build(*shape, seen=seen), face)

    # In any order: a WSGI layer is closed in its thread, after the response is out.
    assert seen.complete.wait(10)
    assert sorted(seen) == sorted([(f"{shape[1][0]}1", "told"), (f"{shape[0][0]}0", "told")])


class Odd(Exception):
    pass


@pytest.mark.parametrize("face", SIDES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3], ids="-".join)
def test_an_exception_passes_each_layer_as_it_is(face: Side, shape: tuple[Side, ...]) -> None:
    seen: list[Any] = []
    failure = Odd("as it was raised")
    stack = build(*shape, app=APPS[shape[-1]](failure), seen=seen)

    with pytest.raises(Odd) as caught:
        ask(stack, face)

    assert caught.value is failure
    assert seen == [(f"{shape[1][0]}1", failure), (f"{shape[0][0]}0", failure)]


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3], ids="-".join)
async def test_a_block_passes_at_once_and_a_client_that_leaves_ends_the_app(shape: tuple[Side, ...]) -> None:
    app = APPS[shape[-1]]()
    stack = build(*shape, app=app)
    exchange = Exchange()

    request = asyncio.create_task(exchange.run(stack.asgi, http_scope("/stream"), timeout=30))
    await exchange.sent_count(2, timeout=20)
    exchange.disconnect()
    exchange.send_error = OSError("the client is gone")  # as servers say it since ASGI 2.4
    ended = await happened(app.closed, timeout=20)
    app.go_on.set()
    await asyncio.gather(request, return_exceptions=True)

    assert exchange.sent[1]["body"] == b"first" and ended


class SilentWSGI:
    """An app that waits without a word for its client to leave, and does nothing else."""

    def __init__(self) -> None:
        self.begun, self.told, self.give_up = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.begun.set()
        while not self.give_up.wait(0.02):
            if environ["bridge.client_disconnected"]():
                self.told.set()
                break
        start_response("200 OK", [])
        return []


class SilentASGI:
    """The same for ASGI."""

    def __init__(self) -> None:
        self.begun, self.told, self.give_up = threading.Event(), threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("no lifespan here")
        self.begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.told.set()


@pytest.mark.spec("SEC-20", "A-33")
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3], ids="-".join)
async def test_an_app_that_is_silent_hears_of_a_client_that_leaves(shape: tuple[Side, ...]) -> None:
    """Behind a WSGI layer under an ASGI server no ASGI app did, and kept a thread for ever."""
    app: Any = SilentWSGI() if shape[-1] == "wsgi" else SilentASGI()
    stack = build(*shape, app=app)
    exchange = Exchange()

    request = asyncio.create_task(exchange.run(stack.asgi, http_scope(), timeout=30))
    assert await happened(app.begun, timeout=20)
    exchange.disconnect()
    told = await happened(app.told, timeout=20)
    app.give_up.set()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert told


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 3], ids="-".join)
def test_a_block_passes_at_once_and_a_server_that_closes_ends_the_app(shape: tuple[Side, ...]) -> None:
    app = APPS[shape[-1]]()
    answer = Answer()
    blocks: Any = build(*shape, app=app).wsgi(make_environ("/stream"), answer.start_response)

    first = next(iter(blocks))
    blocks.close()
    ended = app.closed.wait(20)
    app.go_on.set()

    assert first == b"first" and ended


# ------------------------------------------------------------ lifespan


def living(told: list[str], *, fails: bool = False) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        told.append("up")
        if fails:
            raise Odd("no database")
        yield {"key": "from lifespan"}
        told.append("down")

    def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.key)

    return Starlette(routes=[Route("/", show)], lifespan=lifespan)


@pytest.mark.spec("L-02")
@pytest.mark.parametrize("shape", [(), ("asgi",), ("wsgi",), ("asgi", "wsgi"), ("wsgi", "asgi", "wsgi")])
async def test_the_lifespan_of_the_app_is_that_of_the_asgi_face(shape: tuple[Side, ...]) -> None:
    told: list[str] = []
    stack = Stack(living(told), [LAYERS[kind] for kind in shape])
    lifespan = Lifespan(stack.asgi, required=True)

    await lifespan.startup(20)
    assert told == ["up"]
    exchange = await get(stack.asgi, state=dict(lifespan.state or {}))
    await lifespan.shutdown(20)

    assert exchange.body == b"from lifespan"
    assert told == ["up", "down"]


@pytest.mark.spec("L-05")
async def test_an_app_that_does_not_start_inside_wsgi_layers_stops_the_server() -> None:
    told: list[str] = []

    with pytest.raises(LifespanFailed, match="no database"):
        await Lifespan(Stack(living(told, fails=True), [WSGILayer]).asgi, required=False).startup(20)


# ------------------------------------------------------------ what is refused


def asgi_that_makes_wsgi(app: Any) -> Any:
    return WSGITold()


def hidden(app: Any) -> Any:
    return app


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Stack(3), "expected a WSGI or ASGI app"),
        (lambda: Stack(lambda *args: None), "cannot tell by its signature"),
        (lambda: Stack(WSGITold(), ["GZipMiddleware"]), "expected a class or a function"),
        (lambda: Stack(WSGITold(), [hidden]), r"say so with asgi\(hidden, \.\.\.\) or wsgi\(hidden"),
        (
            lambda: Stack(WSGITold(), [asgi(asgi_that_makes_wsgi)]),
            r"made an WSGI app; state its kind with wsgi",
        ),
        (lambda: Stack(WSGITold(), [wsgi(lambda app: None)]), "which is no app"),
        (lambda: Stack(WSGITold()).plan("http"), "expected 'asgi' or 'wsgi'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_a_factory_of_a_stated_kind_is_called_with_its_arguments() -> None:
    stack = Stack(WSGITold(), [wsgi(WSGILayer, "stated"), asgi(GZipMiddleware, minimum_size=1)])

    assert ask(stack, "wsgi")[1] == b"stated"


def test_it_tells_what_it_is() -> None:
    assert (
        repr(build("asgi", "wsgi"))
        == "<Stack tests.support.layers.ASGILayer > tests.support.layers.WSGITold>"
    )
