from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.request_body import (
    LEAST_READ_BYTES,
    MOST_READ_BYTES,
    RequestBodyCycle,
    body_length,
    data_from_event,
    has_body,
    read_bytes,
)
from bridge.errors import BodyTooLarge, ClientDisconnected, PeerProtocolError, ProtocolError
from bridge.types import Message
from tests._protocol.strategies import LAW

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.spec("SEC-09", "W-22")
def test_what_comes_beyond_the_content_length_is_cut() -> None:
    body = RequestBodyCycle(3, None)

    pieces = [body.data(b"ab"), body.data(b"cde"), body.data(b"f")]

    assert pieces == [b"ab", b"c", b""]
    assert body.complete


@pytest.mark.spec("SEC-11")
def test_a_body_that_ends_early_is_a_disconnect() -> None:
    body = RequestBodyCycle(10, None)
    body.data(b"part")

    with pytest.raises(ClientDisconnected, match="4 of 10"):
        body.end()


@pytest.mark.parametrize(("length", "data"), [(3, b"abc"), (0, b""), (None, b"abc"), (None, b"")])
def test_a_whole_body_ends_well(length: int | None, data: bytes) -> None:
    body = RequestBodyCycle(length, None)
    body.data(data)

    body.end()

    assert body.received == len(data)


@pytest.mark.spec("H-25", "SEC-17")
def test_a_declared_length_over_the_limit_is_refused_at_once() -> None:
    with pytest.raises(BodyTooLarge) as caught:
        RequestBodyCycle(11, 10)

    assert caught.value.status_hint == 413


@pytest.mark.spec("H-25", "SEC-09", "SEC-17")
def test_bytes_over_the_limit_are_refused_by_count() -> None:
    body = RequestBodyCycle(None, 10)
    body.data(b"0123456789")

    with pytest.raises(BodyTooLarge):
        body.data(b"x")


def test_exactly_the_limit_is_accepted() -> None:
    body = RequestBodyCycle(10, 10)

    assert body.data(b"0123456789") == b"0123456789"
    assert body.complete


def test_only_a_declared_body_can_be_known_to_be_complete() -> None:
    body = RequestBodyCycle(None, None)
    body.data(b"abc")

    assert not body.complete


@pytest.mark.spec("SEC-09", "W-22")
@LAW
@given(st.lists(st.binary(max_size=8), max_size=8), st.integers(0, 40))
def test_the_app_gets_the_first_bytes_of_the_declared_length(chunks: list[bytes], length: int) -> None:
    body = RequestBodyCycle(length, None)

    got = b"".join([body.data(chunk) for chunk in chunks])

    assert got == b"".join(chunks)[:length]
    assert body.received == len(got)
    assert body.complete == (len(got) == length)


@pytest.mark.spec("SEC-17")
@LAW
@given(st.lists(st.binary(max_size=8), max_size=8), st.integers(0, 40))
def test_an_undeclared_body_is_refused_exactly_when_it_is_over_the_limit(
    chunks: list[bytes], limit: int
) -> None:
    body = RequestBodyCycle(None, limit)
    refused = False

    try:
        for chunk in chunks:
            body.data(chunk)
    except BodyTooLarge:
        refused = True

    assert refused == (len(b"".join(chunks)) > limit)


@pytest.mark.parametrize(
    ("waiting", "left", "size"),
    [
        pytest.param(0, 10**9, LEAST_READ_BYTES, id="unknown"),
        pytest.param(100_000, 10**9, 100_000, id="there"),
        pytest.param(100_000, None, LEAST_READ_BYTES, id="chunked"),
        pytest.param(10**9, 10**9, MOST_READ_BYTES, id="more-than-the-most"),
        pytest.param(10**9, 10, 10, id="never-beyond-the-body"),
    ],
)
def test_more_than_the_least_is_asked_for_only_where_it_is_there(
    waiting: int, left: int | None, size: int
) -> None:
    """A read that waits keeps the answer from leaving: a client that sends in step with it would hang."""
    assert read_bytes(waiting, left) == size


@pytest.mark.spec("AA-08", "AA-09")
@pytest.mark.parametrize(
    ("event", "data"),
    [
        ({"type": "http.request", "body": b"ab", "more_body": True}, b"ab"),
        ({"type": "http.request"}, b""),
        ({"type": "http.request", "body": None}, b""),
        ({"type": "http.disconnect"}, None),
    ],
)
def test_an_event_brings_bytes_or_a_disconnect(event: Message, data: bytes | None) -> None:
    assert data_from_event(event) == data


def test_an_event_of_another_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"websocket\.receive"):
        data_from_event({"type": "websocket.receive"})


@pytest.mark.spec("H-11", "SEC-10", "WA-13")
@pytest.mark.parametrize(
    ("environ", "length"),
    [
        ({}, None),
        ({"CONTENT_LENGTH": ""}, None),
        ({"CONTENT_LENGTH": "3"}, 3),
        ({"CONTENT_LENGTH": "3", "wsgi.input_terminated": True}, 3),
        ({"CONTENT_LENGTH": "3", **CHUNKED, "wsgi.input_terminated": True}, None),
        ({"CONTENT_LENGTH": "3", **CHUNKED}, 3),
    ],
    ids=["none", "empty", "length", "and end mark", "chunks and end mark", "chunks"],
)
def test_a_transfer_coding_beats_the_length_where_the_server_marks_the_end(
    environ: dict[str, object], length: int | None
) -> None:
    assert body_length(environ) == length


@pytest.mark.spec("A-16", "E-08")
@pytest.mark.parametrize(
    ("environ", "length", "there"),
    [
        ({}, None, False),
        ({}, 0, False),
        ({}, 1, True),
        ({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}, None, True),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 3, True),
    ],
    ids=["none", "empty", "length", "end mark", "length beside chunks"],
)
def test_a_body_is_there_where_its_end_is_known(
    environ: dict[str, object], length: int | None, there: bool
) -> None:
    assert has_body(environ, length) is there


@pytest.mark.spec("SEC-11", "A-16")
def test_a_body_without_known_end_is_refused() -> None:
    with pytest.raises(PeerProtocolError, match="no length") as caught:
        has_body({"HTTP_TRANSFER_ENCODING": "chunked"}, None)

    assert caught.value.status_hint == 411
