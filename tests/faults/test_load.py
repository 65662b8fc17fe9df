"""Many requests, good and bad: afterwards the process has what it had before."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.full import (
    DISCONNECTS,
    MIXED_REQUESTS,
    TRACED_REQUESTS,
    fully,
    only_in_full,
    wait_until_as_before,
)
from tests.servers.apps import THREADS
from tests.servers.sites import Site, target
from tests.servers.wire import head, narrow, read_reply, recv_until, reset

Record = Callable[[str, object], None]

# Waitress takes 16 MiB of an answer before it stops the app, unless it is told otherwise.
OPTIONS = {"waitress": ("--outbuf-high-watermark=65536",)}
SETTLE = pytest.mark.timeout(180)


_first: dict[tuple[str, int], dict[str, int]] = {}  # by server: its counts before the first of all rounds


def settled(site: Site, key: str) -> dict[str, int]:
    """Bring all threads that there can be into being; give the counts of the process when it was new."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: site.get("/meet", key=f"{key} meet"), range(THREADS)))
    return _first.setdefault((site.kind, site.server.port), site.board.counts())


def leave(site: Site, key: str, *, rude: bool) -> None:
    """Ask for a stream without end, and leave it."""
    with narrow(site.server) as sock:
        sock.sendall(head(target("/source", key=key, size=20_000)))
        recv_until(sock, bytes(9_000))
        if rude:
            reset(sock)


def leave_upload(site: Site, key: str, *, rude: bool) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/sink", key=key), "Content-Length: 100000", method="POST") + bytes(1000))
        if rude:
            reset(sock)


@SETTLE
@pytest.mark.spec("W-63", "A-33", "AA-12", "SEC-20", "SEC-22")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn", *fully("waitress")])
def test_disconnects_one_after_another_leave_no_thread_and_no_task(
    keep_site: Callable[..., Site], key: str, kind: str, record_property: Record
) -> None:
    site = keep_site(kind, *OPTIONS.get(kind, ()))
    before = settled(site, key)

    for count in range(DISCONNECTS):
        leave(site, key, rude=bool(count % 2))

    site.check_alive()
    site.board.wait(key, "closed", DISCONNECTS)
    wait_until_as_before(site, before)
    record_property("disconnects", DISCONNECTS)
    assert site.board.notes(key)["closed"] == DISCONNECTS


def mixed(site: Site, key: str, requests: int, seed: int) -> int:
    """Do many requests of all kinds, one after another; give how many had the right answer."""
    rng = random.Random(seed)
    right = 0
    for _ in range(requests):
        draw = rng.random()
        if draw < 0.4:
            right += site.get("/").body == b"hello"
        elif draw < 0.6:
            right += site.get("/source", blocks=3, size=1000, length=draw < 0.5).body == bytes(3000)
        elif draw < 0.7:
            with site.server.connect() as sock:
                said = head("/sink", "Content-Length: 5000", "Connection: close", method="POST")
                sock.sendall(said + bytes(5000))
                right += read_reply(sock).body == b"5000"
        elif draw < 0.8:
            right += site.get("/fault", kind="ValueError", key=key).status == 500
        elif draw < 0.9:
            leave(site, key, rude=draw < 0.85)
            right += 1
        else:
            leave_upload(site, key, rude=draw < 0.95)
            right += 1
    return right


@SETTLE
@pytest.mark.spec("A-33", "SEC-20", "SEC-22", "SEC-34")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn"])
def test_mixed_requests_leave_no_thread_and_no_task(
    keep_site: Callable[..., Site], key: str, kind: str, record_property: Record
) -> None:
    site = keep_site(kind)
    before, began = settled(site, key), time.monotonic()

    with ThreadPoolExecutor(THREADS) as pool:
        shares = pool.map(lambda seed: mixed(site, key, MIXED_REQUESTS // THREADS, seed), range(THREADS))
        right = sum(shares)

    record_property("requests per second", round(MIXED_REQUESTS / (time.monotonic() - began)))
    assert right == MIXED_REQUESTS
    wait_until_as_before(site, before)


@SETTLE
@only_in_full
@pytest.mark.spec("SEC-22", "AA-17")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn"])
def test_traced_memory_is_flat(
    keep_site: Callable[..., Site], key: str, kind: str, record_property: Record
) -> None:
    site = keep_site(kind, PURPOSE="traced")
    settled(site, key)
    site.board.counts(trace=True)
    mixed(site, key, TRACED_REQUESTS, seed=1)  # fills caches
    before = site.board.counts()

    mixed(site, key, TRACED_REQUESTS, seed=1)

    wait_until_as_before(site, before)
    growth = site.board.counts()["traced"] - before["traced"]
    record_property("bytes per request", round(growth / TRACED_REQUESTS, 1))
    assert growth < 64 * 1024 + 20 * TRACED_REQUESTS
