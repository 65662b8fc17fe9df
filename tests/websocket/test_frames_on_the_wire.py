"""The frame level of the server that the bridge is: the case list of the Autobahn testsuite, as tables.

Its release 25.10.1 is source of Python 2 that names no dependency (`from _version import __version__` fails
on import, and so does what 2to3 makes of it), so the fuzzing client itself cannot be run here.
The numbers are those of its cases. Where a case allows two outcomes, the one of the bridge is demanded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import pytest

from tests.support.servers import Server, watched_memory
from tests.websocket.asgi_apps import MAX_MESSAGE_BYTES
from tests.websocket.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, Wire, new_key

ECHOED = "hello \u00b5@\u00df\u00f6\u00e4 \U0001f600".encode()


def close(code: int | None = None, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def exchange(server: Server, frames: Sequence[Frame], *, pieces: int = 0) -> list[Frame]:
    """Send frames, then a close; give what came back up to and with the close."""
    data = b"".join(frame.to_bytes() for frame in [*frames, close(1000)])
    with Wire(server.port).open() as wire:
        if pieces:
            for start in range(0, len(data), pieces):
                wire.sock.sendall(data[start : start + pieces])
        else:
            wire.sock.sendall(data)
        found: list[Frame] = []
        while not found or found[-1].opcode != CLOSE:
            found.append(wire.frame())
        return found


def messages(frames: Sequence[Frame]) -> list[tuple[int, bytes]]:
    return [(frame.opcode, frame.payload) for frame in frames if frame.opcode != CLOSE]


# ---------------------------------------------------------------- 1: framing

SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536]


@pytest.mark.spec("S-21", "S-11")
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", SIZES)
def test_1_each_length_form_is_echoed_unmasked(gthread: Server, opcode: int, size: int) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(Frame(opcode, b"*" * size))
        assert wire.frame() == Frame(opcode, b"*" * size, masked=False)


@pytest.mark.parametrize("pieces", [1, 997])
def test_1_a_message_may_come_in_any_pieces(gthread: Server, pieces: int) -> None:
    body = ECHOED * (10 if pieces == 1 else 5_000)
    with Wire(gthread.port).open() as wire:
        data = Frame(TEXT, body).to_bytes()
        for start in range(0, len(data), pieces):
            wire.sock.sendall(data[start : start + pieces])
        assert wire.frame().payload == body


# ---------------------------------------------------------------- 2: pings and pongs


@pytest.mark.spec("S-13")
@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125])
@pytest.mark.parametrize("pieces", [0, 1])
def test_2_a_ping_is_answered_with_its_payload(gthread: Server, payload: bytes, pieces: int) -> None:
    assert messages(exchange(gthread, [Frame(PING, payload)], pieces=pieces)) == [(PONG, payload)]


@pytest.mark.spec("S-13")
def test_2_pongs_are_consumed_and_ten_pings_answered_in_order(gthread: Server) -> None:
    pings = [Frame(PING, b"%d" % number) for number in range(10)]
    found = exchange(gthread, [Frame(PONG, b"unsolicited"), *pings])

    assert messages(found) == [(PONG, b"%d" % number) for number in range(10)]


# ---------------------------------------------------------------- 2.5, 3, 4, 5: what fails the connection

FAILS_WITH_1002 = {
    "2.5 ping of 126 bytes": [Frame(PING, b"x" * 126)],
    "3 RSV1 without an extension": [Frame(TEXT, b"x", rsv=4)],
    "3 RSV2": [Frame(TEXT, b"x", rsv=2)],
    "3 RSV3": [Frame(BINARY, b"x", rsv=1)],
    "3 all RSV on a ping": [Frame(PING, b"x", rsv=7)],
    "3 RSV on a close": [Frame(CLOSE, b"\x03\xe8", rsv=4)],
    **{f"4 opcode {opcode}": [Frame(opcode, b"x")] for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "4 opcode 3 after a message": [Frame(PING, b""), Frame(3, b"")],
    "5.1 fragmented ping": [Frame(PING, b"a", fin=False), Frame(CONT, b"b")],
    "5.2 fragmented pong": [Frame(PONG, b"a", fin=False), Frame(CONT, b"b")],
    "5.9 continuation without a beginning": [Frame(CONT, b"a")],
    "5.10 the same without FIN": [Frame(CONT, b"a", fin=False), Frame(TEXT, b"b")],
    "5.18 a message inside a message": [Frame(TEXT, b"a", fin=False), Frame(TEXT, b"b")],
    "5 binary inside text": [Frame(TEXT, b"a", fin=False), Frame(BINARY, b"b")],
    "unmasked": [Frame(TEXT, b"x", masked=False)],
    "7.3.2 close of one byte": [Frame(CLOSE, b"a")],
    "7.3.6 close of 126 bytes": [Frame(CLOSE, b"\x03\xe8" + b"x" * 124)],
}


@pytest.mark.spec("S-20", "S-21", "S-22")
@pytest.mark.parametrize("frames", FAILS_WITH_1002.values(), ids=FAILS_WITH_1002.keys())
def test_what_breaks_the_protocol_ends_with_1002(gthread: Server, frames: list[Frame]) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(*frames)
        found = wire.frame()
        while found.opcode == PONG:
            found = wire.frame()
        assert (found.opcode, found.code) == (CLOSE, 1002)
        assert wire.at_end()


# ---------------------------------------------------------------- 5: fragments

WHOLE = {
    "5.3 two fragments": ([Frame(TEXT, b"one", fin=False), Frame(CONT, b"two")], [(TEXT, b"onetwo")]),
    "5.6 a ping between": (
        [Frame(TEXT, b"one", fin=False), Frame(PING, b"p"), Frame(CONT, b"two")],
        [(PONG, b"p"), (TEXT, b"onetwo")],
    ),
    "5.19 two pings in five fragments": (
        [
            Frame(BINARY, b"1", fin=False),
            Frame(CONT, b"2", fin=False),
            Frame(PING, b"a"),
            Frame(CONT, b"3", fin=False),
            Frame(CONT, b"4", fin=False),
            Frame(PING, b"b"),
            Frame(CONT, b"5"),
        ],
        [(PONG, b"a"), (PONG, b"b"), (BINARY, b"12345")],
    ),
    "6.1 empty fragments": (
        [Frame(TEXT, b"", fin=False), Frame(CONT, b"", fin=False), Frame(CONT, b"")],
        [(TEXT, b"")],
    ),
    "6.1 an empty end": (
        [Frame(TEXT, b"", fin=False), Frame(CONT, b"middle", fin=False), Frame(CONT, b"")],
        [(TEXT, b"middle")],
    ),
    "9.7 many fragments": (
        [
            Frame(BINARY, b"x" * 64, fin=False),
            *[Frame(CONT, b"x" * 64, fin=False)] * 1_000,
            Frame(CONT, b"x"),
        ],
        [(BINARY, b"x" * (64 * 1_001 + 1))],
    ),
}


@pytest.mark.spec("S-12", "S-22")
@pytest.mark.parametrize(("frames", "expected"), WHOLE.values(), ids=WHOLE.keys())
def test_5_only_whole_messages_reach_the_app(
    gthread: Server, frames: list[Frame], expected: list[tuple[int, bytes]]
) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(*frames)
        assert [wire.frame()[:2] for _ in expected] == expected


# ---------------------------------------------------------------- 6: UTF-8

VALID = [
    "\u03ba\u1f79\u03c3\u03bc\u03b5".encode(),
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbf",  # a non-character is still UTF-8
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
]
INVALID = [
    b"\xff",
    b"\x80",
    b"\xbf\x80",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2 ",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",  # a surrogate
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
]


@pytest.mark.spec("S-14")
@pytest.mark.parametrize("text", VALID, ids=repr)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytewise"])
def test_6_valid_text_is_echoed(gthread: Server, text: bytes, split: bool) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(*(fragments(text) if split else [Frame(TEXT, text)]))
        assert wire.frame()[:2] == (TEXT, text)


@pytest.mark.spec("S-14")
@pytest.mark.parametrize("text", INVALID, ids=repr)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytewise"])
def test_6_text_that_is_not_utf8_ends_with_1007(gthread: Server, text: bytes, split: bool) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(*(fragments(text) if split else [Frame(TEXT, text)]))
        found = wire.frame()
        assert (found.opcode, found.code) == (CLOSE, 1007)
        assert wire.at_end()


def test_6_4_bad_text_fails_before_its_message_is_whole(gthread: Server) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(Frame(TEXT, b"\xce\xba\xf4\x90", fin=False))
        assert wire.frame().code == 1007


def fragments(text: bytes) -> list[Frame]:
    return [
        Frame(TEXT if index == 0 else CONT, text[index : index + 1], fin=index == len(text) - 1)
        for index in range(len(text))
    ]


# ---------------------------------------------------------------- 7: close


@pytest.mark.spec("S-23")
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
def test_7_a_close_is_answered_with_its_code_and_the_socket_closed(gthread: Server, code: int) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(close(code, b"reason"))
        assert wire.frame() == Frame(CLOSE, struct.pack("!H", code) + b"reason", masked=False)
        assert wire.at_end()


@pytest.mark.spec("S-23")
@pytest.mark.parametrize(
    "after", [Frame(TEXT, b"x"), Frame(PING, b"x"), close(1000)], ids=["text", "ping", "close"]
)
def test_7_1_what_follows_a_close_is_ignored(gthread: Server, after: Frame) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(close(), after)
        assert wire.frame() == Frame(CLOSE, b"", masked=False)
        assert wire.at_end()


def test_7_a_message_before_the_close_is_still_delivered(gthread: Server) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(Frame(TEXT, b"x"), close(1000))
        frames = [wire.frame()]
        assert frames[-1].opcode in (TEXT, CLOSE)  # the answer to the close may overtake the echo
        while frames[-1].opcode != CLOSE:
            frames.append(wire.frame())


@pytest.mark.spec("S-16")
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
def test_7_9_a_close_with_an_invalid_code_ends_with_1002(gthread: Server, code: int) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(close(code))
        assert wire.frame().code == 1002
        assert wire.at_end()


def test_7_5_a_close_reason_that_is_not_utf8_ends_with_1007(gthread: Server) -> None:
    with Wire(gthread.port).open() as wire:
        wire.send(close(1000, b"\xce\xba\xed\xa0\x80"))
        assert wire.frame().code == 1007


# ---------------------------------------------------------------- 9: limits


@pytest.mark.spec("S-24", "SEC-28")
@pytest.mark.parametrize("fragment", [MAX_MESSAGE_BYTES + 1, 4_096], ids=["one frame", "many fragments"])
def test_9_a_message_over_the_limit_ends_with_1009(gthread: Server, fragment: int) -> None:
    data = b"x" * (MAX_MESSAGE_BYTES + 1)
    starts = range(0, len(data), fragment)
    with Wire(gthread.port).open() as wire:
        wire.send(
            *(
                Frame(
                    CONT if start else BINARY, data[start : start + fragment], start + fragment >= len(data)
                )
                for start in starts
            )
        )
        assert wire.frame().code == 1009


def test_9_the_close_reaches_a_client_that_is_still_sending(gthread: Server) -> None:
    """A socket that is closed over unread data is reset, and the close frame lost."""
    with Wire(gthread.port).open() as wire:
        wire.send(Frame(BINARY, b"x" * 8 * MAX_MESSAGE_BYTES))
        assert wire.frame().code == 1009
        assert wire.at_end()


def test_9_a_message_of_the_limit_is_echoed(gthread: Server) -> None:
    data = b"x" * MAX_MESSAGE_BYTES
    with Wire(gthread.port).open() as wire:
        wire.send(Frame(BINARY, data))
        assert wire.frame().payload == data


# ---------------------------------------------------------------- 12, 13: compression


def deflated(data: bytes, compressor: zlib._Compress | None = None) -> bytes:
    compressor = compressor or zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff")


OFFERS = {
    "permessage-deflate": "permessage-deflate",
    "permessage-deflate; client_max_window_bits": "permessage-deflate",
    "permessage-deflate; client_max_window_bits=10": "permessage-deflate",
    "permessage-deflate; server_no_context_takeover": "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover": "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9": "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate": "permessage-deflate",
    "permessage-deflate; unknown": None,
    "permessage-deflate; server_max_window_bits=16": None,
    "permessage-deflate; server_max_window_bits": None,
    "permessage-deflate; client_no_context_takeover=1": None,
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover": None,
    "x-webkit-deflate-frame": None,
}


@pytest.mark.spec("S-20")
@pytest.mark.parametrize(("offer", "expected"), OFFERS.items())
def test_12_compression_is_agreed_as_offered_or_not_at_all(
    gthread: Server, offer: str, expected: str | None
) -> None:
    with Wire(gthread.port, Sec_WebSocket_Extensions=offer) as wire:
        lines = wire.head().decode().split("\r\n")
        found = [line for line in lines if line.lower().startswith("sec-websocket-extensions")]
        assert found == ([] if expected is None else [f"Sec-WebSocket-Extensions: {expected}"])
        wire.send(Frame(TEXT, b"Hello" * 50))
        echo = wire.frame()
        assert (inflated(echo.payload) if echo.rsv == 4 else echo.payload) == b"Hello" * 50
        assert echo.rsv == (0 if expected is None else 4)


def test_12_a_compressed_message_in_fragments_with_a_ping_between_is_whole(gthread: Server) -> None:
    text = b"Hello, Hello, Hello " * 100
    data = deflated(text)
    with Wire(gthread.port, Sec_WebSocket_Extensions="permessage-deflate").open() as wire:
        for _ in range(2):  # the second is inflated with the context of the first
            wire.send(
                Frame(TEXT, data[:10], fin=False, rsv=4),
                Frame(PING, b"p"),
                Frame(CONT, data[10:]),
            )
            assert wire.frame()[:2] == (PONG, b"p")
            assert len(wire.frame().payload) > 0


@pytest.mark.spec("SEC-28", "S-24")
def test_13_a_bomb_is_not_unpacked(gthread: Server) -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = compressor.compress(b"\x00" * 200_000_000) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < 500_000
    with (
        watched_memory(gthread) as memory,
        Wire(gthread.port, Sec_WebSocket_Extensions="permessage-deflate").open() as wire,
    ):
        wire.send(Frame(BINARY, bomb, rsv=4))
        assert wire.frame().code == 1009
    assert memory.growth < 50_000_000


def test_13_what_is_no_deflate_ends_with_1007(gthread: Server) -> None:
    with Wire(gthread.port, Sec_WebSocket_Extensions="permessage-deflate").open() as wire:
        wire.send(Frame(TEXT, b"\xff\xff\xff\xff", rsv=4))
        assert wire.frame().code == 1007


# ---------------------------------------------------------------- the opening handshake


@pytest.mark.spec("S-19")
def test_the_key_is_answered_as_the_rfc_computes_it(gthread: Server) -> None:
    with Wire(gthread.port) as wire:
        head = wire.head().decode()

    assert head.splitlines()[0] == "HTTP/1.1 101 Switching Protocols"
    fields = [line.split(": ", 1) for line in head.splitlines()[1:]]
    assert sorted((name.lower(), value) for name, value in fields) == [
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("upgrade", "websocket"),
    ]


REFUSED: dict[str, tuple[dict[str, str | None], int]] = {
    "POST": ({"method": "POST", "Content_Length": "0"}, 400),
    "HTTP/1.0": ({"version": "HTTP/1.0"}, 400),
    "no Host": ({"Host": None, "version": "HTTP/1.0"}, 400),
    "no Upgrade": ({"Upgrade": None}, 400),
    "another Upgrade": ({"Upgrade": "h2c"}, 400),
    "no Connection": ({"Connection": None}, 400),
    "another Connection": ({"Connection": "keep-alive"}, 400),
    "no key": ({"Sec_WebSocket_Key": None}, 400),
    "key of 15 bytes": ({"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAA"}, 400),
    "key not in base64": ({"Sec_WebSocket_Key": "!!!!!!!!!!!!!!!!!!!!!!=="}, 400),
    "no version": ({"Sec_WebSocket_Version": None}, 426),
    "version 8": ({"Sec_WebSocket_Version": "8"}, 426),
    "a body": ({"Content_Length": "5"}, 400),
    "a chunked body": ({"Transfer_Encoding": "chunked"}, 400),
    "a subprotocol that is no token": ({"Sec_WebSocket_Protocol": "a b"}, 400),
}


@pytest.mark.spec("S-17", "S-18", "S-33", "SEC-29")
@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_a_handshake_with_one_part_broken_is_refused(
    gthread: Server, fields: dict[str, str | None], status: int
) -> None:
    early = b"hello" if "Content_Length" in fields and fields["Content_Length"] != "0" else b""
    with Wire(gthread.port, "/echo", early, **fields) as wire:
        head = wire.head()

    assert int(head.split()[1]) == status, head
    assert (b"sec-websocket-version: 13" in head.lower()) == (status == 426)


@pytest.mark.spec("S-17")
def test_tokens_of_the_handshake_are_read_without_regard_to_case_and_company(gthread: Server) -> None:
    with Wire(
        gthread.port, Upgrade="WebSocket", Connection="keep-alive, uPgRaDe", Sec_WebSocket_Key=new_key()
    ) as wire:
        wire.open()


@pytest.mark.spec("S-02")
def test_subprotocols_of_several_lines_are_one_list(gthread: Server) -> None:
    with Wire(gthread.port, "/scope", Sec_WebSocket_Protocol="a, b\r\nSec-WebSocket-Protocol: c") as wire:
        assert b"\r\nSec-WebSocket-Protocol: c\r\n" in wire.head()
        assert b'"subprotocols":["a","b","c"]' in wire.frame().payload
