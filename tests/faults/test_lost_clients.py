"""Clients that leave: nothing of their requests is left, and the next is served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, BOTH, GUNICORN, WSGI, Site, Start, on, target
from tests.servers.wire import head, narrow, read_reply, recv_until, reset


def _leave_in_mid_stream(site: Site, path: str, key: str, *, rude: bool) -> None:
    with narrow(site.server) as sock:
        sock.sendall(head(target(path, key=key, size=10_000)))
        recv_until(sock, bytes(9_000))
        if rude:
            reset(sock)


@pytest.mark.spec("W-63", "W-52", "AA-12", "SEC-20", "SEC-22")
@on(*ASGI)
def test_thirty_clients_that_leave_in_mid_stream_cost_no_thread(site: Site, key: str) -> None:
    for count in range(30):
        _leave_in_mid_stream(site, "/source", key, rude=bool(count % 2))

    site.check_alive()
    site.board.wait(key, "closed", 30)
    assert site.board.notes(key)["closed"] == 30


@pytest.mark.spec("A-31", "A-32", "A-33", "A-18", "SEC-20", "SEC-22")
@on(*WSGI)
def test_asgi_apps_learn_of_thirty_clients_that_leave(site: Site, key: str) -> None:
    for count in range(30):
        _leave_in_mid_stream(site, "/source", key, rude=bool(count % 2))

    site.check_alive()
    site.board.wait(key, "closed", 30)
    notes = site.board.notes(key)
    assert (notes["send raised"], notes["disconnected"], notes["closed"]) == (30, 30, 30)
    assert "ClientDisconnected" not in site.server.output


@pytest.mark.spec("A-33", "SEC-22")
@on(*WSGI)
def test_generator_of_a_framework_is_closed_for_each_client_that_leaves(site: Site, key: str) -> None:
    for count in range(30):
        _leave_in_mid_stream(site, "/generator", key, rude=bool(count % 2))

    site.check_alive()
    site.board.wait(key, "closed", 30)
    assert site.board.notes(key)["closed"] == 30


@pytest.mark.spec("W-29", "W-63", "A-17", "A-33", "SEC-11", "SEC-20", "SEC-22")
@on(*ASGI, *GUNICORN)
def test_thirty_clients_that_leave_in_mid_upload_cost_no_thread(site: Site, key: str) -> None:
    for count in range(1, 31):
        with site.server.connect() as sock:
            sock.sendall(
                head(target("/sink", key=key), "Content-Length: 100000", method="POST") + bytes(1000)
            )
            site.board.wait(key, "entered", count)
            if count % 2:
                reset(sock)

    site.check_alive()
    site.board.wait(key, "cut: ClientDisconnected" if site.kind in ASGI else "cut: http.disconnect", 30)
    assert "whole" not in site.board.notes(key)


@pytest.mark.spec("W-63", "W-52", "AA-12", "A-33", "SEC-20")
@on(*BOTH)
def test_clients_that_leave_a_slow_app_cost_no_thread(site: Site, key: str) -> None:
    for count in range(30):
        one = f"{key}-{count}"
        with site.server.connect() as sock:
            sock.sendall(head(target("/source", key=one, gate=True, size=10_000)))
            site.board.wait(one, "entered")
            if count % 2:
                reset(sock)
        site.board.note(one, "go")  # the app begins a stream without end, which nobody reads

        site.board.wait(one, "closed")

    site.check_alive()


@pytest.mark.spec("SEC-20")
@pytest.mark.parametrize(
    ("kind", "options", "behind"),
    [
        ("gunicorn", (), False),
        ("gunicorn", (), True),
        ("uwsgi", (), False),
        ("waitress", ("--channel-request-lookahead=1",), False),
    ],
    ids=["gunicorn", "gunicorn, behind another request", "uwsgi", "waitress"],
)
def test_clients_that_leave_idle_streams_cost_no_thread(
    start_site: Start, key: str, kind: str, options: tuple[str, ...], behind: bool
) -> None:
    """The app waits for something that never comes, so no write tells the server of the lost client.

    Nor is it an error in the log: waitress 3.0 prints a traceback for an OSError of ours, and has an error of
    its own for this. uWSGI 2.0 prints whatever ends an iteration.
    """
    with start_site(kind, *options) as site:
        for _ in range(THREADS):
            with site.server.connect() as sock:
                sock.sendall(head(target("/first", key=key)))
                recv_until(sock, b"\n\r\n")
                if behind:
                    sock.sendall(bytes(30_000))  # more than gunicorn reads ahead

        with site.server.connect(timeout=20) as sock:
            sock.sendall(head("/"))
            assert read_reply(sock).body == b"hello"
        assert kind == "uwsgi" or "Traceback" not in site.server.output


@pytest.mark.spec("SEC-22", "AA-17", "A-33")
@on("uvicorn", "gunicorn", "waitress")
def test_aborts_leave_no_file_and_no_thread(site: Site, key: str) -> None:
    with ThreadPoolExecutor(THREADS) as pool:  # so that all the threads there can be are there
        list(pool.map(lambda _: site.get("/meet", key=key), range(THREADS)))
    (worker,) = site.server.workers()
    files, threads = worker.num_fds(), worker.num_threads()

    aborts = 100
    for count in range(aborts):
        _leave_in_mid_stream(site, "/source", key, rude=bool(count % 2))
    site.board.wait(key, "closed", aborts)
    site.check_alive()

    assert worker.num_fds() <= files + THREADS  # a few connections may not be closed yet
    assert worker.num_threads() <= threads + THREADS  # and the board has one for each of its callers
