"""Measures without a server: what a bridge itself costs (P1, P2, P7, P10)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.measure import Case, Contestants, take_turns
from benchmarks.workloads import (
    BODY,
    asgi_hello,
    asgi_stream,
    discard,
    exhaust,
    new_environ,
    new_scope,
    one_body,
    start_nothing,
    wsgi_hello,
    wsgi_stream,
)
from bridge import LoopThread
from bridge.types import ASGIApp, Message, WSGIApp

EXECUTOR = "run_in_executor"
THREADSAFE = "run_coroutine_threadsafe"

_POOL_THREADS = 40
"""Of the bare executor: as many as a WSGIToASGI has by default."""


# ---------------------------------------------------------------- P1


def wsgi_to_asgi(effort: Effort) -> list[Case]:
    """Measure one request to a WSGI app against a bare hop to a thread and back."""
    targets = {1: 1.0, 10: 0.8, 32: 0.7}
    cases: list[Case] = []
    with ExitStack() as stack:
        turns: list[tuple[Case, Contestants]] = []
        for kind, factory in peers.loop_factories().items():
            runner = stack.enter_context(asyncio.Runner(loop_factory=factory))
            calls = wsgi_to_asgi_calls(runner, stack)
            for concurrency, target in targets.items():
                case = Case("P1", f"{kind}, {concurrency} in flight", "µs", EXECUTOR, target)
                contestants: Contestants = {
                    name: partial(cost_on_loop, runner, call, concurrency, effort.seconds)
                    for name, call in calls.items()
                }
                for turn in contestants.values():
                    turn()  # starts the threads, fills the caches
                turns.append((case, contestants))
                cases.append(case)
        for number in range(effort.rounds):
            for case, contestants in turns:
                take_turns(case, contestants, number)
    return cases


def wsgi_to_asgi_calls(
    runner: asyncio.Runner, stack: ExitStack, *, only: tuple[str, ...] = ()
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Give a request to the hello app as each contestant makes it, and as the bare executor does."""
    pool = stack.enter_context(ThreadPoolExecutor(_POOL_THREADS))
    loop = runner.get_loop()

    def bare() -> Awaitable[object]:
        return loop.run_in_executor(pool, wsgi_hello, new_environ(), start_nothing)

    calls: dict[str, Callable[[], Awaitable[object]]] = {EXECUTOR: bare}
    for name, app in peers.wsgi_to_asgi(wsgi_hello, only=only).items():
        runner.run(_check_asgi(name, app))
        calls[name] = partial(_request, app)
    return calls


def _request(app: ASGIApp) -> Awaitable[object]:
    return app(new_scope(), one_body(), discard)


def cost_on_loop(
    runner: asyncio.Runner, call: Callable[[], Awaitable[object]], concurrency: int, seconds: float
) -> float:
    """Give the time of a request in µs with so many in flight all the time."""
    return runner.run(_keep_calling(call, concurrency, seconds))


async def _keep_calling(call: Callable[[], Awaitable[object]], concurrency: int, seconds: float) -> float:
    now = time.perf_counter
    done = 0

    async def client() -> None:
        nonlocal done
        while now() < end:
            await call()
            done += 1

    start = now()
    end = start + seconds
    await asyncio.gather(*(client() for _ in range(concurrency)))
    return (now() - start) / done * 1e6


async def _check_asgi(name: str, app: ASGIApp) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(new_scope(), one_body(), send)
    if sent[0].get("status") != 200 or b"".join(m.get("body", b"") for m in sent) != BODY:
        raise RuntimeError(f"{name} answered {sent!r}")


# ---------------------------------------------------------------- P2


def asgi_to_wsgi(effort: Effort) -> list[Case]:
    """Measure one request to an ASGI app against a bare hop to the loop and back."""
    cases: list[Case] = []
    with ExitStack() as stack:
        turns: list[tuple[Case, Contestants]] = []
        for kind, factory in peers.loop_factories().items():
            loop_thread, loop = open_loop_thread(factory, stack)
            calls = asgi_to_wsgi_calls(loop_thread, loop)
            for threads in (1, 8, 32):
                case = Case("P2", f"{kind}, {threads} thread{'s' * (threads > 1)}", "µs", THREADSAFE, 1.0)
                contestants: Contestants = {
                    name: partial(cost_in_threads, call, threads, effort.seconds)
                    for name, call in calls.items()
                }
                for turn in contestants.values():
                    turn()
                turns.append((case, contestants))
                cases.append(case)
        for number in range(effort.rounds):
            for case, contestants in turns:
                take_turns(case, contestants, number)
    return cases


