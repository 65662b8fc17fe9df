"""The tasks of one adapter: its requests, the work that goes on after them, and what its app has started."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, Final, TypeAlias

from bridge._runtime.asgi_run import ASGIRun
from bridge._runtime.fork import reset_in_child
from bridge._runtime.life import NO_LIFE, Life, TurnedAway
from bridge._runtime.lineage import disown, own

__all__ = ["TaskSet"]

_log = logging.getLogger("bridge.asgi")

_CANCEL_SECONDS: Final = 1.0  # what a cancelled task has to end in before it is left behind

_Task: TypeAlias = asyncio.Task[Any]


class TaskSet:
    """Starts the tasks of runs, counts them and what they start, and waits for all. Used on the loop only.

    A task that a request starts counts until it ends, as do those that it starts in turn. What the lifespan
    starts is no work of a request: it may run until `end_residents()`.

    Args:
        name: of the adapter, in log lines.

    Attributes:
        life: that of the app, in which requests begin; begun and replaced by `AppLife`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, where the tasks of the parent do not run."""
        self._roots: dict[_Task, ASGIRun | None] = {}  # of requests; of WebSockets without a run
        self._spawned: dict[_Task, _Task] = {}  # to the root that it comes from
        self._resident: _Task | None = None
        self.life = NO_LIFE

    def __len__(self) -> int:
        return len(self._roots) + len(self._spawned)

    @property
    def background(self) -> int:
        """How many tasks work for requests whose response is complete; from any thread."""
        roots = self._roots
        count = sum(run is not None and run.answered for run in list(roots.values()))
        for root in list(self._spawned.values()):
            run = roots.get(root)
            count += root is not self._resident and (root not in roots if run is None else run.answered)
        return count

    @property
    def in_flight(self) -> int:
        """How many requests have no complete response yet; from any thread."""
        return sum(run is not None and not run.answered for run in list(self._roots.values()))

    def begin(self, run: ASGIRun, life: Life) -> None:
        """Start the task of a request, unless the life in which its thread found the app is over."""
        if life.over:
            run.turn_away(TurnedAway())
            return
        # Told of its end by the run, not by a done callback of the task: that would cost a turn of the loop.
        # The class itself is called: the task has no parent, and the loop's factory would look for one.
        run.on_end = self._ended
        loop = asyncio.get_running_loop()
        run.task = task = asyncio.Task(run.serve(), loop=loop, context=run.context)
        self._roots[task] = run
        own(task, self)

    def adopt(self, task: _Task) -> None:
        """Count a task that was started for a client, such as that of a WebSocket."""
        self._roots[task] = None
        own(task, self)
        task.add_done_callback(self._root_ended)

    def reside(self) -> None:
        """Have what the current task starts stay until `end_residents()`."""
        self._resident = task = asyncio.current_task()
        if task is not None:
            own(task, self)
            task.add_done_callback(disown)

    def spawned(self, task: _Task, parent: _Task) -> None:
        """Take note of a task that one of these has started."""
        self._spawned[task] = self._spawned.get(parent, parent)
        own(task, self)
        task.add_done_callback(self._spawned_ended)

    def _ended(self, run: ASGIRun) -> None:
        if run.task is not None:
            self._root_ended(run.task)

    def _root_ended(self, task: _Task) -> None:
        self._roots.pop(task, None)
        disown(task)

    def _spawned_ended(self, task: _Task) -> None:
        self._spawned.pop(task, None)
        disown(task)

    # ------------------------------------------------------------ ends

    async def drain(self, timeout: float | None) -> None:
        """Wait for what the lifespan does not end, `timeout` seconds at most; then the life is over.

        Until then requests begin: one that runs may wait for another.
        """
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while tasks := self._working():
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                break
            await asyncio.wait(tasks, timeout=left)  # those that they have started meanwhile come next
        self.life.over = True  # without a step of the loop since the look: nothing begins between the two

    async def cancel_rest(self, timeout: float | None) -> None:
        """Cancel what has not ended in the `timeout` seconds of `drain()`."""
        tasks = self._working()
        if tasks:
            _log.warning(
                "%s: %d tasks still ran after %s s and were cancelled", self._name, len(tasks), timeout
            )
            await _cancel(tasks)

    async def end_residents(self) -> None:
        """Cancel what the lifespan has left running, as the end of `asyncio.run()` would."""
        tasks = [task for task, root in self._spawned.items() if root is self._resident]
        self._resident = None
        await _cancel(tasks)

    def _working(self) -> list[_Task]:
        spawned = [task for task, root in self._spawned.items() if root is not self._resident]
        if spawned and self._resident is not None:
            grouped = _grouped_below({id(t) for t, root in self._spawned.items() if root is self._resident})
            spawned = [task for task in spawned if id(task) not in grouped]
        return [task for task in (*self._roots, *spawned) if not task.done()]


def _grouped_below(owners: set[int]) -> set[int]:
    """Give the ids of the tasks in the task groups of anyio that these have open, and in turn in theirs.

    A request may start a task in a group of the lifespan, as the `mcp` SDK does for each session. The end of
    the lifespan is the end of the group: nobody else ends a session whose client has left without a word.
    """
    anyio: Any = sys.modules.get("anyio")
    if anyio is None:
        return set()
    parents: dict[int, int | None] = {info.id: info.parent_id for info in anyio.get_running_tasks()}
    below = owners
    while more := {task for task, parent in parents.items() if parent in below} - below:
        below = below | more
    return below - owners


async def _cancel(tasks: list[_Task]) -> None:
    # A task that is cancelled before its first step runs nothing of its coroutine: a run that has begun in
    # this very turn of the loop would never tell its thread.
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
