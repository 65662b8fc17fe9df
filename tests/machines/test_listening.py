"""One request whose body is read, watched and ended in any order: `receive()` is called when it has to be."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from bridge._runtime import body
from bridge._runtime.body import CONTINUE_SECONDS, BodyFeed
from bridge._runtime.body_receive import prefetch
from bridge._runtime.outlet import Outlet
from bridge._runtime.stall import PeerTimeouts
from bridge._runtime.wsgi_input import Input
from bridge.errors import BodyTooLarge, ClientDisconnected
from bridge.types import Environ, Message
from tests._protocol.strategies import MACHINE
from tests.machines.lockstep import SECONDS, Gate, Lockstep

HIGH = 10
LENGTH = 40
LIMIT = 50

failures = st.sampled_from([None, ConnectionResetError, RuntimeError, asyncio.CancelledError])


@pytest.fixture(autouse=True, scope="module")
def _small_buffer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "BUFFER_BYTES", HIGH)
        yield


class ListeningMachine(Lockstep):
    """A server that is asked for one event at a time, and an app that reads in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self.loop.set_debug(False)  # it keeps a traceback of each future, and takes six times as long
        self.calling: asyncio.Future[Message] | None = None
        self.wrong: list[str] = []
        self.steps_before_end = 0
        self.acts: list[str] = []
        self.fetching: asyncio.Task[io.BytesIO | None] | None = None
        # What has been wanted so far:
        self.reads = self.streams = self.outlived = False
        self.asked_at: float | None = None
        # What has come of the body, and is unread; and how it ended:
        self.received = 0
        self.pieces: deque[bytes] = deque()
        self.whole = self.cut = False
        self.handed_over = False  # all at once, so that nobody reads it through the feed
        # The client or what receives of it has gone; the request is over:
        self.gone = self.lost = self.closed = False

    @initialize(
        expects=st.booleans(),
        declares=st.booleans(),
        limited=st.booleans(),
        fetched=st.booleans(),
        acts=st.sampled_from([["outlive"], ["ask"], ["stream"], [], ["stream", "outlive", "ask"]]),
        earliest=st.sampled_from([5, 10, 20]),
    )
    def begin(
        self,
        expects: bool,
        declares: bool,
        limited: bool,
        fetched: bool,
        acts: list[str],
        earliest: int,
    ) -> None:
        self.acts = ["read", *acts]
        self.steps_before_end = earliest
        environ: Environ = {"HTTP_EXPECT": "100-continue"} if expects else {}
        if declares:
            environ["CONTENT_LENGTH"] = str(LENGTH)
        self.expects = expects
        self.length = LENGTH if declares else None
        self.limit = LIMIT if limited else None
        outlet: Outlet[bytes] = Outlet(self.mailbox)
        self.feed = BodyFeed(environ, self.receive, outlet, self.limit, PeerTimeouts(None, None))
        self.input = Input(self.feed)
        assert self.feed.wanted == (declares and not expects)
        if fetched and self.feed.wanted:
            self.fetching = self.loop.create_task(prefetch(self.feed))
            self.turn()

    # ------------------------------------------------------------ the server

    async def receive(self) -> Message:
        if self.calling is not None:
            self.wrong.append("two calls at once")
        if self.gone or self.lost or self.closed:
            self.wrong.append("a call after the end")
        if self.ended and not self.watched:
            self.wrong.append("a call after the end of the body, for nobody")
        if not (self.fetching or self.reads or self.watched):
            self.wrong.append("a call that nobody has asked for")
        self.calling = self.loop.create_future()
        try:
            return await self.calling
        finally:
            self.calling = None

    @property
    def ended(self) -> bool:
        return self.whole or self.cut

    @property
    def spared(self) -> bool:
        """Whether the client waits for 100 Continue, which a call would send."""
        return self.expects and not self.reads

    @property
    def timed(self) -> bool:
        return self.asked_at is not None and self.now >= self.asked_at + CONTINUE_SECONDS

    @property
    def watched(self) -> bool:
        return self.streams or (self.outlived and not self.spared) or self.timed

    # ------------------------------------------------------------ what comes

    @precondition(lambda self: self.calling is not None)
    @rule(size=st.sampled_from([3, 14, 0, LENGTH]), more=st.sampled_from([True, True, False]))
    def piece(self, size: int, more: bool) -> None:
        assert self.calling is not None
        data = bytes(size) if self.length is None else bytes(min(size, self.length - self.received))
        if not (self.ended or self.lost):
            self._count(data, more)
        self.calling.set_result({"type": "http.request", "body": bytes(size), "more_body": more})
        self._came()

    def _count(self, data: bytes, more: bool) -> None:
        self.received += len(data)
        if self.limit is not None and self.received > self.limit:
            self.cut = True
            return
        if data:
            self.pieces.append(data)
        short = self.length is not None and self.received < self.length
        if not more:
            self.whole, self.cut = not short, short
            self.gone = self.lost = short
        elif self.length is not None and not short and self.fetching is None:
            self.whole = True  # of a fetched one the next event tells

    @precondition(lambda self: self.may_end and self.calling is not None)
    @rule(failure=failures)
    def fail(self, failure: type[BaseException] | None) -> None:
        assert self.calling is not None
        if failure in (None, ConnectionResetError):
            self.lost = self.lost or not self.closed
        self.gone = True
        self.cut = not self.whole
        if failure is None:
            self.calling.set_result({"type": "http.disconnect"})
        elif failure is asyncio.CancelledError:
            self.calling.cancel()
        else:
            self.calling.set_exception(failure("of the server"))
        self._came()

    def _came(self) -> None:
        """Let the loop take it; the request ends with a failure of its own task, as in an exchange."""
        self.turn()
        fetching, self.fetching = self.fetching, None
        if fetching is None:
            return
        assert fetching.done()
        if fetching.cancelled() or fetching.exception() is not None:
            assert self.gone or self.cut
            self.pieces.clear()
            self.end("lose and close")
        elif self.ended:
            got = fetching.result()
            assert got is not None and got.read() == b"".join(self.pieces)
            self.pieces.clear()
            self.handed_over = True
        else:
            assert fetching.result() is None

    # ------------------------------------------------------------ who waits

    @rule(index=st.integers(0, 3))
    def want(self, index: int) -> None:
        """Do one of the things that this request does, if it can now."""
        act = self.acts[index % len(self.acts)]
        if act == "read" and not (self.pending or self.fetching or self.handed_over):
            self._read()
        elif act == "outlive" and not self.outlived:
            self.outlived = self.fetching is None  # of one that is fetched the grace begins anew
            self.feed.outlived()
        elif act == "stream" and not (self.fetching or self.closed):
            self.streams = True
            self.feed.watch()
        elif act == "ask" and not self.fetching:
            self._ask()
        self.turn()

    def _read(self) -> None:
        self.reads = True
        Gate.waits.clear()
        self.in_thread(lambda: self.input.read1(100))
        if not (self.pieces or self.over_for_a_reader):
            assert Gate.waits.wait(SECONDS), "the thread does not wait, and has nothing"

    def _ask(self) -> None:
        assert self.feed.client_disconnected() == self.lost
        if not (self.closed or self.lost or self.watched):
            self.outlived = True
            if self.spared and self.asked_at is None:
                self.asked_at = self.now

    @rule(seconds=st.sampled_from([3, 1_000_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.turn()
        if seconds > CONTINUE_SECONDS and self.watched and not (self.gone or self.lost or self.closed):
            assert self.calling is not None, "the client has not been looked at for days"

    # ------------------------------------------------------------ the end

    @precondition(lambda self: self.may_end and not self.closed and self.fetching is None)
    @rule(how=st.sampled_from(["close", "lose", "lose and close"]))
    def end(self, how: str) -> None:
        if "lose" in how:
            self.feed.lose()
            self.lost = True
            self.settle()
        if "close" in how:
            self._close()

    def _close(self) -> None:
        self.feed.close()
        self.closed = True
        self.turn()
        assert self.calling is None, "what receives outlives its request"

    # ------------------------------------------------------------ what holds

    @property
    def over_for_a_reader(self) -> bool:
        return self.ended or self.lost or self.closed

    def turn(self) -> None:
        super().turn()
        super().turn()
        self.settle()

    def settle(self) -> None:
        """Whoever waits is told what there is: a piece, the end of the body, or that none will come."""
        if self.pending is None or not (self.pieces or self.over_for_a_reader):
            return
        try:
            data = self.result()
        except (ClientDisconnected, BodyTooLarge, RuntimeError):
            assert not self.pieces and not self.whole
            return
        if self.pieces:
            assert data == self.pieces.popleft()
        else:
            assert data == b"" and self.whole

    @property
    def begun(self) -> bool:
        """Whether there is a request: Hypothesis may give an example up while it draws what `begin` takes."""
        return "feed" in vars(self)

    @property
    def may_end(self) -> bool:
        """Whether something may end the request; else most would be over before they had begun."""
        return self.steps_before_end <= 0

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.steps_before_end -= 1
        super().turn()
        assert self.wrong == []

    @invariant()
    def who_waits_is_heard(self) -> None:
        if self.gone or self.lost or self.closed or self.calling is not None:
            return
        assert self.pending is None, "a thread waits for the body, and nobody receives"
        held = self.feed.refusal is not None or sum(map(len, self.pieces)) > HIGH // 2
        assert held or not self.watched, "the client is watched, and nobody receives"

    def teardown(self) -> None:
        if self.fetching is not None:
            self.fetching.cancel()
            self.fetching = None
        try:
            if self.begun and not self.closed:
                self._close()
        finally:
            if self.begun:
                self.feed.opened().put(b"")  # whatever has failed, the thread is to end
            super().teardown()


ListeningMachine.TestCase.settings = settings(
    MACHINE, max_examples=max(300, MACHINE.max_examples), stateful_step_count=25
)

TestListeningMachine = ListeningMachine.TestCase
