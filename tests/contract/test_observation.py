"""What is seen of an adapter's requests, in both directions: the same values whichever way they cross."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from websockets.sync.client import connect

import bridge
from bridge import ASGIToWSGI, Limits, WSGIToASGI
from bridge._protocol.sendfile import FILE_BLOCK_BYTES, PATHSEND, ZEROCOPYSEND
from bridge._runtime.observing import Tally
from bridge.errors import ConfigurationError
from bridge.observation import AdapterStats, Outcome, RequestBegan, RequestEnded
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse, WSGIApp
from tests.servers.wire import head, talk
from tests.support.asgi import Exchange, get, happened, http_scope, post
from tests.support.servers import serve, wait_for_output
from tests.support.wsgi import Answer, call, make_environ

SECONDS = 10


@dataclass
class Notes:
    """An observer that keeps what it is told."""

    began: list[RequestBegan] = field(default_factory=list)
    ended: list[RequestEnded] = field(default_factory=list)

    def __call__(self, began: RequestBegan) -> Callable[[RequestEnded], None]:
        self.began.append(began)
        return self.ended.append

    @property
    def last(self) -> RequestEnded:
        return self.ended[-1]


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterator[bytes] | list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ValueError("of the app")
    data = environ["wsgi.input"].read()
    start_response("201 Created", [("Content-Type", "text/plain")])
    if path == "/stream":
        return iter([b"one", b"two", b"three"])
    if path == "/late":
        return late_blocks()
    return [data or b"hello"]


def late_blocks() -> Iterator[bytes]:
    yield b"one"
    raise ValueError("late")


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    path = scope["path"].removeprefix(scope["root_path"])
    if path == "/fail":
        raise ValueError("of the app")
    data, more = b"", True
    while more:
        message = await receive()
        data += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
    if path in ("/stream", "/late"):
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if path == "/late":
            raise ValueError("late")
        await send({"type": "http.response.body", "body": b"twothree", "more_body": False})
    else:
        await send({"type": "http.response.body", "body": data or b"hello"})


class WSGIToASGISide:
    """Requests through a `WSGIToASGI`, as an ASGI server makes them."""

    direction = "wsgi_to_asgi"

    def adapter(self, **options: Any) -> WSGIToASGI:
        return WSGIToASGI(wsgi_app, **options)

    def request(self, adapter: Any, path: str, body: bytes = b"") -> tuple[int, list[tuple[str, str]]]:
        async def request() -> Exchange:
            if body:
                return await post(adapter, body)
            return await get(adapter, "/mount" + path, root_path="/mount")

        done = asyncio.run(request())
        return done.status, [(name.decode(), value.decode()) for name, value in done.headers]


class ASGIToWSGISide:
    """Requests through an `ASGIToWSGI`, as a WSGI server makes them."""

    direction = "asgi_to_wsgi"

    def adapter(self, **options: Any) -> ASGIToWSGI:
        return ASGIToWSGI(asgi_app, **options)

    def request(self, adapter: Any, path: str, body: bytes = b"") -> tuple[int, list[tuple[str, str]]]:
        environ = make_environ(path, method="POST" if body else "GET", body=body, SCRIPT_NAME="/mount")
        answer = call(adapter, environ)
        return answer.status, [(name.lower(), value) for name, value in answer.header_list]


SIDES = [WSGIToASGISide(), ASGIToWSGISide()]
Side = WSGIToASGISide | ASGIToWSGISide
both = pytest.mark.parametrize("side", SIDES, ids=lambda side: side.direction)


# ------------------------------------------------------------ observers


@both
def test_an_observer_is_told_of_a_request_and_of_its_end(side: Side) -> None:
    notes = Notes()
    adapter = side.adapter(observers=[notes], name="shop")

    side.request(adapter, "/")

    (began,) = notes.began
    assert (began.app, began.direction, began.method) == ("shop", side.direction, "GET")
    assert (began.path, began.prefix) == ("/mount/", "/mount")
    (ended,) = notes.ended
    assert (ended.outcome, ended.status, ended.received_bytes, ended.sent_bytes) == ("completed", 201, 0, 5)
    assert ended.queue_seconds is not None
    assert ended.app_seconds is not None
    assert 0 < ended.queue_seconds + ended.app_seconds <= ended.seconds


@both
@pytest.mark.parametrize(
    ("path", "body", "received", "sent"),
    [("/", b"x" * 1000, 1000, 1000), ("/stream", b"", 0, 11)],
)
def test_bytes_are_counted(side: Side, path: str, body: bytes, received: int, sent: int) -> None:
    notes = Notes()

    side.request(side.adapter(observers=[notes]), path, body)

    assert (notes.last.received_bytes, notes.last.sent_bytes) == (received, sent)
    assert notes.last.outcome is Outcome.COMPLETED


@both
@pytest.mark.parametrize("path", ["/fail", "/late"])
def test_a_failure_of_the_app_is_seen_and_still_raised(side: Side, path: str) -> None:
    notes = Notes()
    adapter = side.adapter(observers=[notes])

    with pytest.raises(ValueError, match=r"of the app|late"):
        side.request(adapter, path)

    assert notes.last.outcome is Outcome.FAILED
    assert notes.last.status == (None if path == "/fail" else 201)
    assert adapter.stats().outcomes[Outcome.FAILED] == 1


@both
def test_what_the_bridge_refuses_never_reaches_the_app(side: Side) -> None:
    notes = Notes()
    adapter = side.adapter(observers=[notes], limits=Limits(max_body_bytes=10), server_timing=True)

    status, headers = side.request(adapter, "/", b"x" * 11)

    assert status == 413
    assert "server-timing" not in dict(headers)
    assert (notes.last.outcome, notes.last.status, notes.last.queue_seconds) == (Outcome.REFUSED, 413, None)
    assert adapter.stats().outcomes[Outcome.REFUSED] == 1


@both
def test_a_timeout_is_seen(side: Side) -> None:
    notes, release = Notes(), threading.Event()
    adapter: WSGIToASGI | ASGIToWSGI
    if side.direction == "wsgi_to_asgi":

        def hanging(environ: Environ, start_response: StartResponse) -> list[bytes]:
            release.wait(SECONDS)
            return []

        adapter = WSGIToASGI(hanging, observers=[notes], request_timeout=0.01)
    else:

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        adapter = ASGIToWSGI(waiting, lifespan="off", observers=[notes], request_timeout=0.01)

    status, _ = side.request(adapter, "/")
    release.set()

    assert (status, notes.last.outcome) == (504, Outcome.TIMED_OUT)
    assert adapter.stats().outcomes[Outcome.TIMED_OUT] == 1
    adapter.close()


@both
def test_observers_that_raise_are_logged_and_the_request_goes_on(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(began: RequestBegan) -> None:
        raise RuntimeError("at the start")

    def worse(began: RequestBegan) -> Callable[[RequestEnded], object]:
        def end(ended: RequestEnded) -> None:
            raise RuntimeError("at the end")

        return end

    notes = Notes()

    status, _ = side.request(side.adapter(observers=[bad, worse, notes]), "/")

    assert status == 201
    assert len(notes.ended) == 1
    assert [r.name for r in caplog.records if r.levelno == logging.ERROR] == ["bridge.observe"] * 2


seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


async def test_a_wsgi_app_sees_what_an_observer_has_set() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [seen.get().encode()]

    def observer(began: RequestBegan) -> None:
        seen.set("by the observer")

    assert (await get(WSGIToASGI(app, observers=[observer]))).body == b"by the observer"


def test_an_asgi_app_sees_what_an_observer_has_set() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": seen.get().encode()})

    def observer(began: RequestBegan) -> None:
        seen.set("by the observer")

    adapter = ASGIToWSGI(app, lifespan="off", observers=[observer])

    assert contextvars.copy_context().run(lambda: call(adapter)).body == b"by the observer"


@pytest.mark.spec("A-40", "SEC-31")
def test_an_observer_does_not_see_what_the_request_before_on_its_thread_has_set() -> None:
    found: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.set("by the app")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    def observer(began: RequestBegan) -> None:
        found.append(seen.get())

    adapter = ASGIToWSGI(app, lifespan="off", observers=[observer])
    contextvars.copy_context().run(lambda: [call(adapter), call(adapter)])

    assert found == ["nothing", "nothing"]


# ------------------------------------------------------------ clients that leave


async def test_a_client_that_leaves_a_wsgi_stream_is_seen() -> None:
    closed = threading.Event()

    def endless(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.set()

    notes = Notes()
    adapter = WSGIToASGI(endless, observers=[notes])
    exchange = Exchange()
    serving = asyncio.ensure_future(exchange.run(adapter, http_scope()))
    await exchange.sent_count(3)
    assert adapter.stats().in_flight == 1
    assert adapter.stats().busy_threads == 1

    exchange.disconnect()
    await serving

    assert await happened(closed)
    assert notes.last.outcome is Outcome.DISCONNECTED
    assert notes.last.sent_bytes >= 2000
    assert (adapter.stats().disconnected, adapter.stats().in_flight) == (1, 0)


def test_a_client_that_leaves_an_asgi_stream_is_seen() -> None:
    told = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        finally:
            told.set()

    notes = Notes()
    adapter = ASGIToWSGI(endless, lifespan="off", observers=[notes])
    answer = Answer()
    blocks: Any = adapter(make_environ(), answer.start_response)
    assert (next(blocks), next(blocks)) == (b"x" * 1000, b"x" * 1000)
    assert adapter.stats().in_flight == 1

    blocks.close()

    assert told.wait(SECONDS)
    assert notes.last.outcome is Outcome.DISCONNECTED
    assert notes.last.sent_bytes >= 2000
    assert adapter.stats().disconnected == 1
    adapter.close()
    assert adapter.stats().in_flight == 0


async def test_an_answer_that_the_server_does_not_take_is_still_an_end() -> None:
    notes = Notes()
    exchange = Exchange()
    exchange.send_error = OSError("the server has lost its client")

    with pytest.raises(OSError, match="lost its client"):
        await exchange.run(WSGIToASGI(wsgi_app, observers=[notes]), http_scope(method="G(T"))

    assert [ended.outcome for ended in notes.ended] == [Outcome.DISCONNECTED]


# ------------------------------------------------------------ files

FILE = bytes(3 * FILE_BLOCK_BYTES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(FILE)
    return path


def sending_file(path: Path) -> WSGIApp:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    return app


@pytest.mark.parametrize("offered", [(), (PATHSEND,), (ZEROCOPYSEND,)])
async def test_the_bytes_of_a_file_of_a_wsgi_app_are_counted(file: Path, offered: tuple[str, ...]) -> None:
    notes = Notes()
    adapter = WSGIToASGI(sending_file(file), observers=[notes])

    await Exchange().run(adapter, http_scope(extensions={name: {} for name in offered}))

    assert (notes.last.outcome, notes.last.sent_bytes) == (Outcome.COMPLETED, len(FILE))


async def test_of_a_file_that_is_cut_only_what_the_server_took_is_counted(file: Path) -> None:
    notes = Notes()
    exchange = Exchange()

    async def leave_at_the_second_block(message: Message) -> None:
        if len(exchange.sent) == 2:
            raise OSError("the server has lost its client")

    exchange.on_send = leave_at_the_second_block
    with pytest.raises(OSError, match="lost its client"):
        await exchange.run(WSGIToASGI(sending_file(file), observers=[notes]), http_scope())

    assert notes.last.sent_bytes == FILE_BLOCK_BYTES


def test_the_bytes_of_a_file_of_an_asgi_app_are_counted(file: Path) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": PATHSEND, "path": str(file)})

    notes = Notes()
    adapter = ASGIToWSGI(app, lifespan="off", observers=[notes])

    answer = call(adapter, make_environ(wsgi__file_wrapper=FileWrapper))

    assert answer.body == FILE
    assert (notes.last.outcome, notes.last.sent_bytes) == (Outcome.COMPLETED, len(FILE))


# ------------------------------------------------------------ snapshots


@both
def test_a_snapshot_at_rest(side: Side) -> None:
    stats = side.adapter(name="rest").stats()

    assert (stats.app, stats.direction, stats.in_flight, stats.waiting) == ("rest", side.direction, 0, 0)
    assert (stats.busy_threads, stats.idle_threads, stats.websockets, stats.background_tasks) == (0, 0, 0, 0)
    assert set(stats.outcomes.values()) == {0}
    assert stats.measured is None


@both
def test_measuring_counts_requests_bytes_and_durations(side: Side) -> None:
    adapter = side.adapter(measure=True)

    side.request(adapter, "/", b"x" * 100)
    side.request(adapter, "/stream")
    with pytest.raises(ValueError, match="of the app"):
        side.request(adapter, "/fail")

    measured = adapter.stats().measured
    assert measured is not None
    assert (measured.completed, measured.received_bytes, measured.sent_bytes) == (2, 100, 111)
    assert measured.seconds.count == 3


async def test_a_snapshot_of_a_full_pool() -> None:
    both_run, release = threading.Barrier(3), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            both_run.wait(SECONDS)
            release.wait(SECONDS)
        start_response("200 OK", [])
        return [b"ok"]

    adapter = WSGIToASGI(app, threads=2)
    slow = [asyncio.ensure_future(get(adapter, "/slow")) for _ in range(2)]
    await asyncio.to_thread(both_run.wait, SECONDS)
    others = [asyncio.ensure_future(get(adapter)) for _ in range(3)]
    await asyncio.sleep(0)
    full = adapter.stats()
    release.set()
    await asyncio.gather(*slow, *others)

    assert (full.in_flight, full.waiting, full.busy_threads, full.idle_threads) == (5, 3, 2, 0)
    assert (adapter.stats().in_flight, adapter.stats().waiting) == (0, 0)
    assert adapter.stats().crossings >= adapter.stats().wakeups > 0
    await asyncio.to_thread(adapter.close)


async def test_a_request_without_a_place_is_counted() -> None:
    running, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        running.set()
        release.wait(SECONDS)
        start_response("200 OK", [])
        return []

    notes = Notes()
    adapter = WSGIToASGI(app, threads=1, backlog=0, observers=[notes], measure=True)
    served = asyncio.ensure_future(get(adapter))
    assert await happened(running)
    refused = await get(adapter)
    release.set()
    await served
    await asyncio.to_thread(adapter.close)

    assert refused.status == 503
    assert [ended.outcome for ended in notes.ended] == [Outcome.REJECTED, Outcome.COMPLETED]
    stats = adapter.stats()
    assert stats.rejected == 1
    assert stats.measured is not None and stats.measured.completed == 1


def test_background_tasks_are_seen_and_are_not_in_flight() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/release":
            release.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        if scope["path"] == "/":
            await release.wait()

    adapter = ASGIToWSGI(app, lifespan="off")
    call(adapter)
    during = adapter.stats()
    call(adapter, path="/release")
    adapter.close()

    assert (during.background_tasks, during.in_flight) == (1, 0)
    assert adapter.stats().background_tasks == 0


def test_websockets_of_a_wsgi_app_are_seen() -> None:
    with serve("uvicorn-websockets", "tests.support.counted_websockets:wsgi_as_asgi") as server:
        with connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=SECONDS) as ws:
            ws.send("how many?")
            assert ws.recv(SECONDS) == "1 in bridge-ws-shop-1"
        assert _until(lambda: talk(server, head("/")).body == b"0")


def test_websockets_of_an_asgi_app_are_seen() -> None:
    with serve("gunicorn-gthread", "tests.support.counted_websockets:asgi_as_wsgi") as server:
        with connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=SECONDS) as ws:
            ws.send("fail")
            assert ws.recv(SECONDS) == "1"
        assert _until(lambda: talk(server, head("/")).body == b"0")
        wait_for_output(server, "shop failed in a WebSocket (WEBSOCKET /ws, open)")


def _until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)  # there is no event for another process
    return True


def test_all_adapters_of_the_process_are_told_of() -> None:
    adapters = [WSGIToASGI(wsgi_app, name="second"), ASGIToWSGI(asgi_app, name="first")]

    def named() -> list[AdapterStats]:
        return [stats for stats in bridge.stats() if stats.app in ("first", "second")]

    assert [(stats.app, stats.direction) for stats in named()] == [
        ("first", "asgi_to_wsgi"),
        ("second", "wsgi_to_asgi"),
    ]
    del adapters
    assert named() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@both
def test_a_forked_child_counts_from_zero(side: Side) -> None:
    adapter = side.adapter(measure=True)
    with pytest.raises(ValueError, match="of the app"):
        side.request(adapter, "/fail")
    adapter.close()

    child = os.fork()
    if not child:
        stats = adapter.stats()
        measured = stats.measured
        fresh = not any(stats.outcomes.values()) and measured is not None and measured.seconds.count == 0
        os._exit(0 if fresh else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert adapter.stats().outcomes[Outcome.FAILED] == 1


# ------------------------------------------------------------ Server-Timing, names, arguments


@both
@pytest.mark.parametrize("path", ["/", "/stream"])
def test_server_timing_is_added_on_request(side: Side, path: str) -> None:
    _, without = side.request(side.adapter(), path)
    _, headers = side.request(side.adapter(server_timing=True), path)

    assert "server-timing" not in dict(without)
    assert re.fullmatch(
        r"bridge-queue;dur=\d+\.\d\d, bridge-app;dur=\d+\.\d\d", dict(headers)["server-timing"]
    )
    assert dict(headers)["content-type"] == "text/plain"


async def test_the_threads_have_the_name_of_the_adapter() -> None:
    names: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        names.append(threading.current_thread().name)
        start_response("200 OK", [])
        return []

    adapter = WSGIToASGI(app, name="shop")
    await get(adapter)
    await asyncio.to_thread(adapter.close)

    assert names == ["bridge-shop-1"]


@both
def test_an_observer_that_is_no_function_is_refused(side: Side) -> None:
    with pytest.raises(ConfigurationError, match="expected a function of a RequestBegan"):
        side.adapter(observers=["log"])


def test_nothing_is_lost_where_many_threads_count_at_once() -> None:
    """They leave their figures, and one adds up: more are left than it takes at a time."""
    adapter = ASGIToWSGI(asgi_app, measure=True, lifespan="off")
    each, threads = 50, 8

    def requests() -> None:
        for _ in range(each):
            call(adapter)

    running = [threading.Thread(target=requests) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    adapter.close()

    measured = adapter.stats().measured
    assert measured is not None
    assert (measured.completed, measured.seconds.count) == (each * threads, each * threads)
    assert measured.sent_bytes == 5 * each * threads


# ---------------------------------------------------------------- counting while counting


@pytest.mark.spec("SEC-22", "SEC-34")
def test_a_response_that_is_collected_while_its_thread_counts_another_is_no_deadlock() -> None:
    """The cycle collector may run at any step of `count()`, and close what nobody else has closed."""

    class Collecting(dict[Outcome, int]):
        def __setitem__(self, outcome: Outcome, count: int) -> None:
            if outcome is Outcome.FAILED:
                tally.count(Outcome.DISCONNECTED)  # what `Stream.__del__` does
            super().__setitem__(outcome, count)

    tally = Tally()
    tally._counts = Collecting(tally._counts)
    counting = threading.Thread(target=tally.count, args=(Outcome.FAILED,), daemon=True)

    counting.start()
    counting.join(10)

    assert not counting.is_alive()
    assert (tally.read()[Outcome.FAILED], tally.read()[Outcome.DISCONNECTED]) == (1, 1)
