"""How the cost of a request grows: with requests in flight, header fields, and bytes of body (P11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import peers
from benchmarks.effort import Effort
from benchmarks.in_process import (
    EXECUTOR,
    THREADSAFE,
    asgi_to_wsgi_calls,
    cost_in_threads,
    cost_on_loop,
    open_loop_thread,
    wsgi_to_asgi_calls,
)
from benchmarks.measure import Case, Contestants, take_turns
from benchmarks.workloads import (
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
from bridge.types import ASGIApp, WSGIApp

IN_FLIGHT = (1, 2, 5, 10, 20, 50, 100, 200)
FIELDS = (5, 10, 20, 50, 100)
SIZES_KIB = (1, 16, 64, 1024, 16 * 1024, 100 * 1024)

_WATCHED = (peers.US, "a2wsgi", EXECUTOR, THREADSAFE)
_BLOCK = 64 * 1024


def growth(effort: Effort) -> list[Case]:
    """Measure the three kinds of growth, in each direction, on asyncio's loop."""
    turns: list[tuple[Case, Contestants]] = []
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        loop_thread, loop = open_loop_thread(asyncio.new_event_loop, stack)

        calls = wsgi_to_asgi_calls(runner, stack, only=("a2wsgi",))
        threaded = asgi_to_wsgi_calls(loop_thread, loop)
        for amount in IN_FLIGHT:
            down: Contestants = {
                n: partial(cost_on_loop, runner, c, amount, effort.seconds) for n, c in calls.items()
            }
            up: Contestants = {
                n: partial(cost_in_threads, c, amount, effort.seconds) for n, c in threaded.items()
            }
            turns.append(_case("WSGI app, requests in flight", amount, down))
            turns.append(_case("ASGI app, requests in flight", amount, up))

        asgi = peers.wsgi_to_asgi(wsgi_hello, only=("a2wsgi",))
        wsgi = peers.asgi_to_wsgi(asgi_hello, loop_thread, loop)
        for amount in FIELDS:
            turns.append(_case("WSGI app, header fields", amount, _scopes(runner, asgi, amount, effort)))
            turns.append(_case("ASGI app, header fields", amount, _environs(wsgi, amount, effort)))

        for amount in SIZES_KIB:
            blocks = max(1, amount * 1024 // _BLOCK)
            block = bytes(min(_BLOCK, amount * 1024))
            apps = peers.wsgi_to_asgi(wsgi_stream(blocks, block), only=("a2wsgi",))
            turns.append(_case("WSGI app, KiB of response", amount, _scopes(runner, apps, 10, effort, 1)))
            others = peers.asgi_to_wsgi(asgi_stream(blocks, block), loop_thread, loop)
            turns.append(_case("ASGI app, KiB of response", amount, _environs(others, 10, effort, 1)))

        for number in range(min(5, effort.rounds)):
            for case, contestants in turns:
                take_turns(case, contestants, number)
    return sorted((case for case, _ in turns), key=lambda case: case.name.partition(":")[0])  # stable


def _case(thing: str, amount: int, contestants: Contestants) -> tuple[Case, Contestants]:
    watched = {name: turn for name, turn in contestants.items() if name in _WATCHED}
    return Case("P11", f"{thing}: {amount}", "µs"), watched


def _scopes(
    runner: asyncio.Runner, apps: dict[str, ASGIApp], fields: int, effort: Effort, in_flight: int = 8
) -> Contestants:
    def call(app: ASGIApp) -> Callable[[], Awaitable[object]]:
        return lambda: app(new_scope(fields), one_body(), discard)

    return {n: partial(cost_on_loop, runner, call(a), in_flight, effort.seconds) for n, a in apps.items()}


def _environs(apps: dict[str, WSGIApp], fields: int, effort: Effort, threads: int = 8) -> Contestants:
    def call(app: WSGIApp) -> Callable[[], None]:
        return lambda: exhaust(app(new_environ(fields), start_nothing))

    return {n: partial(cost_in_threads, call(a), threads, effort.seconds) for n, a in apps.items()}
