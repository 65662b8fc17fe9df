"""One event loop in one thread, for all ASGI apps of a worker process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from types import ModuleType
from typing import Any, Protocol, TypeVar

from bridge._runtime.context import renew_locals
from bridge._runtime.ending import close_at_exit
from bridge._runtime.fork import LateLock, not_forked_meanwhile, reset_in_child
from bridge._runtime.inlet import Inlet
from bridge._runtime.lineage import watch_tasks
from bridge._runtime.mailbox import Mailbox
from bridge.errors import BridgeError, ConfigurationError, Overloaded

__all__ = ["LoopThread", "asyncio_loop", "shared_loop_thread"]

_log = logging.getLogger("bridge.loop")

T = TypeVar("T")

# The loops of parents, in forked children. They share the selector with the parent: closing one, as its
# finalizer would, could unregister the parent's sockets.
_abandoned: list[object] = []


class _Thread(Protocol):
    def start(self) -> None: ...
    def join(self, timeout: float) -> None: ...


class LoopThread:
    """An event loop on a thread of its own: started by its first use, ended by `close()`.

    It survives whatever its apps do, and a fork: the child begins without a loop. uvloop is used where it
    is installed. Under gevent the thread is one of the system all the same, and the loop asyncio's.

    Args:
        loop_factory: makes the loop; None for uvloop if there is one, else asyncio's.

    Raises:
        ConfigurationError: the factory is no function.
    """

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        if loop_factory is not None and not callable(loop_factory):
            raise ConfigurationError(
                f"loop_factory={loop_factory!r}: expected a function that makes a loop, or None"
            )
        self._factory = loop_factory
        self._closed_for_good = False
        self._mailbox: Mailbox | None = None
        self.after_fork()
        reset_in_child(self)

    def after_fork(self) -> None:
        """Begin afresh in a forked child, which has neither the thread nor a loop of its own."""
        if self._mailbox is not None:
            _abandoned.append(self._mailbox)
        self._lock = LateLock()
        self._mailbox = None
        self._thread: _Thread | None = None

    @property
    def running(self) -> bool:
        """Whether there is a loop."""
        return self._mailbox is not None

    @property
    def mailbox(self) -> Mailbox | None:
        """The mailbox of the loop, if there is a loop."""
        return self._mailbox

    def start(self) -> Mailbox:
        """Give the mailbox of the loop; start it if need be. Called from any thread but the loop's.

        Raises:
            BridgeError: called on the loop itself, which would wait for itself for ever.
            Overloaded: the process is about to end.
        """
        mailbox = self._mailbox
        if mailbox is None:
            with self._lock:
                mailbox = self._mailbox
                if mailbox is None:
                    mailbox = self._start()
        if asyncio._get_running_loop() is mailbox.loop:
            raise BridgeError("ASGIToWSGI was called on the event loop that it needs: call it in a thread")
        return mailbox

    def _start(self) -> Mailbox:
        if self._closed_for_good:
            raise Overloaded("the process ends")
        # A daemon: it is closed at exit, after its adapters; a stuck app must not keep the process alive.
        close_at_exit(self)
        greenlets = _greenlets()
        if greenlets is None:
            ready: SimpleQueue[Mailbox | BaseException] = SimpleQueue()
            self._thread = threading.Thread(target=lambda: self._run(ready), name="bridge-loop", daemon=True)
        else:
            renew_locals()
            ready = greenlets.HubQueue()
            self._thread = greenlets.SystemThread(lambda: self._run(ready, greenlets), "bridge-loop")
        self._thread.start()
        begun = ready.get()
        if isinstance(begun, BaseException):
            raise begun
        self._mailbox = begun
        return begun

    def _run(self, ready: SimpleQueue[Mailbox | BaseException], greenlets: ModuleType | None = None) -> None:
        try:
            loop = (self._factory or (_best_loop if greenlets is None else greenlets.new_event_loop))()
        except BaseException as exc:  # the starter waits for it
            ready.put(exc)
            return
        asyncio.set_event_loop(loop)
        watch_tasks(loop)
        mailbox = Mailbox(loop, SimpleQueue if greenlets is None else greenlets.HubQueue)
        ready.put(mailbox)
        try:
            while True:
                try:
                    loop.run_forever()
                    return
                except (SystemExit, KeyboardInterrupt) as exc:
                    # asyncio lets these two out of a task and through run_forever; the other requests of
                    # this loop have nothing to do with it.
                    _log.error("a task raised %s; the loop goes on", type(exc).__name__, exc_info=exc)
        finally:
            loop.run_until_complete(_wind_up(loop))
            asyncio.set_event_loop(None)
            loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its end. Called from any thread but the loop's."""
        mailbox = self.start()
        inlet: Inlet[asyncio.Task[T]] = Inlet(mailbox)  # waits also where the thread is a greenlet
        context = contextvars.copy_context()
        begin = mailbox.loop.create_task
        mailbox.post(lambda: begin(work, context=context).add_done_callback(inlet.put))
        return inlet.get().result()

    def close(self) -> None:
        """End the loop and its thread; what still runs on it is cancelled. The next use starts another."""
        with self._lock:
            mailbox, thread = self._mailbox, self._thread
            if mailbox is None or thread is None:
                return
            self._mailbox = self._thread = None
        loop = mailbox.loop
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)

    def close_for_good(self) -> None:
        """Close at the end of the process: a request that is late must not start another loop."""
        self._closed_for_good = True
        self.close()


async def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    # A thread of the app that never ends is not waited for. RuntimeError: CPython 3.12.0 and 3.12.1 start no
    # thread once the process ends (gh-113964), not even the one that would join these.
    with contextlib.suppress(TimeoutError, RuntimeError):
        async with asyncio.timeout(5.0):
            await loop.shutdown_asyncgens()
            await loop.shutdown_default_executor()


def _greenlets() -> ModuleType | None:
    """Give what it takes where gevent has made greenlets of threads."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return None
    import bridge._runtime.greenlets

    return bridge._runtime.greenlets


def _best_loop() -> asyncio.AbstractEventLoop:
    try:
        with not_forked_meanwhile:
            import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


_shared = LoopThread()


def shared_loop_thread() -> LoopThread:
    """Give the loop of this process that all adapters use unless told otherwise (A-38)."""
    return _shared


def asyncio_loop() -> asyncio.AbstractEventLoop:
    """Give the running loop of an ASGI server.

    Raises:
        ConfigurationError: the server does not run on asyncio, as hypercorn's trio worker.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "the server runs on something else than asyncio, as hypercorn does with --worker-class trio; "
            "bridge needs asyncio (or uvloop)"
        ) from None
