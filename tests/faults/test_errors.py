"""Apps that fail or misbehave: an error for one request, and the next is served."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.servers.apps import THREADS
from tests.servers.sites import ASGI, BOTH, WSGI, Site, Start, on, target
from tests.servers.wire import Reply, head
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


PHASES: dict[str, dict[str, object]] = {
    "at the start": {"path": "/source", "at": 0},
    "first block": {"path": "/source", "at": 1},
    "middle": {"path": "/source", "at": 3},
    "after the last block": {"path": "/source", "at": 5},
    "closing": {"path": "/closing"},
}


@pytest.mark.spec("W-54", "W-60", "A-34", "A-37", "A-41", "H-26", "SEC-11", "SEC-34")
@on(*BOTH)
@pytest.mark.parametrize("kind", ["ValueError", "SystemExit"])
@pytest.mark.parametrize("phase", PHASES)
def test_exception_in_any_phase_is_logged_and_never_passes_for_a_whole_answer(
    site: Site, key: str, phase: str, kind: str
) -> None:
    case: dict[str, object] = {"key": key, "kind": kind, "blocks": 5, "size": 2000, **PHASES[phase]}

    reply = site.get(str(case.pop("path")), **case)

    if phase == "closing":  # all is said
        assert (reply.status, reply.whole, len(reply.body)) == (200, True, 10_000)
    elif phase == "at the start" and site.kind in ASGI:  # the head waits for the first block
        assert reply.status == 500
    else:
        assert not reply.whole or reply.status == 500
    wait_for_output(site.server, kind, f"on purpose {key}", "in fail_on_purpose")
    site.check_alive()


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
