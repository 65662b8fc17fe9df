"""Clients that stall, apps that stall, and what comes back when they leave or go on."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest

from tests.faults.apps import BACKLOG
from tests.faults.full import FULL, STALLED, fully, only_in_full, wait_until_as_before
from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, Site, Start, on, target
from tests.servers.wire import chunked, head, narrow, read_reply, recv_until, reset

Record = Callable[[str, object], None]
Keep = Callable[..., Site]

SHORT = "tests.faults.apps"
CLEAN_SECONDS = 1.0


def check_clean(site: Site, before: dict[str, int], record: Record) -> None:
    """See that the next request is served and all is as before; in `make faults` within a second."""
    left = time.monotonic()
    site.check_alive()
    answered = time.monotonic() - left
    wait_until_as_before(site, before)
    clean = time.monotonic() - left
    record("answers again after ms", round(answered * 1000))
    record("clean after ms", round(clean * 1000))
    assert not FULL or clean < CLEAN_SECONDS


@pytest.mark.spec("W-63", "AA-12", "A-33", "SEC-20")
@on("uvicorn", "uvicorn-h11", "gunicorn")
def test_stalled_readers_that_leave_are_gone_at_once(site: Site, key: str, record_property: Record) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: site.get("/meet", key=f"{key} meet"), range(THREADS)))
    before = site.board.counts()
    with ExitStack() as stack:
        readers = [stack.enter_context(narrow(site.server)) for _ in range(STALLED)]
        for sock in readers:
            sock.sendall(head(target("/source", key=key, size=100_000)))
        site.board.wait(key, "entered", THREADS)  # the others have no thread
        for sock in readers[::2]:
            reset(sock)

    check_clean(site, before, record_property)

    notes = site.board.notes(key)
    assert notes["closed"] == notes["entered"]


@pytest.mark.spec("W-29", "W-63", "A-17", "A-33", "SEC-11", "SEC-20")
@on("uvicorn", "uvicorn-h11", "gunicorn")
def test_stalled_uploaders_that_leave_are_gone_at_once(site: Site, key: str, record_property: Record) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: site.get("/meet", key=f"{key} meet"), range(THREADS)))
    before = site.board.counts()
    said = head(target("/sink", key=key), "Content-Length: 100000", method="POST") + bytes(1000)
    with ExitStack() as stack:
        uploaders = [stack.enter_context(site.server.connect()) for _ in range(STALLED)]
        for sock in uploaders:
            sock.sendall(said)
        site.board.wait(key, "entered", THREADS)
        for sock in uploaders[::2]:
            reset(sock)

    check_clean(site, before, record_property)

    notes = site.board.notes(key)
    cut = "cut: ClientDisconnected" if site.kind in ASGI else "cut: http.disconnect"
    assert notes[cut] == notes["entered"]
    assert "whole" not in notes


TRUNCATED = {
    "length": (("Content-Length: 100000",), bytes(1000)),
    "between chunks": (("Transfer-Encoding: chunked",), chunked([bytes(1000)], end=False)),
    "in a chunk": (("Transfer-Encoding: chunked",), b"3e8\r\npart of it"),
}


@pytest.mark.spec("A-17", "W-29", "SEC-11", "SEC-23")
@on("uvicorn", "gunicorn", *fully("uvicorn-h11", "gunicorn-sync"))
def test_nothing_spins_after_truncated_uploads(site: Site, key: str, record_property: Record) -> None:
    for count, (fields, body) in enumerate(TRUNCATED.values(), 1):
        with site.server.connect() as sock:
            sock.sendall(head(target("/sink", key=key), *fields, method="POST") + body)
            site.board.wait(key, "entered", count)
    site.board.wait(key, "cut: ClientDisconnected" if site.kind in ASGI else "cut: http.disconnect", count)

    used = cpu_seconds_in_a_second(site)

    record_property("CPU ms per second", round(used * 1000))
    assert used < 0.05


@only_in_full
@pytest.mark.spec("A-15", "SEC-23")
@on("uvicorn", "gunicorn")
def test_nothing_spins_while_clients_stall(site: Site, key: str, record_property: Record) -> None:
    with site.server.connect() as upload, narrow(site.server) as download:
        upload.sendall(head(target("/sink", key=key), "Content-Length: 100000", method="POST") + bytes(1000))
        download.sendall(head(target("/source", key=key, size=100_000)))
        site.board.wait(key, "entered", 2)
        cpu_seconds_in_a_second(site, 0.2)  # until the buffers are full

        used = cpu_seconds_in_a_second(site)

    record_property("CPU ms per second", round(used * 1000))
    assert used < 0.05


def cpu_seconds_in_a_second(site: Site, seconds: float = 1.0) -> float:
    """Measure what CPU the serving processes take while nothing happens."""

    def used(worker: psutil.Process) -> float:
        times = worker.cpu_times()
        return float(times.user + times.system)

    workers = site.server.workers()
    before = sum(map(used, workers))
    time.sleep(seconds)  # this is the measurement, not a wait for something
    return (sum(map(used, workers)) - before) / seconds


# ---------------------------------------------------------------- apps that stall


@pytest.mark.spec("SEC-20", "WA-14")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn", *fully("gunicorn-sync", "waitress", "uwsgi")])
def test_app_that_never_answers_is_answered_for(keep_site: Keep, key: str, kind: str) -> None:
    site = keep_site(kind, module=SHORT, REQUEST_TIMEOUT="0.5")
    assert site.get("/fault", key=key, kind="hang").status == 504
    site.check_alive()
    site.board.note(key, "go")


@pytest.mark.spec("A-33", "A-41", "SEC-20")
@pytest.mark.parametrize("kind", ["gunicorn", *fully("gunicorn-sync", "waitress")])
def test_app_that_ignores_cancellation_costs_no_thread_and_no_end(
    keep_site: Keep, key: str, kind: str
) -> None:
    options = ("--channel-request-lookahead=1",) if kind == "waitress" else ()
    clients = 2 if kind == "gunicorn-sync" else 2 * THREADS
    site = keep_site(kind, *options, module=SHORT)
    site.get("/")
    before = site.board.counts()
    for _ in range(clients):
        with site.server.connect() as sock:
            sock.sendall(head(target("/stubborn", key=key)))
            recv_until(sock, b"mark")
    site.board.wait(key, "cancelled", clients)

    site.check_alive()

    site.board.note(key, "go")
    site.board.wait(key, "ended", clients)
    wait_until_as_before(site, {**before, "threads": before["threads"] + THREADS})


@only_in_full
@pytest.mark.spec("A-33", "L-06", "SEC-20")
def test_worker_ends_though_its_app_ignores_cancellation(start_site: Start, key: str) -> None:
    with start_site("gunicorn", module=SHORT) as site:
        with site.server.connect() as sock:
            sock.sendall(head(target("/stubborn", key=key)))
            recv_until(sock, b"mark")
        site.board.wait(key, "cancelled")

        site.server.process.terminate()

        assert site.server.process.wait(30) == 0
        assert site.server.output.count("[lifespan.shutdown.complete]") == 1


@pytest.mark.spec("SEC-20")
def test_pool_that_is_exhausted_refuses_and_recovers(keep_site: Keep, key: str) -> None:
    site = keep_site("uvicorn", module=SHORT)
    with ExitStack() as stack:
        stuck = [stack.enter_context(site.server.connect()) for _ in range(THREADS)]
        for sock in stuck:
            sock.sendall(head(target("/source", key=key, gate=True, blocks=1, size=3)))
        site.board.wait(key, "entered", THREADS)
        more = [stack.enter_context(site.server.connect()) for _ in range(BACKLOG + 1)]
        for sock in more:
            sock.sendall(head("/"))

        (refused,), _, _ = select.select(more, [], [], 20)  # whichever came last

        reply = read_reply(refused)
        assert (reply.status, "retry-after" in reply.headers) == (503, True)
        site.board.note(key, "go")
        assert [read_reply(sock).body for sock in stuck] == [bytes(3)] * THREADS
        assert [read_reply(sock).body for sock in more if sock is not refused] == [b"hello"] * BACKLOG
        site.check_alive()


@pytest.mark.spec("SEC-20")
@pytest.mark.parametrize("kind", ["gunicorn", *fully("waitress", "uwsgi")])
def test_server_whose_threads_are_all_taken_recovers(keep_site: Keep, key: str, kind: str) -> None:
    site = keep_site(kind)
    with ExitStack() as stack:
        stuck = [stack.enter_context(site.server.connect(20.0)) for _ in range(THREADS)]
        for sock in stuck:
            sock.sendall(head(target("/source", key=key, gate=True, blocks=1, size=3)))
        site.board.wait(key, "entered", THREADS)
        waiting = stack.enter_context(site.server.connect(20.0))
        waiting.sendall(head("/"))

        site.board.note(key, "go")

        assert [read_reply(sock).body for sock in stuck] == [bytes(3)] * THREADS
        assert read_reply(waiting).body == b"hello"
