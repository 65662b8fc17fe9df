"""A FastAPI app with WebSockets under WSGI servers, with real clients: the bridge speaks RFC 6455 itself."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack

import psutil
import pytest
import websocket
import websockets.exceptions
from websockets.sync.client import connect

from bridge._runtime import websocket_takeover
from tests.support.servers import Server, serve, watched_memory
from tests.websocket.asgi_apps import MAX_MESSAGE_BYTES
from tests.websocket.conftest import WSGI_SERVERS, census, until
from tests.websocket.test_wsgi_under_asgi import end_of, no_more, open_socket, vanish
from tests.websocket.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Wire


def get(server: Server, path: str = "/") -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=20) as response:
        body: bytes = response.read()
    return body


def seen(server: Server) -> list[str]:
    found: list[str] = json.loads(get(server, "/events"))
    return found


@pytest.mark.spec("S-11", "S-12")
def test_text_binary_and_fragments_are_echoed_whole(wsgi_server: Server) -> None:
    with open_socket(wsgi_server, "/echo") as ws:
        ws.send("h\u00e4llo \U0001f600")
        assert ws.recv(timeout=20) == "h\u00e4llo \U0001f600"
        ws.send(b"\x00\xff" * 200_000)
        assert ws.recv(timeout=20) == b"\x00\xff" * 200_000
        ws.send(["one ", "two ", "three"])
        assert ws.recv(timeout=20) == "one two three"
        ws.send("")
        assert ws.recv(timeout=20) == ""


def test_the_other_client_library_is_served_too(wsgi_server: Server) -> None:
    ws = websocket.create_connection(f"ws://127.0.0.1:{wsgi_server.port}/echo", timeout=20)
    ws.send("text")
    assert ws.recv() == "text"
    ws.close()


@pytest.mark.spec("S-01", "S-02", "S-08", "S-09", "S-29")
def test_the_scope_and_the_headers_of_accept_are_those_of_asgi(wsgi_server: Server) -> None:
    with open_socket(wsgi_server, "/scope", subprotocols=["a", "b"]) as ws:
        scope = json.loads(ws.recv(timeout=20))
        assert ws.subprotocol == "b"
        assert ws.response is not None
        names = [name.lower() for name, _ in ws.response.headers.raw_items()]
        assert names.index("x-one") < names.index("x-two")
        assert end_of(ws)[0] == 1000

    assert scope == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/scope",
        "root_path": "",
        "subprotocols": ["a", "b"],
        "http_version": "1.1",
        "extensions": {"websocket.http.response": {}},
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "state": {},
    }


def test_an_app_that_is_mounted_sees_its_root_path() -> None:
    with serve("gunicorn-gthread", "tests.websocket.asgi_apps:mounted") as server:
        with open_socket(server, "/api/scope", subprotocols=["a"]) as ws:
            scope = json.loads(ws.recv(timeout=20))
            assert (scope["root_path"], scope["path"]) == ("/api", "/api/scope")
        with open_socket(server, "/api/echo") as ws:
            ws.send("x")
            assert ws.recv(timeout=20) == "x"


@pytest.mark.spec("S-04")
def test_nothing_is_answered_before_the_app_accepts(gthread: Server) -> None:
    with Wire(gthread.port, "/late") as wire:
        wire.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.sock.recv(1)
        wire.sock.settimeout(20)
        assert wire.open().frame().payload == b"accepted"


@pytest.mark.spec("S-05")
def test_a_close_before_accept_is_a_403(wsgi_server: Server) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        open_socket(wsgi_server, "/refuse")

    assert found.value.response.status_code == 403


@pytest.mark.spec("S-07")
def test_a_denial_is_the_response_of_the_app(wsgi_server: Server) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        open_socket(wsgi_server, "/denied")

    response = found.value.response
    assert (response.status_code, response.headers["x-reason"]) == (401, "no session")
    assert bytes(response.body or b"") == b"log in first"


@pytest.mark.spec("S-06")
def test_the_close_code_and_reason_of_the_app_reach_the_client(wsgi_server: Server) -> None:
    with open_socket(wsgi_server, "/close/4001/bye") as ws:
        assert end_of(ws) == (4001, "bye")
    with open_socket(wsgi_server, "/returns") as ws:
        assert end_of(ws)[0] == 1000


@pytest.mark.spec("S-15")
@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(CLOSE, b""), "1005 "),
        (Frame(CLOSE, b"\x0f\xa0bye"), "4000 bye"),
        (None, "1006 "),
    ],
)
def test_the_end_of_the_client_reaches_the_app(gthread: Server, frame: Frame | None, expected: str) -> None:
    before = len(seen(gthread))
    with Wire(gthread.port).open() as wire:
        if frame is not None:
            wire.send(frame)
            assert wire.frame() == Frame(CLOSE, frame.payload, masked=False)

    until(lambda: len(seen(gthread)) > before)
    assert seen(gthread)[before:] == [expected]


@pytest.mark.spec("S-27")
def test_an_app_that_raises_gives_500_before_and_1011_after_accept(wsgi_server: Server) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        open_socket(wsgi_server, "/fails")
    assert found.value.response.status_code == 500
    with open_socket(wsgi_server, "/raises") as ws:
        assert ws.recv(timeout=20) == "about to fail"
        assert end_of(ws)[0] == 1011


@pytest.mark.spec("S-25")
def test_sending_to_a_client_that_has_gone_raises(gthread: Server) -> None:
    before = len(seen(gthread))
    ws = websocket.create_connection(f"ws://127.0.0.1:{gthread.port}/sends-on", timeout=20)
    assert ws.recv() == "tick"
    vanish(ws)

    until(lambda: "send raised ClientDisconnected" in seen(gthread)[before:])


@pytest.mark.spec("S-32", "S-03")
def test_frames_that_came_with_the_handshake_are_delivered(wsgi_server: Server) -> None:
    early = Frame(TEXT, b"early").to_bytes() + Frame(PING, b"x").to_bytes()
    with Wire(wsgi_server.port, early=early).open() as wire:
        frames = {(wire.frame()[:2]) for _ in range(2)}
        assert frames == {(TEXT, b"early"), (PONG, b"x")}
        wire.send(Frame(BINARY, b"later"))
        assert wire.frame().payload == b"later"


@pytest.mark.spec("S-32")
def test_the_server_writes_nothing_into_the_connection_and_leaves_it_open(wsgi_server: Server) -> None:
    with Wire(wsgi_server.port).open() as wire:
        for _ in range(5):
            assert get(wsgi_server) == b'"hello"'  # what the server does with its threads meanwhile
        wire.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.sock.recv(1)
        wire.sock.settimeout(20)
        wire.send(Frame(TEXT, b"still there"))
        assert wire.frame().payload == b"still there"


# ---------------------------------------------------------------- resources and faults


def test_a_thousand_idle_websockets_hold_no_thread_of_gunicorn() -> None:
    """One worker with 4 threads; HTTP goes on, and every socket still answers."""
    with serve("gunicorn-gthread", "tests.websocket.asgi_apps:app") as server, ExitStack() as stack:
        before = census(server)
        wires = [stack.enter_context(Wire(server.port).open()) for _ in range(1_000)]
        with_all = census(server)
        assert with_all["sockets"] == 1_000
        assert with_all["threads"] <= before["threads"] + 4
        for _ in range(50):
            assert get(server) == b'"hello"'
        for wire in wires:
            wire.send(Frame(TEXT, b"x"))
        assert all(wire.frame().payload == b"x" for wire in wires)
        stack.close()

        until(lambda: census(server)["sockets"] == 0)
        until(lambda: census(server)["fds"] <= before["fds"] + 2)
        until(lambda: census(server)["tasks"] <= before["tasks"] + 1)


def test_one_more_than_max_websockets_gets_503() -> None:
    with serve("gunicorn-gthread", "tests.websocket.asgi_apps:two") as server, ExitStack() as stack:
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


@pytest.mark.timeout(150)
def test_a_client_that_vanishes_leaves_nothing_behind(wsgi_server: Server) -> None:
    # An app of another test that does not read is found to have no client by the next ping.
    until(lambda: census(wsgi_server)["sockets"] == 0, seconds=50)

    def vanish_in_turn(count: int) -> None:
        for _ in range(count):
            with Wire(wsgi_server.port).open() as wire:
                wire.send(Frame(TEXT, b"x"))
                assert wire.frame().payload == b"x"
        until(lambda: census(wsgi_server)["sockets"] == 0)

    vanish_in_turn(5)  # the server has its threads then
    before = census(wsgi_server)
    vanish_in_turn(20)

    until(lambda: no_more(census(wsgi_server), before))


@pytest.mark.timeout(150)
def test_apps_that_fail_return_and_deny_leave_nothing_behind(wsgi_server: Server) -> None:
    until(lambda: census(wsgi_server)["sockets"] == 0, seconds=50)

    def some() -> None:
        for path in ("/returns", "/raises", "/close/4001/bye"):
            with open_socket(wsgi_server, path) as ws:
                end_of(ws)
        for path in ("/denied", "/fails", "/refuse"):
            with pytest.raises(websockets.exceptions.InvalidStatus):
                open_socket(wsgi_server, path)
        until(lambda: census(wsgi_server)["sockets"] == 0)

    some()
    before = census(wsgi_server)
    for _ in range(3):
        some()

    until(lambda: no_more(census(wsgi_server), before))


def test_a_half_open_connection_is_found_by_its_silence() -> None:
    """A client whose machine has gone sends no FIN: this one answers no ping, and keeps its socket open."""
    with (
        serve("gunicorn-gthread", "tests.websocket.asgi_apps:impatient") as server,
        Wire(server.port).open() as wire,
    ):
        assert wire.frame().opcode == PING
        until(lambda: "1006 " in seen(server))


def test_a_client_that_answers_pings_is_kept() -> None:
    with (
        serve("gunicorn-gthread", "tests.websocket.asgi_apps:impatient") as server,
        Wire(server.port).open() as wire,
    ):
        for _ in range(5):
            ping = wire.frame()
            assert ping.opcode == PING
            wire.send(Frame(PONG, ping.payload))
        wire.send(Frame(TEXT, b"here"))
        frames = [wire.frame() for _ in range(2)]
        assert b"here" in [frame.payload for frame in frames]


def test_a_burst_of_ten_thousand_messages_comes_through_in_order(gthread: Server) -> None:
    with open_socket(gthread, "/echo", max_queue=None) as ws:

        def send_all() -> None:
            for number in range(10_000):
                ws.send(str(number))

        sender = threading.Thread(target=send_all)
        sender.start()
        assert [ws.recv(timeout=30) for _ in range(10_000)] == [str(n) for n in range(10_000)]
        sender.join()


@pytest.mark.spec("S-28")
def test_a_slow_reader_holds_the_app_back(gthread: Server) -> None:
    with watched_memory(gthread) as memory, Wire(gthread.port, "/flood").open() as wire:
        time.sleep(1.0)  # the app would have sent 400 MB by now
        assert wire.frame().payload == b"x" * 1_000_000
    assert memory.growth < 60_000_000


@pytest.mark.spec("S-28")
@pytest.mark.parametrize(
    "block", [Frame(BINARY, b"x" * 1_000_000), Frame(BINARY, b"")], ids=["large", "empty"]
)
def test_an_app_that_does_not_read_holds_the_client_back(gthread: Server, block: Frame) -> None:
    data = block.to_bytes()
    data *= max(1, 1_000_000 // len(data))
    with watched_memory(gthread) as memory, Wire(gthread.port, "/deaf").open() as wire:
        wire.sock.settimeout(1.0)

        def send_all() -> None:
            for _ in range(400):
                wire.sock.sendall(data)

        with pytest.raises(TimeoutError):
            send_all()
    assert memory.growth < 60_000_000


@pytest.mark.spec("S-28")
def test_a_flood_of_pings_does_not_pile_up_pongs(gthread: Server) -> None:
    data = Frame(PING, b"x" * 125).to_bytes() * 10_000
    with watched_memory(gthread) as memory, Wire(gthread.port).open() as wire:
        wire.sock.settimeout(1.0)

        def send_all() -> None:
            for _ in range(200):
                wire.sock.sendall(data)

        with pytest.raises(TimeoutError):
            send_all()
    assert memory.growth < 60_000_000


@pytest.mark.spec("S-24", "SEC-28")
@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 64 * 1024 * 1024])
def test_a_message_over_the_limit_ends_with_1009(gthread: Server, size: int) -> None:
    with watched_memory(gthread) as memory, open_socket(gthread, "/echo", compression=None) as ws:
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            ws.send(b"x" * size)
        assert end_of(ws)[0] == 1009
    assert memory.growth < 60_000_000


@pytest.mark.parametrize("kind", WSGI_SERVERS)
def test_sigterm_with_open_websockets_closes_them_with_1001(kind: str) -> None:
    with serve(kind, "tests.websocket.asgi_apps:app") as server, ExitStack() as stack:
        sockets = [stack.enter_context(open_socket(server, "/echo")) for _ in range(5)]
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)

        assert {end_of(ws)[0] for ws in sockets} == {1001}
        server.process.wait(30)
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert alive == []


# ---------------------------------------------------------------- refusals


@pytest.mark.spec("S-31")
@pytest.mark.parametrize("kind", ["waitress", "uwsgi", "granian-wsgi"])
def test_a_server_without_a_socket_answers_501(kind: str) -> None:
    with serve(kind, "tests.websocket.asgi_apps:app") as server:
        for path in ("/echo", "/"):
            with Wire(server.port, path) as wire:
                assert wire.head().startswith(b"HTTP/1.1 501 ")
            assert get(server) == b'"hello"'


@pytest.mark.spec("SEC-29")
def test_another_upgrade_is_ignored(wsgi_server: Server) -> None:
    with Wire(
        wsgi_server.port,
        "/",
        Upgrade="h2c",
        Connection="Upgrade, HTTP2-Settings",
        Sec_WebSocket_Key=None,
        Sec_WebSocket_Version=None,
    ) as wire:
        assert wire.head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.spec("S-34")
def test_only_allowed_origins_may_connect_where_there_is_a_list() -> None:
    with serve("gunicorn-gthread", "tests.websocket.asgi_apps:two") as server:
        with Wire(server.port, Origin="https://Good.example") as wire:
            wire.open()
        with Wire(server.port, Origin="https://evil.example") as wire:
            assert wire.head().startswith(b"HTTP/1.1 403 ")


def test_a_client_that_leaves_before_it_is_accepted_frees_the_thread(gthread: Server) -> None:
    for _ in range(8):  # twice as many as there are threads
        Wire(gthread.port, "/late").sock.close()
    assert get(gthread) == b'"hello"'


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    subprocess.run(
        [
            *(
                openssl,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.mark.spec("S-01", "S-32", "T-01", "T-02")
@pytest.mark.parametrize("kind", ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent"])
def test_under_tls_a_thread_of_the_server_carries_the_bytes(kind: str, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(cafile=cert)
    options = ["--certfile", cert, "--keyfile", key]
    with serve(kind, "tests.websocket.asgi_apps:app", *options) as server:
        url = f"wss://127.0.0.1:{server.port}"
        with open_socket(server, "/scope", scheme="wss", ssl=context, subprotocols=["a"]) as ws:
            scope = json.loads(ws.recv(timeout=20))
            assert scope["scheme"] == "wss"
            # gunicorn 27 sets no SSL_* variable
            unknown = {"server_cert": None, "tls_version": None, "cipher_suite": None}
            assert scope["extensions"] == {"websocket.http.response": {}, "tls": unknown}
            assert end_of(ws)[0] == 1000
        with connect(f"{url}/echo", ssl=context) as ws:
            ws.send(b"\x00\xff" * 400_000)
            assert ws.recv(timeout=20) == b"\x00\xff" * 400_000
            ws.send("x")
            assert ws.recv(timeout=20) == "x"
            ws.close(4000, "bye")
        for _ in range(6):  # more than there are threads: each is given back
            with connect(f"{url}/close/4001/bye", ssl=context) as ws:
                assert end_of(ws) == (4001, "bye")
        other = websocket.create_connection(f"{url}/echo", timeout=20, sslopt={"ca_certs": cert})
        vanish(other)
        with urllib.request.urlopen(
            f"https://127.0.0.1:{server.port}/census", context=context, timeout=20
        ) as page:
            assert json.load(page)["pid"]
        # gevent prints a traceback for the connection by which the test waited for the port: it has no TLS.
        assert "bridge/" not in server.output


@pytest.mark.spec("SEC-20")
def test_under_tls_a_client_that_reads_nothing_keeps_no_thread(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge's end is closed, as after a ping without an answer, while the client takes nothing."""
    monkeypatch.setattr(websocket_takeover, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(websocket_takeover, "_LAST_SECONDS", 0.1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    client, accepted = socket.socketpair()
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with context.wrap_socket(accepted, server_side=True) as secure:
            websocket_takeover.Relay(secure, theirs).run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with ssl.create_default_context(cafile=certificate[0]).wrap_socket(
        client, server_hostname="127.0.0.1"
    ) as reader:
        with ours:
            ours.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while True:
                    ours.sendall(bytes(65536))
        thread.join(20)

        assert not thread.is_alive()
        assert reader.recv(1) == b"\0"
