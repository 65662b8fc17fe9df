"""What an ASGI app may send, what leaves of it, and what `send()` refuses."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bridge._runtime.crossing import BLOCK_OVERHEAD_BYTES, HIGH_WATER_BYTES
from bridge._runtime.loop import shared_loop_thread
from bridge.errors import AppProtocolError
from tests.contract.asgi_specimens import (
    ANSWERING,
    BREAKING_EARLY,
    body,
    bridged,
    catching,
    hello,
    hop_by_hop,
    on_and_on,
    returns_started,
    sending,
    start,
    started_error,
    trailers,
)
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.types import Message, Receive, Scope, Send


def answer_to(*events: Message, **make: Any) -> Answer:
    return call(bridged(sending(*events)), **make)


def plain(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


STARTS: dict[str, Message] = {
    "unknown type": {"type": "http.bogus"},
    "no type": {},
    "a type that is no str": {"type": 7},
    "no status": {"type": "http.response.start"},
    "status str": {"type": "http.response.start", "status": "200"},
    "status bool": {"type": "http.response.start", "status": True},
    "header str": {"type": "http.response.start", "status": 200, "headers": [("x", "y")]},
    "header name None": {"type": "http.response.start", "status": 200, "headers": [(None, b"y")]},
    "header of three": {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y", b"z")]},
    "headers int": {"type": "http.response.start", "status": 200, "headers": 7},
    "body before the start": body(b"early"),
    "end before the start": body(),
}
BODIES: dict[str, Message] = {
    "body str": {"type": "http.response.body", "body": "text"},
    "body None": {"type": "http.response.body", "body": None},
    "unknown type": {"type": "websocket.send", "text": "hi"},
    "second start": start(),
}


@pytest.mark.spec("A-21", "A-24")
@pytest.mark.parametrize("event", STARTS.values(), ids=STARTS.keys())
def test_a_wrong_event_before_the_start_raises_in_the_app_which_may_go_on(event: Message) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, event, start(), body(b"ok"))))

    assert len(errors) == 1
    assert (answer.body, len(answer.starts)) == (b"ok", 1)


@pytest.mark.spec("A-21", "A-24", "E-03")
@pytest.mark.parametrize("event", BODIES.values(), ids=BODIES.keys())
def test_a_wrong_event_after_the_start_raises_in_the_app_which_may_go_on(event: Message) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, start(), event, body(b"ok"))))

    assert len(errors) == 1
    assert isinstance(errors[0], AppProtocolError)
    assert (answer.body, len(answer.starts)) == (b"ok", 1)


@pytest.mark.spec("A-24", "WA-02")
def test_a_second_start_after_a_block_raises_in_the_app() -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, start(), body(b"a", more=True), start(500), body(b"b"))))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert (answer.status, answer.body, len(answer.starts)) == (200, b"ab", 1)


@pytest.mark.spec("A-22")
def test_a_start_without_headers_and_an_end_without_body_are_enough() -> None:
    answer = answer_to({"type": "http.response.start", "status": 200}, {"type": "http.response.body"})

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.spec("A-23")
def test_extra_keys_are_ignored() -> None:
    answer = answer_to({**start(), "x": 1}, {**body(b"hello"), "y": object()})

    assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.spec("A-25", "D-02")
def test_what_is_sent_after_the_end_is_ignored() -> None:
    errors: list[Exception] = []
    app = catching(errors, start(), body(b"one"), body(b"two"), start(500), body(b"three", more=True))

    answer = call(bridged(app))

    assert (answer.body, len(answer.starts)) == (b"one", 1)
    assert errors == []


@pytest.mark.spec("A-25", "D-02")
def test_an_app_that_answers_twice_comes_to_its_end() -> None:
    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await on_and_on(scope, receive, send)
        ended.set()

    assert call(bridged(app)).body == b"hello"
    assert ended.wait(10)


@pytest.mark.spec("A-26")
def test_a_start_without_a_body_never_reaches_the_server() -> None:
    answer = Answer()

    for app in (started_error, returns_started):
        with pytest.raises((ValueError, AppProtocolError)):
            bridged(app)(make_environ(), answer.start_response)

    assert answer.starts == []


def settle() -> None:
    """Let the loop do all it can do now."""
    for _ in range(5):
        shared_loop_thread().call(asyncio.sleep(0))


class Producer:
    """Sends blocks of one size for as long as it is let.

    Attributes:
        sent: how many `send()` calls have returned.
    """

    def __init__(self, size: int) -> None:
        self.block = b"x" * size
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(body(self.block, more=True))
            self.sent += 1


def running(producer: Producer) -> Iterator[bytes]:
    return iter(bridged(producer)(make_environ(), Answer().start_response))


@pytest.mark.spec("A-27", "SEC-19")
def test_of_big_blocks_never_more_than_one_is_ahead() -> None:
    producer = Producer(HIGH_WATER_BYTES + 1)
    blocks = running(producer)  # has taken the first

    for taken in range(1, 8):
        settle()
        assert producer.sent <= taken
        next(blocks)
        if taken == 1:
            next(blocks)
    blocks.close()  # type: ignore[attr-defined]


@pytest.mark.spec("A-27", "SEC-19")
@pytest.mark.parametrize("size", [0, 1, 1024])
def test_of_small_blocks_no_more_than_the_high_water_mark_is_ahead(size: int) -> None:
    producer = Producer(size)
    blocks = running(producer)

    for taken in range(1, 200):
        settle()
        counted = size + BLOCK_OVERHEAD_BYTES
        assert producer.sent * counted <= HIGH_WATER_BYTES + (taken + 1) * counted
        next(blocks)
    blocks.close()  # type: ignore[attr-defined]


@pytest.mark.spec("A-20", "A-27")
def test_all_tasks_that_send_at_once_go_on_when_a_slow_client_has_taken() -> None:
    """Of those that waited for room only the last was told of it."""
    block = b"x" * (HIGH_WATER_BYTES + 1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> None:
            for _ in range(2):
                await send(body(block, more=True))

        await send(start())
        await asyncio.gather(*(answer() for _ in range(3)))
        await send(body(b"end"))

    blocks = bridged(app)(make_environ(), Answer().start_response)  # has taken the first
    settle()  # all three wait now

    assert b"".join(blocks) == block * 6 + b"end"


@pytest.mark.spec("A-28", "SEC-10", "WA-04")
def test_hop_by_hop_headers_do_not_leave() -> None:
    answer = call(bridged(hop_by_hop))

    assert answer.header_list == [("Content-Type", "text/plain"), ("Content-Length", "5")]


@pytest.mark.spec("A-28", "WA-04")
def test_what_the_connection_header_names_does_not_leave_either() -> None:
    answer = answer_to(start(200, (b"connection", b"close, X-Private"), (b"x-private", b"1")), body())

    assert "X-Private" not in answer.headers


@pytest.mark.spec("H-21")
@pytest.mark.parametrize("name", ["Date", "Server", "Connection"])
def test_what_the_server_adds_is_not_added_here(name: str) -> None:
    assert name not in call(bridged(hello)).headers


@pytest.mark.spec("A-29")
@pytest.mark.parametrize(
    ("status", "line"), [(200, "200 OK"), (404, "404 Not Found"), (299, "299 Unknown"), (599, "599 Unknown")]
)
def test_the_status_line_has_a_reason(status: int, line: str) -> None:
    assert answer_to(start(status), body()).starts[0][0] == line


@pytest.mark.spec("A-30")
def test_trailers_that_were_not_offered_do_not_hold_the_end() -> None:
    answer = call(bridged(trailers))

    assert answer.body == b"hello"


@pytest.mark.spec("E-01", "E-03", "E-18")
@pytest.mark.parametrize(
    "event",
    [
        {"type": "http.response.push", "path": "/", "headers": []},
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.trailers", "headers": []},
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.pathsend", "path": "/"},
        {"type": "http.response.zerocopysend", "file": 0},
        {"type": "http.response.informational", "status": 103},
    ],
    ids=lambda event: event["type"],
)
def test_an_event_of_an_extension_that_was_not_offered_raises(event: Message) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, start(), event, body(b"ok"))))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.body == b"ok"


@pytest.mark.spec("A-44")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers_count_as_bytes(kind: type) -> None:
    headers = [(kind(b"x-a"), kind(b"1"))]

    answer = answer_to(
        {"type": "http.response.start", "status": 200, "headers": headers}, body(kind(b"hello"))
    )

    assert answer.header_list[0] == ("X-A", "1")
    assert answer.blocks == [b"hello"]
    assert all(type(block) is bytes for block in answer.blocks)


@pytest.mark.spec("A-44")
@pytest.mark.parametrize(
    "headers",
    [((b"x-a", b"1"), (b"x-b", b"2")), [[b"x-a", b"1"], [b"x-b", b"2"]]],
    ids=["tuple of tuples", "list of lists"],
)
def test_headers_may_be_any_pairs(headers: Any) -> None:
    answer = answer_to({"type": "http.response.start", "status": 200, "headers": headers}, body())

    assert answer.header_list[:2] == [("X-A", "1"), ("X-B", "2")]


@pytest.mark.spec("A-44")
def test_headers_may_be_a_generator_of_lists() -> None:
    headers = ([b"x-%d" % i, b"v"] for i in range(2))

    answer = answer_to({"type": "http.response.start", "status": 200, "headers": headers}, body())

    assert answer.header_list[:2] == [("X-0", "v"), ("X-1", "v")]


@pytest.mark.spec("H-17", "H-30")
def test_repeated_fields_stay_apart_and_in_order() -> None:
    fields = [(b"set-cookie", b"a=1"), (b"via", b"a"), (b"set-cookie", b"b=2"), (b"via", b"b")]

    answer = answer_to(plain(200, *fields), body())

    assert answer.header_list[:4] == [
        ("Set-Cookie", "a=1"),
        ("Via", "a"),
        ("Set-Cookie", "b=2"),
        ("Via", "b"),
    ]


@pytest.mark.spec("WA-15")
@pytest.mark.parametrize(
    ("raw", "native"),
    [(b"x-request-id", "X-Request-Id"), (b"CONTENT-language", "Content-Language"), (b"etag", "ETag")],
)
def test_header_names_leave_in_title_case(raw: bytes, native: str) -> None:
    assert answer_to(plain(200, (raw, b"v")), body()).header_list[0] == (native, "v")


@pytest.mark.spec("WA-03", "U-26")
def test_header_bytes_are_shown_one_character_a_byte() -> None:
    value = bytes(range(0x80, 0x100))

    assert answer_to(plain(200, (b"x", value)), body()).headers["X"].encode("latin-1") == value


CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if code != 0x09]


@pytest.mark.spec("SEC-01", "WA-04", "H-15")
@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_a_control_character_in_a_header_value_is_refused(control: bytes) -> None:
    errors: list[Exception] = []
    app = catching(errors, start(200, (b"x", b"a" + control + b"b")), start(500), body(b"safe"))

    answer = call(bridged(app))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert (answer.status, answer.body) == (500, b"safe")


@pytest.mark.spec("SEC-01", "H-15")
def test_a_tab_in_a_header_value_passes() -> None:
    assert answer_to(plain(200, (b"x", b"a\tb")), body()).headers["X"] == "a\tb"


@pytest.mark.spec("SEC-01", "WA-04", "H-14")
@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\x00", b"(x)", b"\xe9"], ids=repr)
def test_a_header_name_that_is_no_token_is_refused(name: bytes) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, start(200, (name, b"v")), start(500), body())))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.status == 500


@pytest.mark.spec("A-43", "H-01")
@pytest.mark.parametrize(
    "events",
    [[body(b"hello")], [body(b"hel", more=True), body(b"lo")], [body(b"hello", more=True), body()]],
    ids=["whole", "in pieces", "with an end"],
)
def test_no_byte_of_a_body_answers_head(events: list[Message]) -> None:
    assert answer_to(start(), *events, method="HEAD").body == b""


@pytest.mark.spec("H-02")
def test_head_keeps_the_length_of_get() -> None:
    answer = answer_to(start(200, (b"content-length", b"5")), body(), method="HEAD")

    assert answer.headers["Content-Length"] == "5"


@pytest.mark.spec("H-02")
@pytest.mark.parametrize("data", [b"", b"hello"])
def test_no_length_is_invented_for_head(data: bytes) -> None:
    assert "Content-Length" not in answer_to(start(), body(data), method="HEAD").headers


@pytest.mark.spec("A-43", "H-03", "H-06")
@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("more", [False, True], ids=["whole", "streamed"])
def test_a_status_without_body_sends_none_and_logs_that(
    status: int, more: bool, caplog: pytest.LogCaptureFixture
) -> None:
    events = [body(b"zz", more=True), body(b"zz", more=True), body()] if more else [body(b"zz")]

    answer = answer_to(start(status), *events)

    assert (answer.status, answer.body) == (status, b"")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1


@pytest.mark.spec("H-01", "H-03")
def test_a_body_for_head_is_no_reason_for_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    call(bridged(hello), method="HEAD")

    assert caplog.records == []


@pytest.mark.spec("H-04")
def test_204_has_no_length() -> None:
    answer = answer_to(plain(204, (b"content-length", b"0"), (b"transfer-encoding", b"chunked")), body())

    assert answer.header_list == []


@pytest.mark.spec("H-05")
def test_304_keeps_the_length_of_the_app() -> None:
    answer = answer_to(plain(304, (b"content-length", b"5")), body())

    assert answer.header_list == [("Content-Length", "5")]


@pytest.mark.spec("H-05")
def test_no_length_is_set_for_304() -> None:
    assert answer_to(plain(304), body()).header_list == []


@pytest.mark.spec("H-06")
def test_205_says_that_it_is_empty() -> None:
    answer = answer_to(plain(205, (b"content-length", b"2")), body(b"zz"))

    assert answer.header_list == [("Content-Length", "0")]


@pytest.mark.spec("H-07")
def test_a_tunnel_has_no_length() -> None:
    answer = answer_to(plain(200, (b"content-length", b"0")), body(), method="CONNECT")

    assert answer.header_list == []


@pytest.mark.spec("H-07")
def test_no_length_is_invented_for_a_tunnel() -> None:
    assert answer_to(plain(200), body(), method="CONNECT").header_list == []


@pytest.mark.spec("H-08")
@pytest.mark.parametrize("status", [-1, 0, 100, 101, 103, 199, 600, 999])
def test_a_status_that_is_not_final_is_refused(status: int) -> None:
    errors: list[Exception] = []

    answer = call(bridged(catching(errors, start(status), start(500), body())))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.status == 500


@pytest.mark.spec("H-10")
def test_equal_lengths_collapse_to_one() -> None:
    answer = answer_to(plain(200, (b"content-length", b"2"), (b"content-length", b"2")), body(b"hi"))

    assert answer.header_list == [("Content-Length", "2")]


@pytest.mark.spec("H-09", "H-10")
@pytest.mark.parametrize("lengths", [[b"2", b"3"], [b"+2"], [b"-2"], [b"2,2"], [b""], [b"2", b"x"]], ids=repr)
def test_lengths_that_say_nothing_certain_are_refused(lengths: list[bytes]) -> None:
    errors: list[Exception] = []
    wrong = start(200, *((b"content-length", length) for length in lengths))

    answer = call(bridged(catching(errors, wrong, start(500), body())))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.status == 500


@pytest.mark.spec("W-58", "WA-05")
def test_a_whole_body_gets_its_length() -> None:
    answer = call(bridged(hello))

    assert answer.headers["Content-Length"] == "5"
    assert answer.blocks == [b"hello"]


@pytest.mark.spec("SEC-11", "H-26")
@pytest.mark.parametrize("more", [False, True], ids=["at once", "in the middle"])
def test_a_body_longer_than_its_length_raises_in_the_app_and_is_never_complete(more: bool) -> None:
    errors: list[Exception] = []
    before = [body(b"abc", more=True)] if more else []
    app = catching(errors, start(200, (b"content-length", b"4")), *before, body(b"defgh"), body())

    with pytest.raises(AppProtocolError, match="returned"):
        call(bridged(app))

    assert {type(error) for error in errors} == {AppProtocolError}


@pytest.mark.spec("SEC-11", "H-26")
@pytest.mark.parametrize("more", [False, True], ids=["at once", "in the middle"])
def test_a_body_shorter_than_its_length_is_never_complete(more: bool) -> None:
    events = [body(b"abc", more=True), body()] if more else [body(b"abc")]

    with pytest.raises(AppProtocolError, match="3 of 4 bytes"):
        answer_to(start(200, (b"content-length", b"4")), *events)


@pytest.mark.spec("A-21", "SEC-01")
@pytest.mark.parametrize("app", BREAKING_EARLY.values(), ids=BREAKING_EARLY.keys())
def test_the_request_after_a_broken_one_is_served(app: Any) -> None:
    with pytest.raises(Exception):  # noqa: B017 - which one is tested elsewhere
        call(bridged(app))

    assert call(bridged(hello)).body == b"hello"


@pytest.mark.spec("WA-02")
@pytest.mark.parametrize("app", ANSWERING.values(), ids=ANSWERING.keys())
def test_an_answer_starts_once(app: Any) -> None:
    assert len(call(bridged(app)).starts) == 1
