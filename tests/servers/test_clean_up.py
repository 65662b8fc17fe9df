"""What frameworks clean up after a request is cleaned up for each, however it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.sites import Site
from tests.servers.wire import get, head, narrow, recv_until, reset

ROUNDS = 10
ENDS = ("whole", "stream", "fail", "late")


def leave(site: Site, path: str, key: str, *, rude: bool) -> None:
    with narrow(site.server) as sock:
        sock.sendall(head(f"{path}/endless?{key}"))
        recv_until(sock, b"x" * 20_000)
        if rude:
            reset(sock)


SENDERS = {"/flask": None, "/fastapi": None, "/django": "WSGIHandler", "/django-asgi": "ASGIHandler"}
"""The app of each path, and under what it leaves its notes if not under the key of the test."""


@pytest.mark.spec("W-52", "W-63", "A-33", "SEC-22")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn"])
@pytest.mark.parametrize("path", SENDERS)
def test_each_request_is_cleaned_up_after(
    keep_site: Callable[..., Site], key: str, path: str, kind: str
) -> None:
    """Flask's teardown_appcontext, Django's request_finished, FastAPI's Depends with yield."""
    site = keep_site(kind, module="tests.servers.frameworks")
    notes = SENDERS[path] or key
    # Django 5.2 sends no request_finished where a stream of its ASGI handler fails, natively either.
    ends = [end for end in ENDS if (path, end) != ("/django-asgi", "late")]
    for count in range(ROUNDS):
        for end in ends:
            get(site.server, f"{path}/{end}?{key}", "Connection: close")
        leave(site, path, key, rude=bool(count % 2))
    began = ROUNDS * (len(ends) + 1)

    site.board.wait(notes, "cleaned up", began)

    assert site.board.notes(notes) == {"began": began, "cleaned up": began}
