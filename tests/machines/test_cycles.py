"""Machines without threads: whatever comes in whatever order, the cycles agree with a simple model."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge._protocol.admission import Admission, Verdict
from bridge._protocol.head import Head, head_from_wsgi
from bridge._protocol.response import ResponseCycle
from bridge._protocol.websocket import WebSocketCycle
from bridge.errors import AppProtocolError, ClientDisconnected
from tests._protocol.strategies import MACHINE

blocks = st.binary(min_size=1, max_size=8)


def _head(status: int, length: int | None, method: str) -> Head:
    headers: list[object] = [] if length is None else [("Content-Length", str(length))]
    return head_from_wsgi(f"{status} Any", headers, method)


class ResponseMachine(RuleBasedStateMachine):
    """One head at most is committed, no byte beyond its length leaves, and after the end nothing does."""

    def __init__(self) -> None:
        super().__init__()
        self.cycle = ResponseCycle()
        self.head: Head | None = None
        self.refused = self.streaming = self.done = False
        self.came = b""
        self.left = b""

    @rule(
        status=st.sampled_from([200, 404, 204, 304]),
        length=st.none() | st.integers(0, 9),
        method=st.sampled_from(["GET", "POST", "HEAD"]),
        replace=st.booleans(),
    )
    def start(self, status: int, length: int | None, method: str, replace: bool) -> None:
        head = _head(status, length, method)
        allowed = not self.streaming and not self.done and (replace or not (self.head or self.refused))
        try:
            self.cycle.start(head, replace=replace)
        except AppProtocolError:
            assert not allowed
        else:
            assert allowed
            self.head, self.refused = head, False

    @rule()
    def refuse(self) -> None:
        self.cycle.refuse()
        if self.head is None:
            self.refused = True

    @rule(block=blocks)
    def data(self, block: bytes) -> None:
        try:
            out = self.cycle.data(block)
        except AppProtocolError:
            assert self.head is None
            return
        assert self.head is not None
        if self.done:
            assert out == b""
            return
        self.streaming = True
        self._took(block, out)

    @rule(body=st.binary(max_size=24))
    def whole(self, body: bytes) -> None:
        was_done, declared = self.done, None if self.head is None else self.head.length
        try:
            out = self.cycle.whole(body)
        except AppProtocolError:
            if self.head is None:
                return
            assert declared is not None and len(self.came) + len(body) < declared  # too short: no end
            self.streaming = self.streaming or bool(body)
            self._took(body, body if not self.head.bodiless else b"")
            return
        assert self.head is not None
        if was_done:
            assert out == b""
            return
        self.done = True
        self._took(body, out)

    @rule()
    def end(self) -> None:
        try:
            self.cycle.end()
        except AppProtocolError:
            short = self.head is not None and self.head.length is not None and not self.head.bodiless
            assert self.head is None or (short and len(self.left) < (self.head.length or 0))
        else:
            assert self.head is not None
            self.done = True

    def _took(self, block: bytes, out: bytes) -> None:
        assert block.startswith(out)
        self.came += block
        self.left += out

    @invariant()
    def agrees(self) -> None:
        cycle, head = self.cycle, self.head
        assert cycle.done == self.done
        assert cycle.committed == (self.streaming or self.done)
        assert (cycle.head is None) == (head is None)
        assert cycle.sent == len(self.left)
        if head is not None:
            assert self.came.startswith(self.left)
            if head.bodiless:
                assert self.left == b""
            elif head.length is not None:
                assert len(self.left) <= head.length
                assert not self.done or len(self.left) == head.length


class WebSocketMachine(RuleBasedStateMachine):
    """Each side has the last word once; after that each act raises, and says whose word it was."""

    def __init__(self) -> None:
        super().__init__()
        self.cycle = WebSocketCycle(["chat"])
        self.state = "connecting"

    def _act(self, allowed: dict[str, str], act: str) -> None:
        """Act by the cycle's own method, and compare with the table of this model."""
        calls: dict[str, Callable[[], object]] = {
            "accept": lambda: self.cycle.accept("chat", []),
            "deny": self.cycle.deny,
            "body": lambda: self.cycle.body(more=True),
            "end": lambda: self.cycle.body(more=False),
            "message": lambda: self.cycle.message({"text": "hello"}),
            "close": lambda: self.cycle.close(1000, "bye"),
        }
        try:
            calls[act]()
        except ClientDisconnected:
            assert self.state == "gone"
        except AppProtocolError:
            assert self.state != "gone" and self.state not in allowed
        else:
            assert self.state in allowed
            self.state = allowed[self.state]

    @rule()
    def accept(self) -> None:
        self._act({"connecting": "open"}, "accept")

    @rule()
    def accept_what_was_not_offered(self) -> None:
        before = self.cycle.state
        try:
            self.cycle.accept("mail", [])
        except (AppProtocolError, ClientDisconnected):
            assert self.cycle.state is before
        else:
            raise AssertionError("it was accepted")

    @rule()
    def deny(self) -> None:
        self._act({"connecting": "denying"}, "deny")

    @rule(more=st.booleans())
    def body(self, more: bool) -> None:
        self._act({"denying": "denying" if more else "closed"}, "body" if more else "end")

    @rule()
    def message(self) -> None:
        self._act({"open": "open"}, "message")

    @rule()
    def close(self) -> None:
        self._act({"connecting": "closed", "open": "closed"}, "close")

    @rule()
    def lost(self) -> None:
        self.cycle.lost()
        if self.state != "closed":
            self.state = "gone"


class AdmissionMachine(RuleBasedStateMachine):
    """The counts are those of a queue, and no place stays empty while somebody waits."""

    PLACES, BACKLOG = 2, 3

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(self.PLACES, self.BACKLOG)
        self.running = self.waiting = self.refused = self.expired = self.left = 0

    @rule()
    def arrive(self) -> None:
        verdict = self.admission.arrive()
        if self.running < self.PLACES:
            assert verdict is Verdict.RUN
            self.running += 1
        elif self.waiting < self.BACKLOG:
            assert verdict is Verdict.WAIT
            self.waiting += 1
        else:
            assert verdict is Verdict.REFUSE
            self.refused += 1

    def _hand_on(self) -> None:
        if self.waiting:
            self.waiting -= 1
        else:
            self.running -= 1

    @rule()
    def end(self) -> None:
        if self.running:
            self.admission.end()
            self._hand_on()

    @rule()
    def expire(self) -> None:
        if self.waiting:
            self.admission.expire()
            self.expired += 1
            self._hand_on()

    @rule()
    def leave(self) -> None:
        if self.waiting:
            self.admission.leave()
            self.left += 1
            self._hand_on()

    @invariant()
    def agrees(self) -> None:
        admission = self.admission
        assert (admission.running, admission.waiting) == (self.running, self.waiting)
        assert (admission.refused, admission.expired, admission.left) == (
            self.refused,
            self.expired,
            self.left,
        )
        assert 0 <= admission.running <= self.PLACES and 0 <= admission.waiting <= self.BACKLOG
        assert admission.running == self.PLACES or not admission.waiting
        assert admission.full == (self.running == self.PLACES and self.waiting == self.BACKLOG)


for machine in (ResponseMachine, WebSocketMachine, AdmissionMachine):
    machine.TestCase.settings = MACHINE

TestResponseMachine = ResponseMachine.TestCase
TestWebSocketMachine = WebSocketMachine.TestCase
TestAdmissionMachine = AdmissionMachine.TestCase
