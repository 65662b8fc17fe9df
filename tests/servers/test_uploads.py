"""Request bodies arrive whole, or not at all."""

from __future__ import annotations

import random
import select
import socket

import httpx
import pytest

from tests.servers.sites import ASGI, BOTH, GUNICORN, WSGI, Site, on, target
from tests.servers.wire import head, read_reply, reset, talk

BODY = random.Random(5).randbytes(300_000) + b"\r\n0\r\n\r\n" + bytes(range(256))  # opaque to all on its way

PIECES = {
    "one": [BODY],
    "many small": [BODY[i : i + 997] for i in range(0, len(BODY), 997)],
    "two large": [BODY[:200_000], BODY[200_000:]],
}


@pytest.mark.spec("W-20", "W-18", "H-12", "H-31")
@on(*ASGI)
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("path", ["/flask/data", "/flask/stream"])
def test_chunked_upload_reaches_flask_whole(site: Site, path: str, pieces: list[bytes]) -> None:
    reply = httpx.post(site.server.url + path, content=iter(pieces), verify=False)

    assert reply.content == BODY


@pytest.mark.spec("A-13", "A-16", "H-12", "H-31")
@on(*WSGI)
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("path", ["/fastapi/body", "/fastapi/stream"])
def test_chunked_upload_reaches_fastapi_whole(site: Site, path: str, pieces: list[bytes]) -> None:
    reply = httpx.post(site.server.url + path, content=iter(pieces), verify=False)

    assert reply.content == BODY


@on(*BOTH)
@pytest.mark.parametrize("coding", ["chunked", "length"])
def test_empty_upload_is_empty(site: Site, coding: str) -> None:
    path = "/flask/data" if site.kind in ASGI else "/fastapi/body"
    content = iter([b""]) if coding == "chunked" else b""

    reply = httpx.post(site.server.url + path, content=content, verify=False)

    assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.spec("A-13", "W-19")
@on(*BOTH)
def test_upload_with_a_length_arrives_whole_over_a_kept_connection(site: Site) -> None:
    path = "/flask/stream" if site.kind in ASGI else "/fastapi/stream"

    with httpx.Client(base_url=site.server.url, verify=False) as client:
        replies = [client.post(path, content=BODY[i:]).content for i in (0, 100_000, 299_000)]

    assert replies == [BODY, BODY[100_000:], BODY[299_000:]]


@pytest.mark.spec("W-27")
@on(*ASGI, *GUNICORN)
def test_app_reads_before_the_upload_is_complete(site: Site, key: str) -> None:
    with site.server.connect() as sock:
        sock.sendall(
            head(target("/sink", key=key), f"Content-Length: {2 * 65536}", method="POST") + bytes(65536)
        )

        site.board.wait(key, "read")  # and only then comes the rest

        sock.sendall(bytes(65536))
        assert read_reply(sock).body == b"131072"


@pytest.mark.spec("W-28")
@on(*ASGI, *GUNICORN)
def test_app_that_reads_nothing_answers_before_the_upload(site: Site) -> None:
    said = head("/refusing", "Content-Length: 1073741824", method="POST") + bytes(1000)

    reply = talk(site.server, said)

    assert (reply.status, reply.body) == (413, b"too much")


TRUNCATED = {
    "length": (["Content-Length: 1000"], b"part of it"),
    "between chunks": (["Transfer-Encoding: chunked"], b"a\r\npart of it\r\n"),
    "in a chunk": (["Transfer-Encoding: chunked"], b"3e8\r\npart of it"),
}


@pytest.mark.spec("SEC-11", "W-29", "A-17", "SEC-20")
@on(*ASGI, *GUNICORN)
@pytest.mark.parametrize("leave", ["closes", "resets"])
@pytest.mark.parametrize(("fields", "body"), TRUNCATED.values(), ids=TRUNCATED)
def test_truncated_upload_is_never_taken_for_a_whole_one(
    site: Site, key: str, fields: list[str], body: bytes, leave: str
) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/sink", key=key), *fields, method="POST") + body)
        site.board.wait(key, "entered")

        if leave == "resets":
            reset(sock)

    site.board.wait(key, "cut: ClientDisconnected" if site.kind in ASGI else "cut: http.disconnect")
    assert "whole" not in site.board.notes(key)


@pytest.mark.spec("SEC-11")
@on("waitress")
@pytest.mark.parametrize(("fields", "body"), TRUNCATED.values(), ids=TRUNCATED)
def test_server_that_takes_bodies_whole_never_passes_on_a_truncated_one(
    site: Site, key: str, fields: list[str], body: bytes
) -> None:
    with site.server.connect() as sock:
        sock.sendall(head(target("/sink", key=key), *fields, method="POST") + body)

    site.check_alive()
    assert "entered" not in site.board.notes(key)


@pytest.mark.spec("SEC-19", "W-27")
@on("uvicorn", "uvicorn-h11", "gunicorn")
def test_app_that_stops_reading_stops_the_upload(site: Site, key: str) -> None:
    total = 64 * 1024 * 1024
    with site.server.connect(timeout=30) as sock:
        sock.sendall(head(target("/sink", key=key, at=1), f"Content-Length: {total}", method="POST"))
        sent = _send_until_stuck(sock, total)
        assert 0 < sent < total

        site.board.note(key, "go")

        sock.sendall(bytes(total - sent))
        assert read_reply(sock).body == b"%d" % total


def _send_until_stuck(sock: socket.socket, total: int) -> int:
    """Send zeros until nobody takes them; give their number."""
    block, sent = bytes(1 << 20), 0
    sock.setblocking(False)
    while sent < total and select.select([], [sock], [], 0.5)[1]:
        sent += sock.send(block[: total - sent])
    sock.settimeout(30)
    return sent
