"""Streams of any size in bounded memory, and nobody runs ahead of who does not follow.

Waitress keeps a request on disk before the app sees it, and of an answer up to `outbuf_high_watermark`
(16 MiB) before it stops the app. For that it takes some 31 MiB, with an app of its own kind as with ours:
its bounds here are wider, so that they measure the bridge.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass

import pytest

from tests.servers.sites import Site, target
from tests.servers.wire import head, narrow, read_reply, recv_until
from tests.support.servers import watched_memory

MIB = 1024 * 1024
GIB = 1024 * MIB

STREAMING = ("uvicorn", "uvicorn-h11", "gunicorn", "gunicorn-sync")


@dataclass(frozen=True)
class Bounds:
    """What a server may do while much passes through it, in bytes.

    Attributes:
        total: what passes through.
        growth: what its memory may grow by.
        ahead: what may be on its way to a client that does not read: in the buffers of two sockets, of the
            server, and ours.
        blocks: how many blocks of 10 MB may be in memory at once.
    """

    total: int = GIB
    growth: int = 32 * MIB
    ahead: int = 16 * MIB
    blocks: int = 4


BOUNDS = {
    "uvicorn": Bounds(),
    "uvicorn-h11": Bounds(total=GIB // 4),
    "gunicorn": Bounds(),
    "gunicorn-sync": Bounds(total=GIB // 4),
    "waitress": Bounds(total=GIB // 4, growth=64 * MIB, ahead=32 * MIB, blocks=8),
}


def fresh(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fresh_site", kinds, indirect=True)


def _upload(site: Site, key: str, total: int) -> bytes:
    block = bytes(MIB)
    with site.server.connect(timeout=50) as sock:
        sock.sendall(head(target("/sink", key=key), f"Content-Length: {total}", method="POST"))
        for _ in range(total // len(block)):
            sock.sendall(block)
        return read_reply(sock).body


def _discard(sock: socket.socket, size: int, buffer: bytearray) -> None:
    """Read so many bytes."""
    view = memoryview(buffer)
    while size > 0:
        count = sock.recv_into(view[: min(size, len(buffer))])
        assert count, "the connection ended early"
        size -= count


def _wait_until_quiet(site: Site, key: str) -> int:
    """Look until two looks in a row find the same number of blocks produced; give it.

    The time between two looks only has to be longer than a running producer takes for a block.
    """
    produced, before = -1, -2
    while produced != before:
        select.select([], [], [], 0.1)
        before, produced = produced, site.board.notes(key).get("produced", 0)
    return produced


@pytest.mark.spec("W-27", "SEC-19")
@fresh(*STREAMING)
def test_large_upload_leaves_memory_flat(fresh_site: Site, key: str) -> None:
    bounds = BOUNDS[fresh_site.kind]
    _upload(fresh_site, "warm", 8 * MIB)

    with watched_memory(fresh_site.server) as memory:
        answer = _upload(fresh_site, key, bounds.total)

    assert answer == b"%d" % bounds.total
    print(f"\n{fresh_site.kind}: {bounds.total // MIB} MiB up, grew by {memory.growth / MIB:.1f} MiB")
    assert memory.growth < bounds.growth


def _download(site: Site, key: str, size: int, blocks: int, *, pauses: int) -> list[int]:
    """Read a stream, with pauses until its producer has stopped; give how far ahead it was then."""
    buffer = bytearray(MIB)
    ahead = []
    with narrow(site.server) as sock:
        sock.sendall(head(target("/source", key=key, size=size, blocks=blocks, length=True)))
        left = size * blocks - len(recv_until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")[2])
        for pause in range(pauses, 0, -1):
            produced = _wait_until_quiet(site, key) * size
            ahead.append(produced - (size * blocks - left))
            step = left // pause
            _discard(sock, step, buffer)
            left -= step
        assert left == 0
    return ahead


@pytest.mark.spec("W-45", "AA-14", "A-27", "SEC-19")
@fresh(*STREAMING, "waitress")
def test_large_answer_to_a_slow_client_leaves_memory_flat_and_pauses_the_producer(
    fresh_site: Site, key: str
) -> None:
    bounds, size = BOUNDS[fresh_site.kind], 256 * 1024
    _download(fresh_site, "warm", size, 32, pauses=1)

    with watched_memory(fresh_site.server) as memory:
        ahead = _download(fresh_site, key, size, bounds.total // size, pauses=4)

    assert fresh_site.board.notes(key)["produced"] == bounds.total // size
    print(
        f"\n{fresh_site.kind}: {bounds.total // MIB} MiB down, grew by {memory.growth / MIB:.1f} MiB, "
        f"at most {max(ahead) / MIB:.1f} MiB ahead"
    )
    assert memory.growth < bounds.growth
    assert max(ahead) < bounds.ahead


@pytest.mark.spec("W-45", "A-27", "SEC-19")
@fresh(*STREAMING, "waitress")
def test_blocks_of_ten_megabytes_do_not_multiply_memory(fresh_site: Site, key: str) -> None:
    size = 10_000_000

    with watched_memory(fresh_site.server) as memory:
        ahead = _download(fresh_site, key, size, 30, pauses=3)

    print(
        f"\n{fresh_site.kind}: blocks of 10 MB, grew by {memory.growth / size:.1f} blocks, "
        f"at most {max(ahead) / size:.1f} ahead"
    )
    assert memory.growth < BOUNDS[fresh_site.kind].blocks * size
