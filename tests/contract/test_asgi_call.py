"""An app that is called on the loop of its host hears of a lost client as one across the bridge does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bridge._runtime.asgi_call import ASGICall
from bridge.types import Receive, Scope, Send
from tests.contract.asgi_specimens import WAIT_SECONDS, body, cancel_when_told, start
from tests.support.asgi import http_scope


async def nothing() -> tuple[bytes, bool]:
    return b"", False


async def begin_and_leave(call: ASGICall) -> None:
    await call.start()
    blocks = call.blocks()
    await anext(blocks)
    await blocks.aclose()  # type: ignore[attr-defined]


@pytest.mark.spec("A-31", "A-33")
async def test_an_app_that_listens_can_cancel_its_sender_before_its_send_raises() -> None:
    ends: list[str] = []
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def stream() -> None:
            try:
                await send(start())
                while True:
                    await send(body(b"x", more=True))
            except BaseException as exc:
                ends.append(type(exc).__name__)
                raise

        await receive()
        await cancel_when_told(receive, stream())
        ended.set()

    await begin_and_leave(ASGICall(app, http_scope(), nothing))

    async with asyncio.timeout(WAIT_SECONDS):
        await ended.wait()
    assert ends == ["CancelledError"]


@pytest.mark.spec("A-33", "SEC-22")
async def test_the_sender_of_an_app_that_listens_is_cancelled_where_it_waits_itself() -> None:
    at: list[str] = []
    ended = asyncio.Event()

    async def stream(send: Send) -> None:
        await send(start())
        for place in ("first", "second", "third"):  # two are taken, and one waits until the client leaves
            at.append(place)
            await send(body(b"x", more=True))
        at.append("view")
        await asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await cancel_when_told(receive, stream(send))
        ended.set()

    await begin_and_leave(ASGICall(app, http_scope(), nothing))

    async with asyncio.timeout(WAIT_SECONDS):
        await ended.wait()
    assert at[-1] == "view"


@pytest.mark.spec("A-33", "SEC-22")
async def test_the_generators_of_an_app_that_keeps_its_own_error_are_closed(no_gc: None) -> None:
    closed, kept = asyncio.Event(), []

    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        generator = blocks()
        await send(start())
        try:
            for block in generator:
                await send(body(block, more=True))
        except OSError as exc:
            kept.append(exc)
            raise

    await begin_and_leave(ASGICall(app, http_scope(), nothing))

    async with asyncio.timeout(WAIT_SECONDS):
        await closed.wait()
    assert len(kept) == 1


@pytest.mark.spec("A-33", "SEC-34")
@pytest.mark.parametrize("taken", [False, True], ids=["untaken", "taken"])
async def test_an_error_that_nobody_asks_for_any_more_is_logged_and_one_that_is_raised_is_not(
    taken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    error, ended = ValueError("of the app"), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(start())
            await send(body(b"x", more=True))
            raise error
        finally:
            ended.set()

    call = ASGICall(app, http_scope(), nothing)
    await call.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await ended.wait()
    await asyncio.sleep(0)

    if taken:
        with pytest.raises(ValueError, match="of the app"):
            await anext(call.blocks())
    call.leave()

    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert logged == ([] if taken else [error])
