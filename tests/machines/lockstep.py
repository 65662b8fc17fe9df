"""A loop that runs when a test tells it to, and a thread beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from bridge._runtime.mailbox import Mailbox

SECONDS = 10


class Gate(SimpleQueue[Any]):
    """What a thread waits at; tells that it does."""

    waits = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self.waits.set()
        return super().get(block, timeout)


class Lockstep(RuleBasedStateMachine):
    """A loop that runs when it is told to, and a thread that does one thing at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.mailbox = Mailbox(self.loop, Gate)
        self.thread = ThreadPoolExecutor(1)
        self.pending: Future[object] | None = None

    def in_thread(self, act: Callable[[], object]) -> None:
        self.pending = self.thread.submit(act)

    def result(self) -> object:
        """Wait for the thread; it is known to have an end."""
        assert self.pending is not None
        pending, self.pending = self.pending, None
        return pending.result(SECONDS)

    def turn(self) -> None:
        """Let the loop do all that is there to do."""
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    def teardown(self) -> None:
        try:
            self.turn()
        finally:
            self.thread.shutdown()
            self.loop.close()
