"""What one pending request takes of memory: `python -m benchmarks.pending "WSGI app" bridge 1000`.

Prints KiB of resident memory per request, at the peak. Run in a process of its own, so that nothing that
was freed before can be used again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil

from benchmarks import peers
from benchmarks.in_process import open_loop_thread
from benchmarks.workloads import (
    asgi_hello,
    discard,
    exhaust,
    new_environ,
    new_scope,
    one_body,
    start_nothing,
    wsgi_hello,
)
from bridge.types import Environ, Receive, Scope, Send, StartResponse


def main() -> None:
    """Print the figure."""
    kind, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    measure = _wsgi_app if kind == "WSGI app" else _asgi_app
    print(measure(name, count) / count / 1024)


def _rss() -> int:
    rss: int = psutil.Process().memory_info().rss
    return rss


def _wsgi_app(name: str, count: int) -> int:
    gate = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        gate.wait()
        return wsgi_hello(environ, start_response)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(40)
        apps = peers.wsgi_to_asgi(app, only=("a2wsgi",))

        async def request() -> None:
            if name in apps:
                await apps[name](new_scope(), one_body(), discard)
            else:
                await loop.run_in_executor(pool, app, new_environ(), start_nothing)

        gate.set()
        await request()
        gate.clear()
        before = _rss()
        tasks = [loop.create_task(request()) for _ in range(count)]
        await asyncio.sleep(1)
        peak = _rss()
        gate.set()
        await asyncio.gather(*tasks)
        return max(peak, _rss()) - before

    return asyncio.run(run())


def _asgi_app(name: str, count: int) -> int:
    with ExitStack() as stack:
        loop_thread, loop = open_loop_thread(asyncio.new_event_loop, stack)
        gate = asyncio.Event()
        pending = threading.Semaphore(0)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                pending.release()
                await gate.wait()
            await asgi_hello(scope, receive, send)

        apps = peers.asgi_to_wsgi(app, loop_thread, loop)

        def bare() -> None:
            asyncio.run_coroutine_threadsafe(app(new_scope(), one_body(), discard), loop).result()

        def bridged() -> None:
            exhaust(apps[name](new_environ(), start_nothing))

        call: Callable[[], None] = bridged if name in apps else bare
        loop.call_soon_threadsafe(gate.set)
        call()
        pending.acquire()
        loop.call_soon_threadsafe(gate.clear)
        before = _rss()
        threads = [threading.Thread(target=call) for _ in range(count)]
        for thread in threads:
            thread.start()
        for _ in range(count):
            pending.acquire()
        peak = _rss()
        loop.call_soon_threadsafe(gate.set)
        for thread in threads:
            thread.join()
        return max(peak, _rss()) - before


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the peers leave threads behind
