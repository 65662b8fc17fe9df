"""`wsgi.input` in the thread, beside a loop that ends its request."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any

import pytest

from bridge._runtime.inlet import Inlet
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.stall import PeerTimeouts
from bridge._runtime.wsgi_input import Input
from bridge.errors import ReceiveTimedOut


class FeedThatIsOver:
    """Of a request that ends between any two steps of the reader: the refusal is taken out of it."""

    timeouts = PeerTimeouts(None, 0.01)

    def __init__(self, mailbox: Mailbox) -> None:
        self._items: Inlet[bytes] = Inlet(mailbox)

    def asked(self) -> Inlet[bytes]:
        return self._items

    @property
    def refusal(self) -> None:
        return None

    @refusal.setter
    def refusal(self, value: object) -> None: ...


@pytest.mark.spec("SEC-20")
async def test_a_read_that_is_late_is_told_so_though_its_request_ends_meanwhile() -> None:
    feed: Any = FeedThatIsOver(Mailbox(asyncio.get_running_loop()))

    with pytest.raises(ReceiveTimedOut):
        await asyncio.to_thread(Input(feed).read, 1)


@pytest.mark.spec("W-27")
async def test_two_threads_that_both_read_first_share_one_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made a reader, and what one had read ahead the other never saw."""
    both = threading.Barrier(2, timeout=20)

    class MadeByBoth(io.BufferedReader):
        def __init__(self, raw: io.RawIOBase, size: int) -> None:
            both.wait()
            super().__init__(raw, size)

    monkeypatch.setattr(io, "BufferedReader", MadeByBoth)
    feed: Any = FeedThatIsOver(Mailbox(asyncio.get_running_loop()))
    feed.asked().put(b"ab")
    read = Input(feed).read

    found = await asyncio.gather(asyncio.to_thread(read, 1), asyncio.to_thread(read, 1))

    assert sorted(found) == [b"a", b"b"]
