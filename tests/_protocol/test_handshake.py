from __future__ import annotations

import base64

import pytest

from bridge._protocol.client_handshake import answer_from_bytes, scope_as_upgrade
from bridge._protocol.handshake import accept_key
from bridge.errors import AppProtocolError, PeerProtocolError

KEY = base64.b64encode(bytes(16)).decode()


@pytest.mark.parametrize("status", [b"043", b"100", b"199", b"600", b"999", b"20", b"2000"])
def test_an_answer_to_a_handshake_has_a_final_status(status: bytes) -> None:
    """Found by `make fuzz`: 043 went on to the client as 43."""
    with pytest.raises(AppProtocolError, match="something else"):
        answer_from_bytes(b"HTTP/1.1 " + status + b" Any", KEY)


def test_an_answer_that_agrees_or_refuses_is_read() -> None:
    agreed = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept_key(KEY)

    assert answer_from_bytes(agreed, KEY) == (101, None, [])
    assert answer_from_bytes(b"HTTP/1.1 404\r\nX-A: b", KEY) == (404, None, [(b"x-a", b"b")])


@pytest.mark.spec("S-02", "SEC-30")
@pytest.mark.parametrize("name", ["\u20ac", "\udcff", "\xff", "a,b", "a\r\nb", "a b", ""])
def test_a_subprotocol_that_is_no_token_does_not_reach_a_wsgi_app(name: str) -> None:
    """A server may decode what a client offers as it likes: a character beyond U+00FF was a 500."""
    with pytest.raises(PeerProtocolError, match="token") as caught:
        scope_as_upgrade({"headers": [], "subprotocols": ["chat", name]}, KEY)

    assert caught.value.status_hint == 400
