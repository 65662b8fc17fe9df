"""What all requests of one `ASGIToWSGI` share."""

from __future__ import annotations

from dataclasses import dataclass

from bridge._protocol.limits import Limits
from bridge._runtime.app_life import AppLife
from bridge._runtime.concurrency import Concurrency
from bridge._runtime.loop import LoopThread
from bridge._runtime.observing import Meter, Observing, Tally
from bridge._runtime.tasks import TaskSet

__all__ = ["ASGISettings"]


@dataclass(frozen=True, slots=True)
class ASGISettings:
    """What all requests of an adapter share; most are its arguments.

    Attributes:
        name: of the app, in log lines and errors.
        limits: what of a request is refused.
        loop_thread: runs the app.
        life: of the app.
        tasks: its requests.
        concurrency: how many of them there may be; None for any number.
        cancel_timeout: see `ASGIToWSGI`.
        request_timeout: see `ASGIToWSGI`.
        tally: counts the requests that do not end as they should.
        meter: counts bytes and durations; None where nobody asked for it.
        observing: tells observers of each request; None where there are none.
    """

    name: str
    limits: Limits
    loop_thread: LoopThread
    life: AppLife
    tasks: TaskSet
    concurrency: Concurrency | None
    cancel_timeout: float | None
    request_timeout: float | None
    tally: Tally
    meter: Meter | None
    observing: Observing | None
