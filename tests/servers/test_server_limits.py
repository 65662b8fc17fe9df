"""The figures of `ServerLimits` are those of the real servers, with their default options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.utilities import RequestEntityTooLarge

from bridge import ServerLimits
from bridge._protocol.refusal import refusal
from tests.extensions.http2 import http2_get
from tests.servers.sites import Site, on, target
from tests.servers.wire import Reply, head, talk
from tests.support.servers import Server, serve
from tests.websocket.wire import BINARY, CONT, Frame, Wire

KNOWN = ("gunicorn", "uwsgi", "waitress", "werkzeug", "uvicorn", "hypercorn", "daphne", "granian")

# ---------------------------------------------------------------- requests of a size, as servers count it


def _of_fields(key: str, number: int) -> bytes:
    own = ("Connection: close", *(f"X-{index}: 1" for index in range(number - 2)))  # and Host
    return head(target("/facts", key=key), *own)


def _of_variables(key: str, number: int) -> bytes:
    return _of_fields(key, number - 9)  # so many of CGI has uWSGI with `--http-socket`


def _of_a_field(key: str, size: int) -> bytes:
    """Have one field line of a size, its end included."""
    return head(target("/facts", key=key), "Connection: close", f"X: {'v' * (size - 5)}")


def _of_a_head(key: str, size: int) -> bytes:
    """Have a head of a size, the empty line included."""
    return _of_a_field(key, size - len(_of_a_field(key, 5)) + 5)


def _of_a_target(key: str, size: int) -> bytes:
    return head(
        target("/facts", key=key, kind="v" * (size - len(target("/facts", key=key, kind="")))),
        "Connection: close",
    )


def _of_a_request_line(key: str, size: int) -> bytes:
    return _of_a_target(key, size - len("GET  HTTP/1.1"))


def _of_an_ended_request_line(key: str, size: int) -> bytes:
    return _of_a_request_line(key, size - len("\r\n"))


def _of_a_head_with_a_long_path(key: str, size: int) -> bytes:
    return _of_a_target(key, size - len(_of_a_target(key, 100)) + 100)


@dataclass(frozen=True)
class Bound:
    """A figure of a server.

    Attributes:
        kind: of the server, a key of `tests.support.servers.COMMANDS`.
        figure: its name.
        build: a request that is as large as the server counts.
        short: how much less passes than the figure.
    """

    kind: str
    figure: str
    build: Callable[[str, int], bytes]
    short: int = 0

    @property
    def most(self) -> int:
        figure: int | None = getattr(ServerLimits.of(self.kind.partition("-")[0]), self.figure)
        assert figure is not None
        return figure


BOUNDS = [
    Bound("gunicorn", "max_headers", _of_fields),
    Bound("gunicorn", "max_field_bytes", _of_a_field),
    Bound("gunicorn", "max_path_bytes", _of_a_request_line),
    Bound("uwsgi", "max_headers", _of_variables),
    Bound("uwsgi", "max_header_bytes", _of_a_head, short=400),  # names and CGI's
    # It stands there twice, in REQUEST_URI too; of what is longer, the query is dropped, and the app called.
    Bound("uwsgi", "max_path_bytes", _of_a_head_with_a_long_path, short=2_300),
    Bound("waitress", "max_header_bytes", _of_a_head, short=1),
    Bound("waitress", "max_path_bytes", _of_a_head_with_a_long_path, short=1),
    Bound("werkzeug", "max_headers", _of_fields, short=1),  # the empty line counts, in most of CPython
    Bound("werkzeug", "max_field_bytes", _of_a_field),
    Bound("werkzeug", "max_path_bytes", _of_an_ended_request_line),
    Bound("granian", "max_path_bytes", _of_a_target),
    Bound("granian-wsgi", "max_path_bytes", _of_a_target),
]
BY_HAND = {("waitress", "max_body_bytes"), ("uvicorn", "max_message_bytes"), ("daphne", "max_message_bytes")}
EACH = pytest.mark.parametrize(
    ("site", "bound"),
    [pytest.param(bound.kind, bound, id=f"{bound.kind}-{bound.figure}") for bound in BOUNDS],
    indirect=["site"],
)


def _is_of_the_bridge(reply: Reply) -> bool:
    return reply.status in (413, 414, 431) and reply.body == refusal(reply.status)[0]


@EACH
def test_as_much_as_the_figure_is_let_through(site: Site, key: str, bound: Bound) -> None:
    reply = talk(site.server, bound.build(key, bound.most - bound.short))

    # The bridge's own default of a path is below that of waitress: so it was asked.
    assert (reply.status == 200 and "whole" in site.board.notes(key)) or _is_of_the_bridge(reply)


@EACH
def test_more_than_the_figure_is_refused_by_the_server(site: Site, key: str, bound: Bound) -> None:
    reply = talk(site.server, bound.build(key, bound.most + 1))

    assert reply.status in (0, 400, 414, 431)
    assert not _is_of_the_bridge(reply)
    assert site.board.notes(key) == {}


@on("waitress")
def test_waitress_refuses_a_body_of_its_figure(site: Site, key: str) -> None:
    length = ServerLimits.of("waitress").max_body_bytes

    reply = talk(site.server, head(target("/facts", key=key), f"Content-Length: {length}", method="POST"))

    assert reply.status == 413
    assert not _is_of_the_bridge(reply)
    assert site.board.notes(key) == {}


@pytest.mark.parametrize(("less", "error"), [(1, None), (0, RequestEntityTooLarge)])
def test_waitress_waits_for_a_body_below_its_figure(less: int, error: type | None) -> None:
    """Asked of its parser: the real one would want 1 GiB before it calls the app."""
    length = (ServerLimits.of("waitress").max_body_bytes or 0) - less
    parser = HTTPRequestParser(Adjustments())

    parser.received(head("/", f"Content-Length: {length}", method="POST"))

    assert type(parser.error) is (error or type(None))


def test_every_figure_of_a_known_server_is_tried() -> None:
    figures = {
        (name, field.name)
        for name in KNOWN
        for field in fields(ServerLimits)
        if field.name.startswith("max_") and getattr(ServerLimits.of(name), field.name) is not None
    }

    assert {(bound.kind.partition("-")[0], bound.figure) for bound in BOUNDS} | BY_HAND == figures


@on("granian")
def test_a_bound_of_http_1_alone_is_none_of_the_server(site: Site) -> None:
    with site.server.connect() as sock:
        answer = http2_get(sock, "/facts", *((f"x-{number}", "1") for number in range(200)))

    assert dict(answer.heads[-1])[b":status"] == b"200"


# ---------------------------------------------------------------- WebSocket messages


@pytest.mark.parametrize("kind", ["uvicorn-websockets", "uvicorn-wsproto", "daphne"])
def test_a_message_up_to_the_figure_is_let_through_and_a_longer_one_is_not(kind: str) -> None:
    most = ServerLimits.of(kind.partition("-")[0]).max_message_bytes or 0
    with serve(kind, "tests.servers.limited:measuring") as server, Wire(server.port, "/") as wire:
        wire.open().send(Frame(BINARY, bytes(most)))
        assert wire.frame().payload == str(most).encode()

        wire.send(Frame(BINARY, bytes(most), fin=False), Frame(CONT, b"1"))
        assert _refusal_of_a_message(wire) == ("reset" if kind == "daphne" else 1009)


def _refusal_of_a_message(wire: Wire) -> object:
    try:
        return wire.frame().code
    except ConnectionError:
        return "reset"


# ---------------------------------------------------------------- a server that can be asked

LIMITED = "tests.servers.limited:asgi_bridged"
POST_LIMIT = ("--limit-post", "1000")


def test_a_limit_above_that_of_its_uwsgi_process_fails_at_construction() -> None:
    log = _log_of_an_ended_uwsgi(MAX_BODY_BYTES="1001")

    assert "ConfigurationError: max_body_bytes=1001: this uWSGI process lets no more than 1000 through" in log
    assert "or raise limit-post of this uWSGI process" in log


def test_a_limit_at_that_of_its_uwsgi_process_serves() -> None:
    with serve("uwsgi", LIMITED, *POST_LIMIT, env={"MAX_BODY_BYTES": "1000"}) as server:
        replies = {size: _post(server, size) for size in (1_000, 1_001)}

    answer = json.loads(replies[1_000].body)
    assert answer["size"] == 1_000
    assert answer["above"].startswith(
        "max_body_bytes=1001: this uWSGI process lets no more than 1000 through"
    )
    assert answer["above, server named"] is None
    assert replies[1_001].status in (0, 413)  # it does not read the body, so its answer may be lost


def _log_of_an_ended_uwsgi(**env: str) -> str:
    """Give the log of a uWSGI whose app does not load; it listens before it tries."""
    try:
        with serve("uwsgi", LIMITED, *POST_LIMIT, env=env) as server:
            server.process.wait(30)
            return server.output
    except RuntimeError as exc:
        return str(exc)


def _post(server: Server, size: int) -> Reply:
    return talk(server, head("/", f"Content-Length: {size}", "Connection: close", method="POST"), bytes(size))
