"""Apps that fail or misbehave, and clients that leave: an error for one request, and the next is served."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, BOTH, GUNICORN, WSGI, Site, Start, on, target
from tests.servers.wire import Reply, head, narrow, read_reply, recv_until, reset
from tests.support.servers import wait_for_output

ORDINARY = ("ValueError", "ConnectionResetError", "RecursionError", "MemoryError")
FATAL = (
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "StopIteration",
    "StopAsyncIteration",
    "CancelledError",
)

# ---------------------------------------------------------------- exceptions


@pytest.mark.spec("W-60", "A-34", "A-41", "SEC-26", "SEC-34")
@on(*BOTH)
@pytest.mark.parametrize("kind", [*ORDINARY, *FATAL])
def test_exception_before_the_first_byte_is_500_and_logged(site: Site, key: str, kind: str) -> None:
    reply = site.get("/fault", key=key, kind=kind)

    assert (reply.status, reply.whole) == (500, True)
    assert key.encode() not in reply.body and b"Traceback" not in reply.body
    wait_for_output(site.server, kind, f"on purpose {key}", "in fail_on_purpose")
    site.check_alive()


@pytest.mark.spec("W-60", "A-34", "A-41", "H-26", "SEC-11", "SEC-34")
@on(*BOTH)
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_exception_after_the_first_block_cuts_the_answer(
    site: Site, key: str, kind: str, length: bool
) -> None:
    reply = site.get("/source", key=key, kind=kind, blocks=3, size=2000, at=2, length=length)

    assert not reply.whole
    wait_for_output(site.server, kind, f"on purpose {key}", "in fail_on_purpose")
    site.check_alive()


@pytest.mark.spec("H-26", "SEC-11")
@on(*BOTH)
def test_client_library_reports_a_cut_answer(site: Site, key: str) -> None:
    url = site.server.url + target("/source", key=key, kind="ValueError", blocks=3, size=2000, at=2)

    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|peer closed|without sending"):
        httpx.get(url)


@pytest.mark.spec("W-57", "H-26", "SEC-11")
@on(*BOTH)
def test_body_shorter_than_declared_never_looks_whole(site: Site, key: str) -> None:
    reply = site.get("/fault", key=key, kind="short")

    assert not reply.whole or reply.status == 500
    wait_for_output(site.server, "9 of 100 bytes")


@pytest.mark.spec("H-26", "SEC-11", "W-60", "A-34", "SEC-22")
@on(*BOTH)
def test_storm_of_failures_has_no_truncated_answer_that_looks_whole(site: Site, key: str) -> None:
    rng = random.Random(400)
    tries = [_storm_case(rng) for _ in range(400)]

    with ThreadPoolExecutor(THREADS) as pool:
        replies = list(pool.map(lambda case: site.get("/source", key=key, **case), tries))

    wrong = [
        (case, reply.status, len(reply.body))
        for case, reply in zip(tries, replies, strict=True)
        if not _honest(case, reply)
    ]
    assert wrong == []
    assert sum(reply.whole and reply.status == 200 for reply in replies) > 50  # the good ones among them
    assert sum(not reply.whole for reply in replies) > 50


def _storm_case(rng: random.Random) -> dict[str, int | str]:
    blocks = rng.randint(1, 6)
    return {
        "kind": rng.choice(["ValueError", "ConnectionResetError", "SystemExit", "RecursionError"]),
        "blocks": blocks,
        "size": rng.choice([1, 100, 10_000, 100_000]),
        "length": rng.randint(0, 1),
        "at": rng.randint(-1, blocks),  # before any of them, after the last, or not at all
    }


def _honest(case: dict[str, int | str], reply: Reply) -> bool:
    """Tell whether an answer is what the app sent, or an error that can be seen."""
    if reply.status != 200 or not reply.whole:
        return case["at"] != -1
    assert isinstance(case["blocks"], int) and isinstance(case["size"], int)
    everything = len(reply.body) == case["blocks"] * case["size"]
    # What fails after the last byte of a declared length has sent all there is.
    return everything and (case["at"] == -1 or (case["at"] == case["blocks"] and bool(case["length"])))


# ---------------------------------------------------------------- misbehaviour

WSGI_FAULTS = {
    "none": "returned NoneType",
    "str": "returned str",
    "number": "returned int",
    "text block": "block of type str",
    "no start": "start",
    "no answer": "without starting a response",
    "start twice": "started twice",
    "injection": "control character",
    "status injection": "start_response got the status",
}

ASGI_FAULTS = {
    "none": "without a response",
    "str": "without a response",
    "start only": "without a response",
    "start twice": "started twice",
    "body first": "before it started the response",
    "bogus": "http.bogus",
    "no status": "status of type NoneType",
    "text block": "body of type str",
    "injection": "control character",
}


@pytest.mark.spec("W-34", "W-40", "W-41", "W-42", "W-49", "W-59", "SEC-01", "SEC-02", "SEC-26")
@on(*ASGI)
@pytest.mark.parametrize(("kind", "logged"), WSGI_FAULTS.items(), ids=WSGI_FAULTS)
def test_misbehaving_wsgi_app_is_500_and_named_in_the_log(
    site: Site, key: str, kind: str, logged: str
) -> None:
    reply = site.get("/fault", key=key, kind=kind)

    assert (reply.status, reply.whole) == (500, True)
    assert "set-cookie" not in reply.headers and logged.encode() not in reply.body
    wait_for_output(site.server, "bridge.errors.App", logged)
    site.check_alive()


@pytest.mark.spec("A-21", "A-24", "A-26", "A-35", "SEC-01", "SEC-26", "WA-04")
@on(*WSGI)
@pytest.mark.parametrize(("kind", "logged"), ASGI_FAULTS.items(), ids=ASGI_FAULTS)
def test_misbehaving_asgi_app_is_500_and_named_in_the_log(
    site: Site, key: str, kind: str, logged: str
) -> None:
    reply = site.get("/fault", key=key, kind=kind)

    assert (reply.status, reply.whole) == (500, True)
    assert "set-cookie" not in reply.headers and logged.encode() not in reply.body
    wait_for_output(site.server, "bridge.errors.App", logged)
    site.check_alive()


@pytest.mark.spec("A-25")
@on(*WSGI)
def test_second_answer_is_ignored(site: Site, key: str) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/fault", key=key, kind="answer twice"), "Connection: close"))

        received = b"".join(iter(lambda: sock.recv(65536), b""))

    assert received.count(b"HTTP/1.") == 1 and received.endswith(b"first")


@pytest.mark.spec("SEC-20", "WA-14")
@on(*(kind for kind in BOTH if kind != "gunicorn-sync"))
def test_client_that_gives_up_on_a_hanging_app_leaves_the_others_alone(site: Site, key: str) -> None:
    try:
        for count in range(1, THREADS):
            with site.server.connect() as sock:
                sock.sendall(head(target("/fault", key=key, kind="hang")))
                site.board.wait(key, "entered", count)

            site.check_alive()
    finally:
        site.board.note(key, "go")


def test_worker_of_a_hanging_app_is_replaced_where_the_server_has_a_timeout(
    start_site: Start, key: str
) -> None:
    with start_site("gunicorn-sync", "--timeout", "1") as site:
        reply = site.get("/fault", key=key, kind="hang")

        assert reply.status in (0, 500)
        site.check_alive()


# ---------------------------------------------------------------- clients that leave


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
    ("kind", "options"),
    [("gunicorn", ()), ("uwsgi", ()), ("waitress", ("--channel-request-lookahead=1",))],
    ids=["gunicorn", "uwsgi", "waitress"],
)
def test_clients_that_leave_idle_streams_cost_no_thread(
    start_site: Start, key: str, kind: str, options: tuple[str, ...]
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

    # Waitress 3.0 takes up to 16 MiB of each stream before it looks, which is slow on a busy machine.
    aborts = 25 if site.kind == "waitress" else 100
    for count in range(aborts):
        _leave_in_mid_stream(site, "/source", key, rude=bool(count % 2))
    site.board.wait(key, "closed", aborts)
    site.check_alive()

    assert worker.num_fds() <= files + THREADS  # a few connections may not be closed yet
    assert worker.num_threads() <= threads + THREADS  # and the board has one for each of its callers
