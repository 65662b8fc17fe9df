from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge._protocol.frames import Frames
from bridge._protocol.websocket import Close
from bridge._runtime.websocket_channel import Channel, open_channel
from bridge.errors import ClientDisconnected

LIMIT = 1_000_000
EMPTY_PONG = b"\x8a\x80\0\0\0\0"  # masked, as a client's; nobody answers a pong


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel that is a server, and the client's end of its socket."""
    near, far = socket.socketpair()
    channel = Channel(Frames(client=False, max_message_bytes=LIMIT))
    await open_channel(near, channel)
    yield channel, far
    channel.abort()
    await channel.closed()
    far.close()


@pytest.mark.spec("SEC-20")
async def test_a_flood_of_tiny_frames_leaves_turns_of_the_loop_to_others(
    ends: tuple[Channel, socket.socket],
) -> None:
    """43,000 frames fit into one read, and take half a second to parse."""
    channel, _ = ends
    client = Frames(client=True, max_message_bytes=LIMIT)
    flood = EMPTY_PONG * 20_000 + client.message("after it")
    turns = 0

    channel.data_received(flood)
    while not channel._messages:
        turns += 1
        await asyncio.sleep(0)

    assert turns >= len(flood) // 8_192
    assert await channel.receive() == "after it"


async def test_what_came_in_one_read_is_whole_and_in_order(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    client = Frames(client=True, max_message_bytes=LIMIT)
    messages: list[str | bytes] = ["a" * 50_000, b"b" * 9_000, "", "c"]
    data = b"".join(map(client.message, messages)) + client.close(1000, "bye")

    channel.data_received(data)
    far.close()  # the end of the socket is seen after all that came before it

    assert [await channel.receive() for _ in messages] == messages
    assert await channel.receive() == Close(1000, "bye")


async def test_a_connection_that_is_cut_parses_no_further(ends: tuple[Channel, socket.socket]) -> None:
    channel, _ = ends

    channel.data_received(EMPTY_PONG * 20_000)
    channel.abort()
    await channel.closed()

    assert await channel.receive() == Close(1006, "")


@pytest.mark.spec("S-15", "SEC-20")
async def test_what_came_before_a_failed_write_is_parsed_in_turns_of_the_loop(
    ends: tuple[Channel, socket.socket],
) -> None:
    """It was dropped unread: the end was 1006, though a close frame had come."""
    channel, far = ends
    client = Frames(client=True, max_message_bytes=LIMIT)
    flood = EMPTY_PONG * 10_000 + client.message("last") + client.close(4001, "so long")
    turns = 0

    far.sendall(flood)
    far.close()
    await channel.send("too late")
    while channel.ended is None:
        turns += 1
        await asyncio.sleep(0)
    await channel.closed()

    assert turns >= len(flood) // 8_192
    assert await channel.receive() == "last"
    assert await channel.receive() == Close(4001, "so long")


@pytest.mark.spec("SEC-20")
async def test_an_end_that_takes_nothing_is_lost_though_it_is_pinged() -> None:
    near, far = socket.socketpair()
    channel = Channel(Frames(client=False, max_message_bytes=LIMIT), ping_interval=0.05)
    await open_channel(near, channel)

    async def flood() -> None:
        while True:
            await channel.send(bytes(60_000))

    with far:
        async with asyncio.timeout(20):
            with pytest.raises(ClientDisconnected):
                await flood()
            await channel.closed()

    assert channel.ended == Close(1006, "")


async def test_a_head_counts_from_when_it_is_written_not_from_when_the_loop_reads_it() -> None:
    near, far = socket.socketpair()
    channel = Channel(Frames(client=True, max_message_bytes=LIMIT), awaits_head=True)
    await open_channel(near, channel)

    assert await channel.written_head() is None
    far.sendall(b"HTTP/1.1 101\r\n")
    assert await channel.written_head() is None  # a part of it is none
    far.sendall(b"\r\n")
    assert await channel.written_head() == b"HTTP/1.1 101"

    far.close()
    await channel.closed()
