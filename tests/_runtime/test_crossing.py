from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from bridge._runtime import inlet as inlet_module
from bridge._runtime import outlet as outlet_module
from bridge._runtime.inlet import Inlet
from bridge._runtime.mailbox import Mailbox
from bridge._runtime.outlet import Outlet
from bridge.errors import ClientDisconnected

SECONDS = 10


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


async def joined(thread: threading.Thread) -> None:
    await asyncio.to_thread(thread.join, SECONDS)
    assert not thread.is_alive()


async def test_many_posts_share_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    calls: list[object] = []
    wake = loop.call_soon_threadsafe

    def counted(act: Callable[[], object]) -> object:
        calls.append(act)
        return wake(act)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    seen: list[int] = []

    for number in range(100):
        mailbox.post(lambda number=number: seen.append(number))  # type: ignore[misc]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert seen == list(range(100))
    assert len(calls) == 1


async def test_posts_of_many_threads_all_arrive_in_the_order_of_each() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    seen: list[tuple[int, int]] = []

    def post_in_order(thread: int) -> None:
        for number in range(200):
            mailbox.post(lambda pair=(thread, number): seen.append(pair))  # type: ignore[misc]

    threads = [in_thread(lambda t=t: post_in_order(t)) for t in range(8)]  # type: ignore[misc]
    for thread in threads:
        await joined(thread)
    await asyncio.sleep(0.0)
    await asyncio.sleep(0.0)

    assert len(seen) == 1600
    for t in range(8):
        assert [n for thread_, n in seen if thread_ == t] == list(range(200))


async def test_an_act_that_fails_does_not_stop_the_others() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    reported: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    done = asyncio.Event()

    mailbox.post(lambda: 1 / 0)
    mailbox.post(done.set)
    await asyncio.wait_for(done.wait(), SECONDS)

    assert isinstance(reported[0]["exception"], ZeroDivisionError)


def test_a_post_to_a_closed_loop_says_that_nobody_is_left() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()

    with pytest.raises(ClientDisconnected):
        mailbox.post(print)


async def test_an_outlet_gives_items_in_order_across_threads() -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()))

    def put_all() -> None:
        for number in range(1000):
            outlet.put(number, 0)

    thread = in_thread(put_all)

    assert [await outlet.take() for _ in range(1000)] == list(range(1000))
    await joined(thread)


async def test_a_thread_waits_while_more_than_the_high_water_mark_is_unsent() -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()), high_water_bytes=10)
    put: list[int] = []

    def put_all() -> None:
        for number in range(6):
            outlet.put(number, 4)
            put.append(number)

    thread = in_thread(put_all)

    assert [await outlet.take() for _ in range(3)] == [0, 1, 2]
    assert len(put) <= 2  # the third is taken, but as long as nothing has left, its put() has not returned
    outlet.sent(12)
    assert [await outlet.take() for _ in range(3)] == [3, 4, 5]
    outlet.sent(12)
    await joined(thread)

    assert put == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("end", ["close", "cut"])
async def test_a_waiting_thread_is_freed_when_its_outlet_is_closed(end: str) -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()), high_water_bytes=1)
    raised: list[BaseException] = []

    def put() -> None:
        try:
            outlet.put(1, 100)
        except ClientDisconnected as exc:
            raised.append(exc)

    thread = in_thread(put)
    await outlet.take()
    getattr(outlet, end)()
    await joined(thread)

    assert len(raised) == 1


async def test_a_cut_outlet_raises_in_the_task() -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()))
    taking = asyncio.ensure_future(outlet.take())
    await asyncio.sleep(0)

    outlet.cut()

    with pytest.raises(ClientDisconnected):
        await asyncio.wait_for(taking, SECONDS)


async def test_a_failure_is_raised_after_the_items_before_it() -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()))

    def put_and_fail() -> None:
        outlet.put(1, 0)
        outlet.fail(KeyError("x"))

    await joined(in_thread(put_and_fail))

    assert await outlet.take() == 1
    with pytest.raises(KeyError):
        await outlet.take()


async def test_a_cancelled_take_loses_no_item() -> None:
    outlet: Outlet[int] = Outlet(Mailbox(asyncio.get_running_loop()))
    taking = asyncio.ensure_future(outlet.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])

    await joined(in_thread(lambda: outlet.put(7, 0)))

    assert await asyncio.wait_for(outlet.take(), SECONDS) == 7


async def test_an_inlet_bounds_what_waits_for_the_thread() -> None:
    inlet: Inlet[int] = Inlet(Mailbox(asyncio.get_running_loop()), high_water_bytes=10)
    crowded: list[bool] = []
    for number in (1, 2):
        inlet.put(number, 8)
        crowded.append(inlet.crowded)
    waiting = asyncio.ensure_future(inlet.room())
    await asyncio.sleep(0)
    assert not waiting.done()

    got: list[int] = []
    await joined(in_thread(lambda: got.extend([inlet.get(), inlet.get()])))

    await asyncio.wait_for(waiting, SECONDS)
    assert got == [1, 2]
    assert crowded == [False, True]


async def test_waiting_for_room_ends_when_it_is_woken() -> None:
    inlet: Inlet[int] = Inlet(Mailbox(asyncio.get_running_loop()), high_water_bytes=1)
    inlet.put(1, 100)
    waiting = asyncio.ensure_future(inlet.room())
    await asyncio.sleep(0)

    inlet.wake()

    await asyncio.wait_for(waiting, SECONDS)


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda mailbox: Inlet[int](mailbox).get(), id="inlet"),
        pytest.param(lambda mailbox: Outlet[int](mailbox, high_water_bytes=1).put(1, 100), id="outlet"),
    ],
)
def test_a_thread_does_not_wait_for_a_loop_that_is_gone(
    wait: Callable[[Mailbox], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inlet_module, outlet_module):
        monkeypatch.setattr(module, "LOOK_UP_SECONDS", 0.01)
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()

    with pytest.raises(ClientDisconnected):
        wait(mailbox)


@pytest.mark.spec("SEC-20")
def test_each_post_to_a_loop_that_is_closed_is_told_so() -> None:
    loop = asyncio.new_event_loop()
    mailbox = Mailbox(loop)
    loop.close()

    for _ in range(2):
        with pytest.raises(ClientDisconnected):
            mailbox.post(lambda: None)
