"""Whose tasks are whose: one that an app starts belongs to the request in which it is started.

Asked is the task that runs while another is made, so an ordinary request, which makes none, pays nothing. A
task that is made elsewhere belongs to nobody: in a callback of the loop (`call_later`), from a thread
(`run_coroutine_threadsafe`), or by a library that has put its own task factory in place of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

__all__ = ["Owner", "disown", "keep", "own", "watch_tasks"]

# What an app makes a task of, and gets: asyncio has no narrower types for a task factory.
_Coroutine: TypeAlias = Coroutine[Any, Any, Any]
_Task: TypeAlias = asyncio.Task[Any]


class Owner(Protocol):
    """Who wants to know of the tasks that its tasks start."""

    def spawned(self, task: _Task, parent: _Task) -> None:
        """Take note of a task that `parent`, which is owned, has started; called on the loop."""


# Of all loops: a dict is changed in one step under the GIL, and each key by one loop only. A loop holds its
# tasks weakly; this is what keeps them, also where an adapter is dropped while its requests, or their
# background work, still run. In a forked child it keeps those of the parent from being torn down there.
_owners: dict[_Task, Owner | None] = {}


def own(task: _Task, owner: Owner) -> None:
    """Note whose a task is, until `disown()`."""
    _owners[task] = owner


def keep(task: _Task) -> None:
    """Keep a task until it has ended, also if it is nobody's."""
    _owners.setdefault(task, None)
    task.add_done_callback(disown)


def disown(task: _Task) -> None:
    """Forget a task that has ended."""
    _owners.pop(task, None)


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the owners on a loop told of the tasks that are started; a factory it has goes on making them."""
    factory: Callable[..., Any] = loop.get_task_factory() or _make_task

    def make(loop: asyncio.AbstractEventLoop, coro: _Coroutine, **options: Any) -> _Task:
        task: _Task = factory(loop, coro, **options)
        parent = asyncio.current_task(loop)
        if parent is not None and (owner := _owners.get(parent)) is not None and not task.done():
            if _is_of_the_loop(coro):
                keep(task)
            else:
                owner.spawned(task, parent)
        return task

    # Any: the type of a task factory has grown arguments with each version of Python.
    made: Any = make
    loop.set_task_factory(made)


def _is_of_the_loop(coro: _Coroutine) -> bool:
    """Tell whether a task serves its loop for as long as that runs, whoever came first and started it.

    sse-starlette (2 and 3) has one on each loop that asks every half second whether uvicorn ends. Under a
    WSGI server it never learns of an end: an app that has sent one event stream took all of `task_timeout`
    to close.

    It is known by its name, since nothing else tells it from work that a request leaves behind: both are made
    by `create_task()` in the task of a request, in a copy of its context, and are in no task group. Nor does
    it tell that nobody holds or awaits it, or that a library made it: so is much work that must be done.
    """
    if getattr(coro, "__qualname__", "") != "_shutdown_watcher":
        return False
    frame = getattr(coro, "cr_frame", None)
    return frame is not None and frame.f_globals.get("__name__") == "sse_starlette.sse"


def _make_task(loop: asyncio.AbstractEventLoop, coro: _Coroutine, **options: Any) -> _Task:
    return asyncio.Task(coro, loop=loop, **options)
