"""The life of an ASGI app in one process: started before its first request, ended with all that it began."""

from __future__ import annotations

import contextlib
import logging
import weakref
from typing import Literal, Protocol

from bridge._runtime.ending import close_at_exit
from bridge._runtime.fork import LateLock, reset_in_child
from bridge._runtime.life import NO_LIFE, Life
from bridge._runtime.lifespan import Lifespan
from bridge._runtime.lineage import keep
from bridge._runtime.loop import LoopThread
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.tasks import TaskSet
from bridge._runtime.wsgi_host import close_with_caller
from bridge.errors import ClientDisconnected, LifespanFailed, Overloaded
from bridge.types import ASGIApp

__all__ = ["AppLife"]

_log = logging.getLogger("bridge.asgi")


class Connections(Protocol):
    """Connections that last, and are ended before the app is."""

    def reopen(self) -> None:
        """Let more begin after a `close()`."""

    def close(self, timeout: float | None) -> bool:
        """End all, and let none begin; tell whether they ended within `timeout` seconds."""


class AppLife:
    """Starts an app once, on the loop of the process, and ends it; an app has one life at a time.

      stage                 tasks.life   over  lock
      ────────────────────  ───────────  ────  ─────────────────────────────
      not started, stopped  NO_LIFE      yes   free
      starting              NO_LIFE      yes   held by the first that came
      serving               of this app  no    free
      draining              of this app  no    free
      drained               of this app  yes   free
      stopping              NO_LIFE      yes   held by the first that came

    Who finds the life over takes the lock: so it waits while the app starts or stops. It ends the one that is
    drained, should `close()` not have come to it, and starts the next. On the loop the step from draining to
    drained is one with the look that nothing runs any more. A request that is posted behind it is turned away
    by the loop, and does the same; so nothing is counted on its way there, and nobody waits for it.

    Args:
        app: the ASGI app.
        loop_thread: the loop.
        tasks: of its requests, and what they have started.
        websockets: those that are open.
        name: of the app, in log lines and errors.
        mode: see the argument `lifespan` of `ASGIToWSGI`.
        startup_timeout: what the app has to start in, in seconds; None for as long as it takes.
        task_timeout: what its tasks have to end in before it is shut down.
        shutdown_timeout: what it then has to stop in.
    """

    def __init__(
        self,
        app: ASGIApp,
        loop_thread: LoopThread,
        tasks: TaskSet,
        websockets: Connections,
        *,
        name: str,
        mode: Literal["auto", "on", "off"],
        startup_timeout: float | None,
        task_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> None:
        self._app = app
        self._name = name
        self._loop_thread = loop_thread
        self._mode = mode
        self._startup_timeout = startup_timeout
        self._task_timeout = task_timeout
        self._shutdown_timeout = shutdown_timeout
        self._closed_for_good = False
        self._tasks = tasks
        self._websockets = websockets
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child: each worker has its own lifespan (L-15)."""
        self._lock = LateLock()
        self._failure: LifespanFailed | None = None

    def start(self) -> Life:
        """Start the app, once; concurrent callers wait for the same startup (L-16).

        Returns:
            The life that it has now.

        Raises:
            LifespanFailed: the app did not start; every later call raises the same.
            Overloaded: the process is about to end.
            BridgeError: called on the loop itself.
        """
        self._loop_thread.start()  # raises on the loop itself, before it could wait for the lock
        tasks = self._tasks
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._closed_for_good:
                raise Overloaded("the process ends")
            if tasks.life.over:
                self._end_life()
                life = Life(None if self._mode == "off" else self._start_lifespan())
                close_at_exit(self)
                close_with_caller(self)
                tasks.life = life
            return tasks.life

    def _start_lifespan(self) -> Lifespan:
        async def start() -> Lifespan:  # on the loop that serves the requests (L-02)
            self._tasks.reside()
            lifespan = Lifespan(self._app, required=self._mode == "on", name=self._name)
            try:
                await lifespan.startup(self._startup_timeout)
            except LifespanFailed:
                await self._tasks.end_residents()  # the app may wait on, and what it has started too
                raise
            return lifespan

        try:
            lifespan = self._loop_thread.call(start())
        except LifespanFailed as exc:
            self._failure = exc
            raise
        # For an adapter that is dropped without a close; `shutdown()` does nothing the second time.
        mailbox = self._loop_thread.start()
        timeout = self._shutdown_timeout
        weakref.finalize(self, _end_later, mailbox, lifespan, self._tasks, timeout).atexit = False
        return lifespan

    def close(self) -> None:
        """End the WebSockets, wait for the tasks, shut the app down; the loop stays.

        Blocks. The next `start()` starts it again.

        Raises:
            BridgeError: called on the loop itself.
        """
        if self._loop_thread.running:
            self._loop_thread.start()  # raises on the loop itself, before anything is lost
        with self._lock:  # a start that is under way comes first
            self._failure = None
            if self._closed_for_good:
                self._tasks.life.over = True  # what comes from here on is refused, not served once more
        if self._loop_thread.running:
            if not self._websockets.close(self._shutdown_timeout):
                _log.warning("%s: WebSockets were still open after the shutdown timeout", self._name)
            try:
                self._loop_thread.call(self._tasks.drain(self._task_timeout))  # no lock: see the class
            finally:
                self._websockets.reopen()
        else:
            self._tasks.life.over = True
        with self._lock:
            self._end_life()
        _log.debug("%s is closed", self._name)

    def _end_life(self) -> None:
        """End the life that is over, if nobody has done so and begun another; under the lock."""
        life = self._tasks.life
        if life is NO_LIFE or not life.over:
            return
        self._tasks.life = NO_LIFE
        if self._loop_thread.running:
            self._loop_thread.call(self._end(life))

    async def _end(self, life: Life) -> None:
        await self._tasks.cancel_rest(self._task_timeout)
        if life.lifespan is not None:
            await _end(life.lifespan, self._tasks, self._shutdown_timeout)

    def close_for_good(self) -> None:
        """Close at the end of the process: a request that is late must not start the app again."""
        self._closed_for_good = True
        self.close()


async def _end(lifespan: Lifespan, tasks: TaskSet, timeout: float | None) -> None:
    await lifespan.shutdown(timeout)
    await tasks.end_residents()


def _end_later(mailbox: Mailbox, lifespan: Lifespan, tasks: TaskSet, timeout: float | None) -> None:
    """Have the app shut down on its loop; called by the garbage collector, so in any thread."""
    with contextlib.suppress(ClientDisconnected):  # the loop is closed
        mailbox.post(lambda: keep(mailbox.loop.create_task(_end(lifespan, tasks, timeout))))
