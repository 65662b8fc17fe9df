"""flask-sock, Flask-SocketIO and simple-websocket, unchanged, under every ASGI server, with real clients."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
import websocket
import websockets.exceptions
from websockets.sync.client import ClientConnection, connect

from tests.support.servers import Server, serve, watched_memory
from tests.websocket.conftest import ASGI_SERVERS, census, until
from tests.websocket.wire import PING, Wire
from tests.websocket.wsgi_apps import MAX_MESSAGE_BYTES


def open_socket(server: Server, path: str, scheme: str = "ws", **options: Any) -> ClientConnection:
    ws: ClientConnection = connect(
        f"{scheme}://127.0.0.1:{server.port}{path}", open_timeout=20, close_timeout=20, **options
    )
    return ws


def vanish(ws: websocket.WebSocket) -> None:
    """Close the socket without a close frame."""
    assert ws.sock is not None
    ws.sock.close()


def is_daphne(server: Server) -> bool:
    return "daphne" in str(server.process.args)


def end_of(ws: ClientConnection) -> tuple[int | None, str | None]:
    """Read to the end and give the close code and reason that came."""
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        while True:
            ws.recv(timeout=20)
    return ws.close_code, ws.close_reason


@pytest.mark.spec("S-11", "S-12", "E-20")
def test_text_binary_and_fragments_are_echoed_whole(asgi_server: Server) -> None:
    with open_socket(asgi_server, "/echo") as ws:
        ws.send("h\u00e4llo \U0001f600")
        assert ws.recv(timeout=20) == "h\u00e4llo \U0001f600"
        ws.send(b"\x00\xff" * 200_000)
        assert ws.recv(timeout=20) == b"\x00\xff" * 200_000
        ws.send(["one ", "two ", "three"])
        assert ws.recv(timeout=20) == "one two three"
        if not is_daphne(asgi_server):  # 4.2 does not send an empty message
            ws.send("")
            assert ws.recv(timeout=20) == ""


@pytest.mark.spec("S-13")
def test_a_ping_is_answered_while_the_app_waits(asgi_server: Server) -> None:
    with open_socket(asgi_server, "/echo") as ws:
        assert ws.ping("x").wait(20)


def test_the_other_client_library_is_served_too(asgi_server: Server) -> None:
    ws = websocket.create_connection(f"ws://127.0.0.1:{asgi_server.port}/echo", timeout=20)
    ws.send("text")
    assert ws.recv() == "text"
    ws.send_binary(b"binary")
    assert ws.recv() == b"binary"
    ws.close()


@pytest.mark.spec("S-02", "S-09")
def test_the_app_chooses_among_the_subprotocols_offered(asgi_server: Server) -> None:
    with open_socket(asgi_server, "/subprotocol", subprotocols=["soap", "chat.v1", "chat.v2"]) as ws:
        assert ws.subprotocol == ws.recv(timeout=20) == "chat.v1"
    with open_socket(asgi_server, "/subprotocol") as ws:
        assert ws.subprotocol is None
        assert ws.recv(timeout=20) == "None"


@pytest.mark.spec("S-06")
def test_the_close_code_and_reason_of_the_app_reach_the_client(asgi_server: Server) -> None:
    with open_socket(asgi_server, "/close/4001/bye") as ws:
        code, reason = end_of(ws)

    assert code == 4001
    if not is_daphne(asgi_server):  # 4.2 drops the reason
        assert reason == "bye"


@pytest.mark.spec("S-15")
def test_the_close_code_and_reason_of_the_client_reach_the_app(uvicorn: Server) -> None:
    with open_socket(uvicorn, "/last-close") as ws:
        ws.recv(timeout=20)
        ws.close(4002, "see you")

    def told() -> str:
        with urllib.request.urlopen(f"{uvicorn.url}/last-close-seen", timeout=20) as response:
            text: str = response.read().decode()
        return text

    until(lambda: told() == "4002 see you")


@pytest.mark.spec("S-27")
def test_an_app_that_returns_ends_the_connection_in_order(asgi_server: Server) -> None:
    with open_socket(asgi_server, "/returns") as ws:
        assert ws.recv(timeout=20) == "bye"
        assert end_of(ws)[0] == 1000
    with open_socket(asgi_server, "/plain") as ws:
        assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in str(ws.recv(timeout=20))
        ws.send("x")
        assert ws.recv(timeout=20) == "x"
        assert end_of(ws)[0] == 1000


@pytest.mark.spec("S-27")
@pytest.mark.parametrize(("path", "code"), [("/brief", 1000), ("/brief?raise", 1011)])
def test_an_app_that_is_over_at_once_ends_as_any_other(uvicorn: Server, path: str, code: int) -> None:
    codes = set()
    for _ in range(40):  # the handshake and the end may be seen in either order
        with open_socket(uvicorn, path) as ws:
            codes.add(end_of(ws)[0])

    assert codes == {code}


@pytest.mark.parametrize("path", ["/raises", "/generator"])
@pytest.mark.spec("S-27")
def test_an_app_that_raises_after_accept_ends_with_1011(asgi_server: Server, path: str) -> None:
    with open_socket(asgi_server, path) as ws:
        if path == "/generator":  # the other one may be over by now
            ws.send("x")
        assert ws.recv(timeout=20)
        assert end_of(ws)[0] == 1011


@pytest.mark.parametrize(("path", "status"), [("/denied", 401), ("/fails", 500), ("/nowhere", 404)])
@pytest.mark.spec("S-07")
def test_a_denial_reaches_the_client_as_a_response(asgi_server: Server, path: str, status: int) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        open_socket(asgi_server, path)

    response = found.value.response
    if is_daphne(asgi_server):  # 4.2 does not offer a denial response
        assert response.status_code == 403
        return
    assert response.status_code == status
    if path == "/denied":
        assert response.headers["x-reason"] == "no session"
        assert bytes(response.body or b"") == b"log in first"


def test_socketio_in_threading_mode_upgrades_to_a_websocket(asgi_server: Server) -> None:
    url = f"ws://127.0.0.1:{asgi_server.port}/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(url, timeout=20)
    assert str(ws.recv()).startswith("0{")  # the handshake of Engine.IO
    ws.send("40")
    assert str(ws.recv()).startswith("40{")
    ws.send('42["message","hi"]')
    assert ws.recv() == '42["message","echo hi"]'
    ws.close()


# ---------------------------------------------------------------- resources and faults


@pytest.mark.spec("E-20")
def test_a_hundred_open_websockets_leave_the_threads_of_http_alone(uvicorn: Server) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_socket(uvicorn, "/echo")) for _ in range(100)]
        for _ in range(20):
            with urllib.request.urlopen(uvicorn.url, timeout=20) as response:
                assert response.read() == b"hello"
        for number, ws in enumerate(sockets):
            ws.send(str(number))
        assert [ws.recv(timeout=20) for ws in sockets] == [str(number) for number in range(100)]
        for ws in sockets:
            ws.close()
    until(lambda: census(uvicorn)["readers"] == 0)


def test_one_more_than_max_websockets_gets_503() -> None:
    with serve("uvicorn-websockets", "tests.websocket.wsgi_apps:two") as server, ExitStack() as stack:
        first, _ = [stack.enter_context(open_socket(server, "/echo")) for _ in range(2)]
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            open_socket(server, "/echo")
        assert found.value.response.status_code == 503

        first.close()

        def place() -> bool:
            try:
                with open_socket(server, "/echo"):
                    return True
            except websockets.exceptions.InvalidStatus:
                return False

        until(place)


def test_a_thread_that_does_not_end_counts_so_that_nobody_waits_for_it() -> None:
    with serve("uvicorn-websockets", "tests.websocket.wsgi_apps:two") as server:
        for _ in range(2):
            with open_socket(server, "/stubborn") as ws:
                ws.recv(timeout=20)
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            open_socket(server, "/echo")
        assert found.value.response.status_code == 503


def test_an_asgi_app_inside_the_wsgi_app_has_its_websockets_too() -> None:
    """Two bridges: the inner one takes the socket pair of the outer one over."""
    with serve("uvicorn-websockets", "tests.websocket.wsgi_apps:nested") as server:
        for _ in range(5):
            with open_socket(server, "/api/echo") as ws:
                ws.send("through two bridges")
                assert ws.recv(timeout=20) == "through two bridges"
                ws.send(b"x" * 300_000)
                assert ws.recv(timeout=20) == b"x" * 300_000
        with open_socket(server, "/api/close/4001/bye") as ws:
            assert end_of(ws) == (4001, "bye")
        with open_socket(server, "/echo") as ws:
            ws.send("x")
            assert ws.recv(timeout=20) == "x"
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            open_socket(server, "/api/denied")
        assert found.value.response.status_code == 401
        assert "Traceback" not in server.output


def ten_vanish(server: Server) -> None:
    sockets = []
    for _ in range(10):
        ws = websocket.create_connection(f"ws://127.0.0.1:{server.port}/echo", timeout=20)
        ws.send("x")
        ws.recv()
        sockets.append(ws)
    for ws in sockets:
        vanish(ws)


def apps_fail_return_and_deny(server: Server) -> None:
    for path in ("/returns", "/raises", "/brief", "/brief?raise", "/close/4001/bye"):
        with open_socket(server, path) as ws:
            end_of(ws)
    for path in ("/denied", "/fails", "/nowhere"):
        with pytest.raises(websockets.exceptions.InvalidStatus):
            open_socket(server, path)


@pytest.mark.parametrize(("end_some", "times"), [(ten_vanish, 2), (apps_fail_return_and_deny, 3)])
def test_websockets_leave_nothing_behind_however_they_end(
    asgi_server: Server, end_some: Callable[[Server], None], times: int
) -> None:
    """Counted after the first round: the threads that the pool has started by then wait for the next ones."""

    def end_some_and_wait() -> None:
        end_some(asgi_server)
        until(lambda: idle(census(asgi_server)))

    end_some_and_wait()
    before = census(asgi_server)
    for _ in range(times):
        end_some_and_wait()

    until(lambda: no_more(census(asgi_server), before))


def idle(found: dict[str, Any]) -> bool:
    return bool(found["readers"] == found["sockets"] == 0)


def no_more(found: dict[str, Any], before: dict[str, Any]) -> bool:
    return all(found[what] <= before[what] + 2 for what in ("fds", "os_threads", "tasks"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("uvicorn-wsproto", ["--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.2"]),
        ("daphne", ["--ping-interval", "1", "--ping-timeout", "1"]),
    ],
)
def test_a_half_open_connection_is_found_by_the_pings_of_the_server(kind: str, options: list[str]) -> None:
    """A client whose machine has gone sends no FIN: this one answers no ping, and keeps its socket open."""
    with (
        serve(kind, "tests.websocket.wsgi_apps:app", *options) as server,
        Wire(server.port).open() as wire,
    ):
        until(lambda: census(server)["readers"] == 1)
        assert wire.frame().opcode == PING
        until(lambda: census(server)["readers"] == 0)


def test_a_burst_of_ten_thousand_messages_comes_through_in_order(uvicorn: Server) -> None:
    with open_socket(uvicorn, "/echo", max_queue=None) as ws:

        def send_all() -> None:
            for number in range(10_000):
                ws.send(str(number))

        sender = threading.Thread(target=send_all)
        sender.start()
        assert [ws.recv(timeout=30) for _ in range(10_000)] == [str(n) for n in range(10_000)]
        sender.join()


@pytest.mark.spec("S-28")
def test_a_slow_reader_holds_the_app_back(uvicorn: Server) -> None:
    with watched_memory(uvicorn) as memory, open_socket(uvicorn, "/flood/400/1000000", max_queue=1) as ws:
        ws.recv(timeout=20)
        before = census(uvicorn)["rss"]
        assert all(len(ws.recv(timeout=30)) == 1_000_000 for _ in range(399))
        assert before
    assert memory.growth < 100_000_000  # of 400 MB


@pytest.mark.spec("S-28")
def test_an_app_that_does_not_read_holds_the_client_back(uvicorn: Server) -> None:
    block = b"x" * 1_000_000
    with watched_memory(uvicorn) as memory:
        ws = websocket.create_connection(f"ws://127.0.0.1:{uvicorn.port}/deaf", timeout=1)

        def send_all() -> None:
            for _ in range(400):
                ws.send_binary(block)

        with pytest.raises((websocket.WebSocketTimeoutException, BlockingIOError)):
            send_all()
        vanish(ws)
    assert memory.growth < 100_000_000  # of 400 MB


@pytest.mark.spec("S-24", "SEC-28")
@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 64 * 1024 * 1024])
def test_a_message_over_the_limit_ends_with_1009(uvicorn: Server, size: int) -> None:
    with open_socket(uvicorn, "/echo") as ws:
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            ws.send(b"x" * size)
        assert end_of(ws)[0] == 1009


@pytest.mark.parametrize("kind", ASGI_SERVERS)
def test_sigterm_with_open_websockets_ends_the_server(kind: str) -> None:
    if kind == "hypercorn" and sys.version_info >= (3, 12):
        # It awaits Server.wait_closed() before its grace, and that waits for all connections since 3.12.1: an
        # open WebSocket of an app of its own kind keeps it as well.
        pytest.skip("hypercorn 0.18 does not end on CPython 3.12 while a WebSocket is open")
    with serve(kind, "tests.websocket.wsgi_apps:app") as server, ExitStack() as stack:
        sockets = [stack.enter_context(open_socket(server, "/echo")) for _ in range(5)]
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)

        # hypercorn 0.18 tells nobody: it cancels the task after its grace, and then sends 1011 by itself.
        # daphne 4.2 and granian 2.8 cut the connections, also those of apps of their own kind.
        expected = {"hypercorn": {1011}, "daphne": {1006}, "granian": {1006}}.get(kind, {1001, 1012})
        assert {end_of(ws)[0] for ws in sockets} <= expected
        server.process.wait(30)
        gone, alive = psutil.wait_procs(workers, timeout=20)
        assert alive == [] and gone is not None


# ---------------------------------------------------------------- refusals


@pytest.mark.spec("S-30", "AA-03")
def test_without_the_option_the_app_is_not_called() -> None:
    with serve("uvicorn-websockets", "tests.websocket.wsgi_apps:without") as server:
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            open_socket(server, "/echo")
        assert found.value.response.status_code == 403
        assert "Traceback" not in server.output


@pytest.mark.spec("S-34")
def test_only_allowed_origins_may_connect_where_there_is_a_list() -> None:
    with serve("uvicorn-websockets", "tests.websocket.wsgi_apps:two") as server:
        with open_socket(server, "/echo", origin="https://Good.example") as ws:
            ws.send("x")
            assert ws.recv(timeout=20) == "x"
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            open_socket(server, "/echo", origin="https://evil.example")
        assert found.value.response.status_code == 403