def asgi_to_wsgi_calls(
    loop_thread: LoopThread, loop: asyncio.AbstractEventLoop
) -> dict[str, Callable[[], None]]:
    """Give a request to the hello app as each contestant makes it, and as a bare hop to the loop."""
    calls: dict[str, Callable[[], None]] = {THREADSAFE: partial(_bare_request, loop)}
    for name, app in peers.asgi_to_wsgi(asgi_hello, loop_thread, loop).items():
        _check_wsgi(name, app)
        calls[name] = partial(_wsgi_request, app)
    return calls


def open_loop_thread(
    factory: Callable[[], asyncio.AbstractEventLoop], stack: ExitStack
) -> tuple[LoopThread, asyncio.AbstractEventLoop]:
    """Start a loop in a thread, closed with the stack."""

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop_thread = LoopThread(factory)
    stack.callback(loop_thread.close)
    return loop_thread, loop_thread.call(running())


def _bare_request(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.run_coroutine_threadsafe(asgi_hello(new_scope(), one_body(), discard), loop).result()


def _wsgi_request(app: WSGIApp) -> None:
    exhaust(app(new_environ(), start_nothing))


def cost_in_threads(call: Callable[[], None], threads: int, seconds: float) -> float:
    """Give the time of a request in µs with so many threads calling all the time."""
    now = time.perf_counter
    counts = [0] * threads
    begin = threading.Barrier(threads + 1)

    def client(number: int) -> None:
        done = 0
        begin.wait()
        end = now() + seconds
        while now() < end:
            call()
            done += 1
        counts[number] = done

    clients = [threading.Thread(target=client, args=(number,)) for number in range(threads)]
    for thread in clients:
        thread.start()
    begin.wait()
    start = now()
    for thread in clients:
        thread.join()
    return (now() - start) / sum(counts) * 1e6


def _check_wsgi(name: str, app: WSGIApp) -> None:
    seen: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None, /) -> None:
        seen.append(status)

    body = b"".join(app(new_environ(), start_response))  # type: ignore[arg-type]
    if seen != ["200 OK"] or body != BODY:
        raise RuntimeError(f"{name} answered {seen} {body!r}")


# ---------------------------------------------------------------- P7


def streamed_blocks(effort: Effort) -> list[Case]:
    """Measure how many small blocks a second pass, in each direction."""
    count = effort.blocks
    cases: list[Case] = []
    with ExitStack() as stack:
        turns: list[tuple[Case, Contestants]] = []
        for kind, factory in peers.loop_factories().items():
            runner = stack.enter_context(asyncio.Runner(loop_factory=factory))
            down: Contestants = {
                name: partial(_blocks_on_loop, runner, app, count)
                for name, app in peers.wsgi_to_asgi(wsgi_stream(count), only=("a2wsgi",)).items()
            }
            loop_thread, loop = open_loop_thread(factory, stack)
            up: Contestants = {
                name: partial(_blocks_in_thread, app, count)
                for name, app in peers.asgi_to_wsgi(asgi_stream(count), loop_thread, loop).items()
            }
            for direction, contestants in (("WSGI app", down), ("ASGI app", up)):
                for turn in contestants.values():
                    turn()
                case = Case("P7", f"{direction}, {kind}", "blocks/s", "a2wsgi", 8.0, "at least")
                turns.append((case, contestants))
                cases.append(case)
        for number in range(effort.rounds):
            for case, contestants in turns:
                take_turns(case, contestants, number)
    return cases


def _blocks_on_loop(runner: asyncio.Runner, app: ASGIApp, count: int) -> float:
    async def run() -> float:
        start = time.perf_counter()
        await _request(app)
        return count / (time.perf_counter() - start)

    return runner.run(run())


def _blocks_in_thread(app: WSGIApp, count: int) -> float:
    start = time.perf_counter()
    _wsgi_request(app)
    return count / (time.perf_counter() - start)


# ---------------------------------------------------------------- P10


def import_time(effort: Effort) -> list[Case]:
    """Measure what an import adds to an interpreter that has asyncio."""
    statements = {
        "import of the package": {peers.US: "import bridge", "a2wsgi": "import a2wsgi"},
        "import of both adapters": {
            peers.US: "from bridge import ASGIToWSGI, WSGIToASGI",
            "a2wsgi": "from a2wsgi import ASGIMiddleware, WSGIMiddleware",
        },
    }
    cases: list[Case] = []
    for title, by_name in statements.items():
        contestants: Contestants = {
            name: partial(_import_ms, statement)
            for name, statement in by_name.items()
            if name == peers.US or peers.load(name, name, "__name__") is not None
        }
        case = Case("P10", f"{title}, beyond the interpreter and asyncio", "ms", None, 30.0)
        for turn in contestants.values():
            turn()  # writes the byte code
        for number in range(effort.imports):
            take_turns(case, contestants, number)
        cases.append(case)
    return cases


def _import_ms(statement: str) -> float:
    code = (
        f"import asyncio, time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    )
    # An installed package has its bytecode; without it this would be the time of the compiler.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout) * 1000
