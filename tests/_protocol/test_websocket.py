from __future__ import annotations

from typing import Any

import pytest

import bridge._protocol.websocket as module
from bridge._protocol.websocket import Close, WebSocketCycle, WebSocketState, sendable
from bridge.errors import AppProtocolError, ClientDisconnected
from tests._protocol.docstring_tables import transitions


def opened(*subprotocols: str) -> WebSocketCycle:
    cycle = WebSocketCycle(subprotocols)
    cycle.accept(None, [])
    return cycle


def closed() -> WebSocketCycle:
    cycle = opened()
    cycle.close()
    return cycle


def denying() -> WebSocketCycle:
    cycle = WebSocketCycle()
    cycle.deny()
    return cycle


def gone() -> WebSocketCycle:
    cycle = opened()
    cycle.lost()
    return cycle


ACTS: dict[str, Any] = {
    "accept": lambda cycle: cycle.accept(None, []),
    "deny": lambda cycle: cycle.deny(),
    "body": lambda cycle: cycle.body(more=True),
    "end": lambda cycle: cycle.body(more=False),
    "message": lambda cycle: cycle.message({"type": "websocket.send", "text": "x"}),
    "close": lambda cycle: cycle.close(),
}
STATES: dict[str, Any] = {
    "CONNECTING": (WebSocketCycle, {"accept", "deny", "close"}),
    "DENYING": (denying, {"body", "end"}),
    "OPEN": (opened, {"message", "close"}),
    "CLOSED": (closed, set()),
    "GONE": (gone, set()),
}


@pytest.mark.spec("S-26", "S-07", "S-25")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", STATES)
def test_each_act_is_allowed_in_its_states_and_changes_nothing_elsewhere(state: str, act: str) -> None:
    make, allowed = STATES[state]
    cycle = make()
    before = cycle.state

    if act in allowed:
        ACTS[act](cycle)
        return
    with pytest.raises(ClientDisconnected if state == "GONE" else AppProtocolError):
        ACTS[act](cycle)
    assert cycle.state is before


def test_the_loss_of_the_client_is_known_in_every_state_and_final() -> None:
    for make in (WebSocketCycle, denying, opened):
        cycle = make()
        cycle.lost()
        assert cycle.state is WebSocketState.GONE
    ended = closed()
    ended.lost()
    assert ended.state is WebSocketState.CLOSED


@pytest.mark.spec("S-10")
@pytest.mark.parametrize(
    "message",
    [{}, {"text": None, "bytes": None}, {"text": "a", "bytes": b"a"}, {"text": b"a"}, {"bytes": "a"}],
    ids=["neither", "both None", "both", "text of bytes", "bytes of text"],
)
def test_a_message_has_exactly_one_of_text_and_bytes(message: dict[str, Any]) -> None:
    with pytest.raises(AppProtocolError):
        opened().message(message)


@pytest.mark.spec("S-10")
def test_an_empty_message_is_a_message() -> None:
    assert opened().message({"text": "", "bytes": None}) == ""
    assert opened().message({"bytes": bytearray(b"")}) == b""


@pytest.mark.spec("S-09")
def test_a_subprotocol_that_was_not_offered_cannot_be_accepted() -> None:
    cycle = WebSocketCycle(["a"])

    with pytest.raises(AppProtocolError, match="had not offered"):
        cycle.accept("x", [])

    assert cycle.state is WebSocketState.CONNECTING
    cycle.accept("a", [])


@pytest.mark.spec("S-08")
@pytest.mark.parametrize(
    "name",
    [b"sec-websocket-protocol", b"Sec-WebSocket-Accept", b"upgrade", b"connection", b"transfer-encoding"],
)
def test_fields_of_the_handshake_are_not_the_apps(name: bytes) -> None:
    with pytest.raises(AppProtocolError, match="handshake"):
        WebSocketCycle().accept(None, [(name, b"x")])


@pytest.mark.spec("S-08")
def test_headers_of_accept_keep_their_order() -> None:
    headers = [(b"set-cookie", b"a=1"), (b"x", b"2"), (b"set-cookie", b"b=3")]

    assert WebSocketCycle().accept(None, headers) == headers


@pytest.mark.spec("S-16")
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000, 65535, "1000", 1000.0])
def test_a_code_that_may_not_be_sent_raises(code: Any) -> None:
    cycle = opened()

    with pytest.raises(AppProtocolError, match="close code"):
        cycle.close(code)

    assert cycle.state is WebSocketState.OPEN


@pytest.mark.spec("S-16")
def test_a_reason_has_at_most_123_bytes() -> None:
    assert opened().close(1000, "\u00e4" * 61).reason == "\u00e4" * 61
    with pytest.raises(AppProtocolError, match="123 bytes"):
        opened().close(1000, "\u00e4" * 62)


@pytest.mark.spec("S-06")
def test_a_close_without_arguments_is_1000_without_a_reason() -> None:
    assert opened().close() == Close(1000, "")


def test_sendable_codes_are_those_of_the_rfc() -> None:
    assert [
        code for code in (1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999) if not sendable(code)
    ] == []


def test_the_table_of_the_docstring_is_the_one_that_is_used() -> None:
    table = transitions(module.__doc__)

    used = {(state.name, act): after.name for (state, act), after in module._NEXT.items()}
    assert {key: after for key, after in table.items() if after is not None} | {
        ("GONE", "lost"): "GONE"
    } == used
