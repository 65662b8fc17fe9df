"""WebSockets of a `Site`: each face serves those of both kinds of app."""

from __future__ import annotations

import pytest

from tests.support.servers import serve
from tests.websocket.test_wsgi_under_asgi import open_socket


@pytest.mark.parametrize(
    ("kind", "face"),
    [
        ("uvicorn-websockets", "asgi"),
        ("hypercorn", "asgi"),
        ("gunicorn-gthread", "wsgi"),
        ("werkzeug", "wsgi"),
    ],
)
def test_a_site_serves_the_websockets_of_both_kinds_of_app(kind: str, face: str) -> None:
    with serve(kind, f"tests.websocket.sites:{face}") as server:
        for path in ("/new/echo", "/old/echo"):
            with open_socket(server, path) as ws:
                ws.send(path)
                assert ws.recv(timeout=20) == path
