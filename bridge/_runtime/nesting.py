"""Requests within requests: what a WSGI app in a worker thread asks, through bridges, of its own pool.

A WSGI app calls an ASGI app through a bridge and waits. If that calls a WSGI app of the same pool, it would
wait for a thread that waits for it. So a request knows in which jobs it is nested: the WSGI side of a bridge
sees by its thread that it is called in a job, and notes it in the context that the ASGI app gets.

An ordinary request pays a look at a context variable that is not set, or at a dict that has no such thread.
"""

from __future__ import annotations

import contextvars
from typing import TypeAlias

from bridge._runtime.worker import Job, Worker, current_worker
from bridge._runtime.worker_pool import WorkerPool
from bridge.errors import Overloaded

__all__ = ["ANCESTORS", "note_ancestor", "submit_within"]

_MOST_NESTED = 50  # each level holds a thread; who nests deeper never comes to an end

Ancestors: TypeAlias = "tuple[tuple[Worker, int], ...]"
"""The workers whose jobs wait for this, the outermost first, each with its turn at that time."""

ANCESTORS: contextvars.ContextVar[Ancestors] = contextvars.ContextVar("bridge-ancestors", default=())


def note_ancestor(context: contextvars.Context) -> None:
    """Note in the context of an ASGI app in which job it is called; called in the thread of the caller."""
    worker = current_worker()
    if worker is not None:
        context.run(ANCESTORS.set, (*ANCESTORS.get(), (worker, worker.turn)))


def submit_within(pool: WorkerPool, job: Job, own: Worker | None) -> tuple[WorkerPool, bool]:
    """Submit a job that may be nested in others: not to threads that wait for it.

    Args:
        pool: that of the adapter.
        job: what is to run.
        own: the worker whose thread runs the loop of this request, if it is one.

    Returns:
        The pool that has it, and whether it waits there.

    Raises:
        Overloaded: see `WorkerPool.submit()`; or it is nested too deeply.
    """
    ancestors = ANCESTORS.get()
    if own is not None:
        ancestors = (*ancestors, (own, own.turn))
    if len(ancestors) > _MOST_NESTED:
        raise Overloaded(f"a request is nested in more than {_MOST_NESTED} others")
    for worker, turn in reversed(ancestors):
        if worker.pool.root is not pool or (nested := worker.nested_in(turn)) is None:
            continue
        try:
            return nested, nested.submit(job)
        except Overloaded:
            if not nested.closed:
                raise
            # The job that it was nested in has just ended: nobody waits for it any more.
    return pool, pool.submit(job)
