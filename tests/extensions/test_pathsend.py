"""`http.response.pathsend` of an ASGI app, over the `wsgi.file_wrapper` of the server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from bridge import ASGIToWSGI
from bridge._protocol.sendfile import PATHSEND
from bridge.errors import AppProtocolError
from bridge.types import Scope
from tests.contract.asgi_specimens import body, bridged, catching, recording, sending, start
from tests.servers.wire import head, read_reply
from tests.support.servers import Server, serve
from tests.support.wsgi import Answer, call, make_environ

DATA = bytes(range(256)) * 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    return file


class Wrapper(FileWrapper):
    """The wrapper of a server that counts."""

    made = 0

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        super().__init__(filelike, blksize)
        type(self).made += 1


def pathsend(path: object) -> dict[str, Any]:
    return {"type": PATHSEND, "path": path}


def answer_to(*events: Any, **make: Any) -> Answer:
    return call(bridged(sending(*events)), make_environ(wsgi__file_wrapper=Wrapper, **make))


@pytest.mark.spec("E-16")
def test_the_wrapper_of_the_server_is_what_it_gets(path: Path) -> None:
    answer = Answer()
    environ = make_environ(wsgi__file_wrapper=Wrapper)

    blocks: Any = bridged(sending(start(), pathsend(str(path))))(environ, answer.start_response)

    assert type(blocks) is Wrapper
    assert b"".join(blocks) == DATA
    assert answer.headers["Content-Length"] == str(len(DATA))
    blocks.close()
    assert blocks.filelike.closed


@pytest.mark.spec("E-16")
def test_it_is_offered_where_there_is_a_wrapper() -> None:
    scopes: list[Scope] = []
    adapter = ASGIToWSGI(recording(scopes), lifespan="off")

    call(adapter, make_environ())
    call(adapter, make_environ(wsgi__file_wrapper=Wrapper))

    assert [PATHSEND in scope["extensions"] for scope in scopes] == [False, True]


@pytest.mark.spec("E-16", "E-14")
def test_head_sends_no_file(path: Path) -> None:
    before = Wrapper.made

    answer = answer_to(start(), pathsend(str(path)), method="HEAD")

    assert (answer.body, Wrapper.made) == (b"", before)


@pytest.mark.spec("E-16", "E-25")
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_length_than_declared_raises(path: Path, difference: int) -> None:
    length = (b"content-length", b"%d" % (len(DATA) + difference))

    with pytest.raises(AppProtocolError, match="Content-Length"):
        answer_to(start(200, length), pathsend(str(path)))


@pytest.mark.spec("E-16", "E-25")
@pytest.mark.parametrize(
    "wrong", ["data.bin", None, b"/data.bin", "/nowhere/at all", "/dev/null", "/", "/\0"]
)
def test_a_wrong_path_raises_in_the_app_which_may_go_on(wrong: object) -> None:
    errors: list[Exception] = []
    app = catching(errors, start(), pathsend(wrong), body(b"ok"))

    answer = call(bridged(app), make_environ(wsgi__file_wrapper=Wrapper))

    assert [type(error) for error in errors] == [AppProtocolError]
    assert answer.body == b"ok"


@pytest.mark.spec("E-16")
def test_a_file_is_not_mixed_with_blocks(path: Path) -> None:
    errors: list[Exception] = []
    app = catching(
        errors, pathsend(str(path)), start(), body(b"one", more=True), pathsend(str(path)), body(b"two")
    )

    answer = call(bridged(app), make_environ(wsgi__file_wrapper=Wrapper))

    assert [type(error) for error in errors] == [AppProtocolError] * 2
    assert answer.body == b"onetwo"


# ---------------------------------------------------------------- over real servers

SIZE = 3 * 1024 * 1024 + 1


@pytest.fixture(scope="module", params=["gunicorn", "waitress", "uwsgi"])
def sent(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    path: Path = tmp_path_factory.mktemp("sent") / "file.bin"
    path.write_bytes(os.urandom(SIZE))
    app = "tests.extensions.apps:asgi_bridged"
    options = ["--lazy-apps", "--enable-threads"] if request.param == "uwsgi" else []
    with serve(request.param, app, *options, env={"SENT_FILE": str(path)}) as server:
        yield server, path


@pytest.mark.spec("E-16")
def test_starlette_has_its_file_sent(sent: tuple[Server, Path]) -> None:
    server, path = sent
    with server.connect() as sock:
        sock.sendall(head("/extensions", "Connection: close"))
        assert PATHSEND.encode() in read_reply(sock).body
    for _ in range(2):
        with server.connect() as sock:
            sock.sendall(head("/file", "Connection: close"))
            reply = read_reply(sock)
        assert (reply.status, reply.whole) == (200, True)
        assert reply.body == path.read_bytes()


@pytest.mark.spec("E-16", "E-14")
def test_starlette_answers_head_and_ranges_as_ever(sent: tuple[Server, Path]) -> None:
    server, path = sent
    with server.connect() as sock:
        sock.sendall(head("/file", "Connection: close", method="HEAD"))
        assert read_reply(sock, "HEAD").status == 200
    with server.connect() as sock:
        sock.sendall(head("/file", "Range: bytes=3-6", "Connection: close"))
        reply = read_reply(sock)
    assert (reply.status, reply.body) == (206, path.read_bytes()[3:7])
