from __future__ import annotations

import sys
import tracemalloc

import pytest

from bridge._protocol.frames import Frames
from bridge._protocol.websocket import Close, fits

LIMIT = 1_000


def pair() -> tuple[Frames, Frames]:
    return Frames(client=True, max_message_bytes=LIMIT), Frames(client=False, max_message_bytes=LIMIT)


def test_messages_cross_in_both_directions() -> None:
    client, server = pair()

    assert server.receive(client.message("\u00e4") + client.message(b"\xff")).messages == ["\u00e4", b"\xff"]
    assert client.receive(server.message("x") + server.message(b"")).messages == ["x", b""]


@pytest.mark.spec("S-13")
def test_a_ping_is_answered_in_either_role() -> None:
    client, server = pair()

    pong = client.receive(server.ping()).reply
    assert pong
    assert server.receive(pong) == ([], b"")


@pytest.mark.spec("S-23")
def test_a_close_is_echoed_once_and_what_follows_is_ignored() -> None:
    client, server = pair()

    received = server.receive(client.close(4000, "bye"))
    assert server.ended == Close(4000, "bye")
    assert client.receive(received.reply).reply == b""
    assert client.ended == Close(4000, "bye")
    assert server.receive(b"anything") == ([], b"")
    assert server.close(1000, "") == b""
    assert not server.failed


@pytest.mark.spec("S-15")
def test_a_close_without_a_code_is_1005() -> None:
    client, server = pair()

    server.receive(client.close(None, ""))

    assert server.ended == Close(1005, "")


@pytest.mark.spec("S-21")
def test_masking_is_demanded_of_clients_and_refused_from_servers() -> None:
    client, server = pair()

    server.receive(Frames(client=False, max_message_bytes=LIMIT).message("x"))
    client.receive(Frames(client=True, max_message_bytes=LIMIT).message("x"))

    assert (server.ended, server.failed) == (Close(1002, server.ended.reason if server.ended else ""), True)
    assert client.failed


@pytest.mark.spec("S-24")
@pytest.mark.parametrize("message", [b"x" * (LIMIT + 1), "x" * (LIMIT + 1), "\u00e4" * (LIMIT // 2 + 1)])
def test_the_limit_counts_bytes(message: str | bytes) -> None:
    client, server = pair()

    assert server.receive(client.message(message)).messages == []
    assert server.ended is not None and server.ended.code == 1009
    assert not fits(message, LIMIT)
    assert fits(message[:-1], LIMIT)


@pytest.mark.spec("S-23")
def test_no_pong_follows_an_own_close() -> None:
    client, server = pair()
    server.close(1000, "")

    assert server.receive(client.ping()).reply == b""


def test_a_missing_wsproto_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge import WSGIToASGI

    def app(environ: object, start_response: object) -> list[bytes]:
        return []

    import bridge._protocol

    monkeypatch.setitem(sys.modules, "wsproto.connection", None)
    monkeypatch.delitem(sys.modules, "bridge._protocol.frames")
    monkeypatch.delattr(bridge._protocol, "frames")
    with pytest.raises(ImportError, match=r'pip install "asgi-wsgi-bridge\[websocket\]"'):
        WSGIToASGI(app, websocket=True)
    WSGIToASGI(app)


@pytest.mark.spec("SEC-28")
def test_fragments_without_end_take_no_memory() -> None:
    """An empty fragment counts nothing against the limit, so it must keep nothing."""
    _, server = pair()
    begin, empty = b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"  # masked, as a client's are
    server.receive(begin + empty * 1_000)

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(20):
        assert server.receive(empty * 1_000) == ([], b"")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert after - before < 20_000
    assert server.receive(b"\x80\x81\0\0\0\0x").messages == ["x"]
