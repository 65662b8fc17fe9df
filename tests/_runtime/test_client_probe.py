from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from bridge._runtime.client_probe import bytes_untaken, bytes_waiting, client_has_left, departure
from bridge.errors import ClientDisconnected

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    server, client = socket.socketpair()
    yield server, client
    server.close()
    client.close()


def test_without_a_word_of_the_server_nobody_is_known_to_have_left() -> None:
    assert not client_has_left({})


@pytest.mark.spec("E-22")
@pytest.mark.parametrize("left", [False, True])
def test_waitress_is_asked(left: bool) -> None:
    assert client_has_left({"waitress.client_disconnected": lambda: left}) is left


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_socket_with_nothing_to_read_has_its_client(key: str, pair: Pair) -> None:
    assert not client_has_left({key: pair[0]})


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_socket_at_its_end_has_lost_its_client(key: str, pair: Pair) -> None:
    pair[1].close()

    assert client_has_left({key: pair[0]})


def test_the_look_takes_no_byte_and_leaves_the_socket_open(pair: Pair) -> None:
    pair[1].sendall(b"next request")

    assert not client_has_left({"gunicorn.socket": pair[0]})
    assert pair[0].recv(100) == b"next request"


@pytest.mark.spec("SEC-20", "A-33")
@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux tells of an end behind data")
@pytest.mark.parametrize("body_read", [False, True])
def test_an_end_is_seen_behind_data_that_is_of_no_request_that_runs(body_read: bool, pair: Pair) -> None:
    """A client could send a second request and leave: an app that waits kept its thread."""
    pair[1].sendall(b"next request")
    assert not client_has_left({"gunicorn.socket": pair[0]}, body_read=body_read)

    pair[1].close()

    assert client_has_left({"gunicorn.socket": pair[0]}, body_read=body_read) is body_read
    assert pair[0].recv(100) == b"next request"


def test_a_closed_socket_has_no_client() -> None:
    closed = socket.socket()
    closed.close()

    assert client_has_left({"gunicorn.socket": closed})


@pytest.mark.parametrize("left", [False, True])
def test_the_connection_that_uwsgi_tells_is_looked_at(
    left: bool, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(connection_fd=pair[0].fileno))
    if left:
        pair[1].close()

    assert client_has_left({"uwsgi.version": b"2.0.30"}) is left


def test_in_a_thread_that_uwsgi_does_not_know_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def connection_fd() -> int:
        raise SystemError("you can call uwsgi api function only from the main callable")

    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(connection_fd=connection_fd))

    assert not client_has_left({"uwsgi.version": b"2.0.30"})


def test_what_waits_in_the_socket_is_counted(pair: Pair) -> None:
    pair[1].sendall(b"x" * 1000)

    assert bytes_waiting({"gunicorn.socket": pair[0]}) == 1000


def test_what_the_other_end_has_not_taken_is_counted(pair: Pair) -> None:
    assert bytes_untaken(pair[0].fileno()) == 0

    pair[0].sendall(b"five!")
    before = bytes_untaken(pair[0].fileno())
    pair[1].recv(5)

    assert before > 0 == bytes_untaken(pair[0].fileno())
    assert bytes_untaken(-1) == 0


def test_nothing_is_known_to_wait_where_no_socket_is_shown_or_it_is_closed() -> None:
    closed = socket.socket()
    closed.close()

    assert bytes_waiting({}) == bytes_waiting({"werkzeug.socket": closed}) == 0


def test_a_departure_is_what_the_server_takes_for_one() -> None:
    from waitress.channel import ClientDisconnected as WaitressClientDisconnected

    assert type(departure({"waitress.client_disconnected": lambda: True})) is WaitressClientDisconnected
    assert type(departure({})) is ClientDisconnected
