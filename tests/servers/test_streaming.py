"""Blocks leave at once, answers end at once, and requests do not wait for each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, BOTH, GUNICORN, WSGI, Site, on, target
from tests.servers.wire import chunked, get, head, read_reply, recv_until
from tests.support.servers import wait_for_output

CONCURRENT = tuple(kind for kind in BOTH if kind != "gunicorn-sync")


@pytest.mark.spec("W-46", "WA-10")
@on(*BOTH)
def test_first_block_arrives_while_its_app_waits_for_a_second_request(site: Site, key: str) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/first", key=key)))
        recv_until(sock, b"\n\r\n")  # the stamp; only now is the app told to go on
        assert "went on" not in site.board.notes(key)

        site.tell(key, "go")

        recv_until(sock, b"end")


@on(*BOTH)
def test_first_block_latency_is_measured(
    site: Site, key: str, record_property: Callable[[str, object], None]
) -> None:
    site.board.note(key, "go")

    micros = []
    for _ in range(50):
        with site.server.connect() as sock:
            sock.sendall(head(target("/first", key=key)))
            received = b""
            while b"\n" not in received.partition(b"\r\n\r\n")[2].partition(b"\r\n")[2]:
                received += sock.recv(65536)
            arrival = time.monotonic_ns()
            micros.append((arrival - _stamp(received)) / 1000)

    median = statistics.median(micros)
    record_property("first_block_micros", median)
    print(
        f"\n{site.kind}: first block after {median:.0f} us (median of {len(micros)}, max {max(micros):.0f})"
    )
    assert min(micros) > 0  # one clock for both processes


def _stamp(received: bytes) -> int:
    """Read the time of the yield: the first line of the first chunk."""
    return int(received.partition(b"\r\n\r\n")[2].partition(b"\r\n")[2].partition(b"\n")[0])


@pytest.mark.spec("A-20", "W-27", "W-46", "WA-10")
@on(*ASGI, *GUNICORN)
def test_answer_streams_while_the_upload_goes_on(site: Site) -> None:
    size = 65536  # gunicorn's read(65536) waits for as much
    with site.server.connect() as sock:
        sock.sendall(head("/lines", "Transfer-Encoding: chunked", method="POST"))
        for mark in (b"one\n", b"two\n", b"three\n"):
            sock.sendall(chunked([mark.rjust(size)], end=False))

            recv_until(sock, mark)  # and the next line is not sent before


@pytest.mark.spec("A-36", "W-54")
@on(*BOTH)
def test_answer_ends_before_the_work_after_it(site: Site, key: str) -> None:
    reply = get(site.server, target("/afterwards", key=key))

    assert reply.body == b"done" and reply.whole
    assert "worked" not in site.board.notes(key)
    site.tell(key, "go")
    site.board.wait(key, "worked")


@pytest.mark.spec("A-36", "A-37")
@on(*WSGI)
def test_failure_after_the_answer_is_logged_and_never_sent(site: Site, key: str) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/afterwards", key=key, kind="ValueError")))
        reply = read_reply(sock)
        site.tell(key, "go")

        output = wait_for_output(site.server, f"ValueError: on purpose {key}", "fail_on_purpose")

        assert (reply.status, reply.body) == (200, b"done")
        assert output.count(f"ValueError: on purpose {key}") == 1
        if site.concurrent:  # the connection is still in order
            sock.sendall(head("/"))
            assert read_reply(sock).body == b"hello"


@pytest.mark.spec("A-38", "WA-14")
@on("gunicorn", "waitress")
def test_requests_meet_on_the_loop_of_the_lifespan(site: Site, key: str) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        replies = list(pool.map(lambda _: site.get("/meet", key=key), range(THREADS)))

    assert {reply.body.decode() for reply in replies} == set(site.board.notes("lifespan"))


@on(*ASGI)
def test_as_many_requests_as_threads_are_inside_at_once(site: Site, key: str) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        replies = list(pool.map(lambda _: site.get("/meet", key=key), range(THREADS)))

    assert {reply.body for reply in replies} == {b"met"}


@pytest.mark.spec("WA-14", "SEC-20", "W-61")
@on(*CONCURRENT)
def test_stuck_requests_leave_the_others_alone(site: Site, key: str) -> None:
    stuck = [site.server.connect() for _ in range(THREADS - 1)]
    try:
        for sock in stuck:
            sock.sendall(head(target("/source", key=key, gate=True, blocks=1, size=3)))
        site.board.wait(key, "entered", THREADS - 1)

        assert site.get("/").body == b"hello"
    finally:
        site.board.note(key, "go")
        assert [read_reply(sock).body for sock in stuck] == [bytes(3)] * len(stuck)
        for sock in stuck:
            sock.close()


@pytest.mark.spec("A-15")
@on("gunicorn")
def test_stalled_upload_leaves_the_loop_to_the_others(site: Site, key: str) -> None:
    size = 65536  # the first read of the server's thread; the second one stalls
    with site.server.connect() as sock:
        sock.sendall(
            head(target("/sink", key=key), f"Content-Length: {size + 8}", method="POST") + bytes(size + 4)
        )
        site.board.wait(key, "read")

        assert site.get("/").body == b"hello"

        sock.sendall(bytes(4))
        assert read_reply(sock).body == b"%d" % (size + 8)
