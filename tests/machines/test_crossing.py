"""Machines of a thread and a loop in lockstep: nothing is lost or comes twice, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from bridge._runtime.inlet import Inlet
from bridge._runtime.outlet import Outlet
from bridge.errors import ClientDisconnected
from tests._protocol.strategies import THREADS_MACHINE
from tests.machines.lockstep import SECONDS, Gate, Lockstep

HIGH = 10

sizes = st.sampled_from([3, 6, 14, 0])

EARLIEST_END = 5
"""After so many items something may end it; without that most runs would be over at once."""


class OutletMachine(Lockstep):
    """A thread that puts, a task that takes."""

    def __init__(self) -> None:
        super().__init__()
        self.outlet: Outlet[tuple[int, int]] = Outlet(self.mailbox, HIGH)
        self.number = 0
        self.items: deque[tuple[int, int]] = deque()
        self.unsent = 0
        self.blocked = False
        self.closed = self.failed = False
        self.taking: asyncio.Task[tuple[int, int]] | None = None

    @precondition(lambda self: not self.blocked and not self.failed)
    @rule(size=sizes)
    def put(self, size: int) -> None:
        self.number += 1
        item = (self.number, size)
        Gate.waits.clear()
        self.in_thread(lambda: self.outlet.put(item, size))
        if self.closed:
            self._raises_disconnected()
            return
        self.items.append(item)
        self.unsent += size
        self.blocked = self.unsent > HIGH
        if self.blocked:
            assert Gate.waits.wait(SECONDS), "the thread goes on though it is too far ahead"
        else:
            self.result()
        self._deliver()

    @precondition(lambda self: not (self.blocked or self.closed or self.failed))
    @precondition(lambda self: self.number >= EARLIEST_END)
    @rule()
    def fail(self) -> None:
        self.in_thread(lambda: self.outlet.fail(ValueError("of the app")))
        self.result()
        self.failed = True
        self._deliver()

    @precondition(lambda self: self.taking is None)
    @rule()
    def take(self) -> None:
        self.taking = self.loop.create_task(self.outlet.take())
        self.turn()
        self._deliver()

    @precondition(lambda self: self.taking is not None)
    @rule()
    def cancel_the_take(self) -> None:
        assert self.taking is not None
        self.taking.cancel()
        self.turn()
        assert self.taking.cancelled()
        self.taking = None

    @precondition(lambda self: not self.closed and self.number >= EARLIEST_END)
    @rule()
    def close(self) -> None:
        self.outlet.close()
        self._closed()

    @precondition(lambda self: not self.failed and self.number >= EARLIEST_END)
    @rule()
    def cut(self) -> None:
        self.outlet.cut()
        self._closed()
        self.failed = True
        if self.taking is not None:
            self.turn()
            assert isinstance(self.taking.exception(), ClientDisconnected)
            self.taking, self.failed = None, False

    def _closed(self) -> None:
        self.closed = True
        self.items.clear()
        if self.blocked:
            self.blocked = False
            self._raises_disconnected()

    def _raises_disconnected(self) -> None:
        try:
            self.result()
        except ClientDisconnected:
            return
        raise AssertionError("put() returned though nobody takes any more")

    def _deliver(self) -> None:
        """A task that takes gets the next item, if there is one; and what it has sent makes room."""
        if self.taking is None or not (self.items or self.failed):
            return
        taken: asyncio.Task[tuple[int, int]] = self.taking
        self.taking = None
        self.loop.run_until_complete(asyncio.wait([taken], timeout=SECONDS))
        assert taken.done(), "an item is there, and the task waits"
        if not self.items:
            assert isinstance(taken.exception(), ValueError | ClientDisconnected)
            self.failed = False
            return
        item = self.items.popleft()
        assert taken.result() == item
        self.outlet.sent(item[1])
        self.unsent -= item[1]
        if self.blocked and self.unsent <= HIGH // 2:
            self.blocked = False
            self.result()  # or it waits for ever

    def teardown(self) -> None:
        if not self.closed:
            self.close()
        if self.taking is not None:
            self.taking.cancel()
        super().teardown()


class InletMachine(Lockstep):
    """A loop that puts, a thread that gets."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet: Inlet[int] = Inlet(self.mailbox, HIGH)
        self.number = 0
        self.items: deque[tuple[int, int]] = deque()
        self.getting = False
        self.room: asyncio.Task[None] | None = None

    @rule(size=sizes)
    def put(self, size: int) -> None:
        self.number += 1
        self.inlet.put(self.number, size)
        self.items.append((self.number, size))
        if self.getting:
            self._got()

    @precondition(lambda self: not self.getting)
    @rule()
    def get(self) -> None:
        self.in_thread(self.inlet.get)
        self.getting = True
        if self.items:
            self._got()

    def _got(self) -> None:
        item, _ = self.items.popleft()
        assert self.result() == item
        self.getting = False
        self.turn()
        self._room()

    @precondition(lambda self: self.room is None)
    @rule()
    def wait_for_room(self) -> None:
        self.room = self.loop.create_task(self.inlet.room())
        self.turn()
        self._room()

    @precondition(lambda self: self.room is not None)
    @rule()
    def wake(self) -> None:
        self.inlet.wake()
        self.turn()
        assert self.room is not None and self.room.done()
        self.room = None

    def _room(self) -> None:
        waits = sum(size for _, size in self.items)
        assert self.inlet.crowded == (waits > HIGH)
        if self.room is not None and waits <= HIGH // 2:
            assert self.room.done(), "there is room, and the loop waits"
            self.room = None

    def teardown(self) -> None:
        if self.getting:
            self.put(0)
        if self.room is not None:
            self.wake()
        super().teardown()


class MailboxMachine(Lockstep):
    """Several threads that post, a loop that delivers at times."""

    THREADS = 3

    @initialize()
    def start(self) -> None:
        self.posted: list[list[int]] = [[] for _ in range(self.THREADS)]
        self.came: list[list[int]] = [[] for _ in range(self.THREADS)]
        self.number = 0

    @rule(counts=st.lists(st.integers(0, 4), min_size=THREADS, max_size=THREADS))
    def post(self, counts: list[int]) -> None:
        ready = threading.Barrier(self.THREADS)

        def work(index: int, numbers: range) -> None:
            ready.wait(SECONDS)
            for number in numbers:
                self.posted[index].append(number)
                self.mailbox.post(lambda number=number: self.came[index].append(number))  # type: ignore[misc]

        threads = []
        for index, count in enumerate(counts):
            numbers = range(self.number, self.number + count)
            self.number += count
            threads.append(threading.Thread(target=work, args=(index, numbers)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)

    @rule()
    def deliver(self) -> None:
        self.turn()
        assert self.came == self.posted

    def teardown(self) -> None:
        self.deliver()
        super().teardown()


for machine in (OutletMachine, InletMachine, MailboxMachine):
    machine.TestCase.settings = THREADS_MACHINE

TestOutletMachine = OutletMachine.TestCase
TestInletMachine = InletMachine.TestCase
TestMailboxMachine = MailboxMachine.TestCase
