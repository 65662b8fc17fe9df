"""Small messages that pass wsproto by: the same comes of the same bytes, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge._protocol.frames import Frames
from bridge._protocol.small_frames import Alignment, frame_of, message_of
from tests.websocket.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame

LIMIT = 200

payloads = st.one_of(
    st.text(max_size=30).map(str.encode),
    st.binary(max_size=30),
    st.sampled_from([b"x" * size for size in (125, 126, 127, LIMIT, LIMIT + 1)]),
)


@st.composite
def streams(draw: st.DrawFn, *, masked: bool) -> list[bytes]:
    """Draw frames, mostly right ones, and cut their bytes anywhere or between two of them."""
    frames = draw(
        st.lists(
            st.builds(
                Frame,
                st.sampled_from([TEXT, BINARY, BINARY, CONT, PING, PONG, CLOSE, 3]),
                payloads,
                fin=st.sampled_from([True, True, True, False]),
                rsv=st.sampled_from([0] * 20 + [4]),
                masked=st.sampled_from([masked] * 20 + [not masked]),
            ),
            max_size=8,
        )
    )
    whole = [frame.to_bytes() for frame in frames]
    if draw(st.booleans()):
        return whole
    data = b"".join(whole)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def outcome(pieces: list[bytes], *, client: bool, small: bool) -> tuple[object, object, object]:
    frames = Frames(client=client, max_message_bytes=LIMIT)
    frames._plain = small
    messages: list[str | bytes] = []
    replies = b""
    for piece in pieces:
        received = frames.receive(piece)
        messages += received.messages
        replies += received.reply
    return messages, _unmasked(replies), frames.ended


def _unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """Give the control frames without their keys, which are random."""
    frames = []
    while data:
        size, key = data[1] & 127, bytes(4)
        start = 2
        if data[1] & 128:
            key, start = data[2:6], 6
        payload = bytes(byte ^ key[at % 4] for at, byte in enumerate(data[start : start + size]))
        frames.append((data[0], payload))
        data = data[start + size :]
    return frames


@given(streams(masked=True))
@example([Frame(TEXT, b"a").to_bytes(), Frame(TEXT, b"\xff").to_bytes()])
@example([Frame(TEXT, b"a", fin=False).to_bytes(), Frame(TEXT, b"b").to_bytes()])
@example([frame.to_bytes() for frame in (Frame(TEXT, b"a", fin=False), Frame(PING, b""), Frame(TEXT, b"b"))])
@example([Frame(TEXT, b"a").to_bytes()[:1], Frame(TEXT, b"a").to_bytes()[1:], Frame(BINARY, b"").to_bytes()])
def test_a_server_takes_the_same_with_wsproto_alone(pieces: list[bytes]) -> None:
    assert outcome(pieces, client=False, small=True) == outcome(pieces, client=False, small=False)


@given(streams(masked=False))
def test_a_client_takes_the_same_with_wsproto_alone(pieces: list[bytes]) -> None:
    assert outcome(pieces, client=True, small=True) == outcome(pieces, client=True, small=False)


@pytest.mark.parametrize("small", [False, True])
def test_what_comes_after_an_own_close_is_still_read(small: bool) -> None:
    frames = Frames(client=False, max_message_bytes=LIMIT)
    frames._plain = small
    frames.close(1000, "")

    assert frames.receive(Frame(TEXT, b"late").to_bytes()).messages == ["late"]


@pytest.mark.spec("S-11", "S-12")
@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
def test_a_message_of_any_length_is_read_by_wsproto(size: int, client: bool) -> None:
    sender = Frames(client=client, max_message_bytes=100_000)
    reader = Frames(client=not client, max_message_bytes=100_000)
    reader._plain = False

    for message in ("\u00e9" * (size // 2), b"\xff" * size):
        assert reader.receive(bytes(sender.message(message))).messages == [message]


def test_only_small_messages_pass_wsproto_by() -> None:
    assert frame_of(b"x" * 126, client=False) is None
    assert frame_of("\u00e9" * 63, client=True) is None
    assert message_of(Frame(BINARY, b"x" * 126).to_bytes(), client=False) is None
    assert message_of(Frame(BINARY, b"x" * 125).to_bytes(), client=False) == b"x" * 125


@given(st.lists(st.binary(max_size=140), max_size=6), st.data())
def test_the_alignment_knows_where_frames_end(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(Frame(BINARY, body).to_bytes() for body in bodies)
    ends = {0}
    for body in bodies:
        ends.add(max(ends) + len(Frame(BINARY, body).to_bytes()))
    cut = data.draw(st.integers(0, len(stream)))
    alignment = Alignment()
    middle = data.draw(st.integers(0, cut))

    alignment.follow(stream[:middle])
    alignment.follow(stream[middle:cut])

    assert alignment.between_messages is (cut in ends)
