"""Under hypercorn's trio worker the bridge refuses, and says why."""

from __future__ import annotations

import httpx
import pytest
import trio

from bridge.errors import ConfigurationError
from bridge.types import Message
from tests.servers.trio_apps import adapter
from tests.support.servers import serve, wait_for_output

REASON = "bridge needs asyncio"


@pytest.mark.parametrize("app", ["adapter", "site"])
def test_the_server_does_not_start_and_says_why(app: str) -> None:
    with pytest.raises(RuntimeError, match=REASON):
        _serve_to_its_end(app)


def _serve_to_its_end(app: str) -> None:
    with serve("hypercorn-trio", f"tests.servers.trio_apps:{app}") as server:
        server.process.wait(20)
        raise RuntimeError(server.output)  # it may listen for a moment before it ends


def test_a_request_fails_with_the_reason_in_the_log() -> None:
    with serve("hypercorn-trio", "tests.servers.trio_apps:without_lifespan") as server:
        assert httpx.get(server.url, timeout=20).status_code == 500
        wait_for_output(server, REASON)


def test_a_websocket_fails_with_the_reason() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(ConfigurationError, match=REASON):
        trio.run(adapter, {"type": "websocket", "path": "/", "headers": []}, receive, send)
