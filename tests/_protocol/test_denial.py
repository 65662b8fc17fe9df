from __future__ import annotations

import pytest

from bridge._protocol.denial import Denial, forbidden
from bridge._protocol.websocket import WebSocketCycle, WebSocketState
from bridge.errors import AppProtocolError, AppTypeError
from bridge.types import Message


def start(**fields: object) -> Message:
    return {"type": "websocket.http.response.start", "status": 401, "headers": [], **fields}


def body(data: object = b"", *, more: bool = False) -> Message:
    return {"type": "websocket.http.response.body", "body": data, "more_body": more}


@pytest.mark.spec("S-07")
def test_the_head_leaves_with_the_first_block_and_the_last_one_closes_the_websocket() -> None:
    cycle = WebSocketCycle()
    denial = Denial(cycle)

    denial.start(start())
    head, first, more = denial.body(body(bytearray(b"no"), more=True))
    assert (head and head.status, first, more) == (401, b"no", True)
    assert denial.body(body(b" way")) == (None, b" way", False)

    assert cycle.state is WebSocketState.CLOSED


@pytest.mark.spec("S-07", "S-26")
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (body("text"), AppTypeError),
        (body(b"longer than it says"), AppProtocolError),
        (body(b""), AppProtocolError),
    ],
    ids=["text", "too long", "too short"],
)
def test_a_block_that_breaks_a_rule_changes_nothing(wrong: Message, error: type[Exception]) -> None:
    cycle = WebSocketCycle()
    denial = Denial(cycle)
    denial.start(start(headers=[(b"content-length", b"2")]))

    with pytest.raises(error):
        denial.body(wrong)

    assert cycle.state is WebSocketState.DENYING
    head, data, more = denial.body(body(b"no"))
    assert (head and head.length, data, more) == (2, b"no", False)


@pytest.mark.spec("S-26")
def test_a_denial_neither_begins_with_a_block_nor_comes_after_the_acceptance() -> None:
    with pytest.raises(AppProtocolError):
        Denial(WebSocketCycle()).body(body(b"x"))
    accepted = WebSocketCycle()
    accepted.accept(None, [])
    with pytest.raises(AppProtocolError):
        Denial(accepted).start(start())
    assert accepted.state is WebSocketState.OPEN


@pytest.mark.spec("S-05")
def test_the_answer_for_a_close_before_the_acceptance_is_whole() -> None:
    head, data, more = forbidden()

    assert head is not None
    assert (head.status, head.length, more) == (403, len(data), False)
