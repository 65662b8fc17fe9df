"""`wsgi.file_wrapper` under an ASGI server: which files are sent whole, by which event, in whose thread."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wsgi import ClosingIterator

from bridge import WSGIToASGI
from bridge._protocol.sendfile import FILE_BLOCK_BYTES, PATHSEND, ZEROCOPYSEND
from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse
from tests.support.asgi import Exchange, get, http_scope

PATH: dict[str, Any] = {"extensions": {PATHSEND: {}}}
ZERO: dict[str, Any] = {"extensions": {ZEROCOPYSEND: {}}}
DATA = bytes(range(256)) * 8

Open = Callable[[], Any]


def wrapping(
    open_file: Open,
    *fields: tuple[str, str],
    then: Callable[[Iterable[bytes]], Iterable[bytes]] = lambda wrapped: wrapped,
) -> WSGIToASGI:
    """Make an app that returns a wrapped file."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        wrapped = environ["wsgi.file_wrapper"](open_file(), 512)
        start_response("200 OK", [("Content-Type", "text/x-own"), *fields])
        return then(wrapped)

    return WSGIToASGI(app)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    return file


def backwards(wrapped: Any) -> Iterable[bytes]:
    return ClosingIterator((block[::-1] for block in wrapped), wrapped.close)


class Reads:
    """A file-like object that counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.reads = 0
        self.closes = 0

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        return self._file.read(size)

    def close(self) -> None:
        self.closes += 1


def types(exchange: Exchange) -> list[str]:
    return [message["type"].removeprefix("http.response.") for message in exchange.sent]


# ---------------------------------------------------------------- the wrapper


@pytest.mark.spec("E-04")
async def test_a_wrapper_that_is_not_returned_reads_nothing() -> None:
    file = Reads(DATA)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.file_wrapper"](file)
        start_response("200 OK", [])
        return [b"other"]

    exchange = await get(WSGIToASGI(app), **PATH)

    assert (exchange.body, file.reads, file.closes) == (b"other", 0, 0)


@pytest.mark.spec("E-04", "E-05")
async def test_anything_with_read_is_sent_by_its_blocks_and_closed_once() -> None:
    file = Reads(DATA)

    exchange = await get(wrapping(lambda: file), **PATH)

    assert (exchange.body, file.closes) == (DATA, 1)
    assert "pathsend" not in types(exchange)


@pytest.mark.spec("E-05")
async def test_a_file_without_close_is_no_error() -> None:
    class Bare:
        read = io.BytesIO(b"bare").read

    exchange = await get(wrapping(Bare))

    assert exchange.body == b"bare"


@pytest.mark.spec("E-05")
@pytest.mark.parametrize("offer", [{}, PATH["extensions"], ZERO["extensions"]], ids=["none", "path", "zero"])
@pytest.mark.parametrize("length", [None, 4])
async def test_from_the_position_to_the_length(path: Path, length: int | None, offer: Any) -> None:
    def open_at_3() -> Any:
        file = path.open("rb")
        file.read(3)  # reads ahead: the descriptor stands elsewhere
        return file

    fields = [] if length is None else [("Content-Length", str(length))]
    sent: list[bytes] = []
    exchange = Exchange()
    exchange.on_send = reading(sent)

    await exchange.run(wrapping(open_at_3, *fields), http_scope(extensions=offer))

    assert b"".join(sent) == DATA[3:][:length]
    assert "pathsend" not in types(exchange)


def reading(sent: list[bytes]) -> Callable[[Any], Any]:
    """Do what a server does with the three kinds of body."""

    async def on_send(message: Any) -> None:
        if message["type"] == PATHSEND:
            sent.append(Path(message["path"]).read_bytes())  # noqa: ASYNC240
        elif message["type"] == ZEROCOPYSEND:
            sent.append(os.pread(message["file"].fileno(), message["count"], message["offset"]))
        else:
            sent.append(message.get("body", b""))

    return on_send


@pytest.mark.spec("E-06")
async def test_what_a_middleware_made_of_it_is_iterated(path: Path) -> None:
    app = wrapping(lambda: path.open("rb"), then=backwards)

    exchange = await get(app, **PATH)

    assert types(exchange)[1:] == ["body"] * (len(exchange.sent) - 1)
    assert exchange.body == b"".join(DATA[at : at + 512][::-1] for at in range(0, len(DATA), 512))


# ---------------------------------------------------------------- pathsend


@pytest.mark.spec("E-13", "E-14")
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_whole_file_is_one_event(path: Path, buffering: int) -> None:
    app = wrapping(lambda: path.open("rb", buffering), ("Content-Length", str(len(DATA))))

    exchange = await get(app, **PATH)

    assert exchange.sent[1:] == [{"type": PATHSEND, "path": str(path)}]
    assert exchange.headers == [(b"content-type", b"text/x-own"), (b"content-length", b"%d" % len(DATA))]


@pytest.mark.spec("E-13")
async def test_the_path_is_absolute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    app = wrapping(lambda: Path(path.name).open("rb"))  # noqa: SIM115

    exchange = await get(app, **PATH)

    assert exchange.sent[1]["path"] == str(path)


@pytest.mark.spec("E-13")
async def test_without_the_offer_the_file_goes_by_large_blocks(tmp_path: Path) -> None:
    data = os.urandom(FILE_BLOCK_BYTES + 1)
    (tmp_path / "large").write_bytes(data)

    exchange = await get(wrapping(lambda: (tmp_path / "large").open("rb")))

    assert [len(message["body"]) for message in exchange.sent[1:]] == [FILE_BLOCK_BYTES, 1]
    assert exchange.body == data


@pytest.mark.spec("E-14")
@pytest.mark.parametrize("offer", [PATH, ZERO], ids=["path", "zero"])
async def test_head_sends_no_file(path: Path, offer: Any) -> None:
    app = wrapping(lambda: path.open("rb"), ("Content-Length", str(len(DATA))))

    exchange = await get(app, method="HEAD", **offer)

    assert types(exchange) == ["start", "body"]
    assert exchange.body == b""
    assert (b"content-length", b"%d" % len(DATA)) in exchange.headers


@pytest.mark.spec("E-14", "E-25")
async def test_a_file_that_is_shorter_than_declared_is_an_error(path: Path) -> None:
    app = wrapping(lambda: path.open("rb"), ("Content-Length", str(len(DATA) + 1)))

    with pytest.raises(AppProtocolError, match="of its Content-Length"):
        await get(app, **PATH)


@pytest.mark.spec("E-13", "SEC-32")
async def test_another_file_of_that_name_is_never_sent(path: Path) -> None:
    def replaced() -> Any:
        file = path.open("rb")
        path.rename(path.with_name("old"))
        path.write_bytes(b"x" * len(DATA))
        return file

    exchange = await get(wrapping(replaced), **PATH)

    assert exchange.body == DATA


@pytest.mark.spec("E-13", "SEC-32")
async def test_a_file_that_the_app_removes_when_it_closes_is_sent(path: Path) -> None:
    def removing() -> Any:
        file: Any = path.open("rb")
        close = file.close

        def closing() -> None:  # as a FileResponse with a clean-up does
            close()
            path.unlink()

        file.close = closing
        return file

    exchange = await get(wrapping(removing), **PATH)

    assert exchange.body == DATA
    assert not path.exists()  # noqa: ASYNC240


@pytest.mark.spec("E-13", "SEC-32")
@pytest.mark.parametrize("kind", ["descriptor", "gzip", "temporary", "pipe", "BytesIO"])
async def test_what_is_no_plain_file_is_asked_for_its_bytes(path: Path, kind: str) -> None:
    def opened() -> Any:
        if kind == "descriptor":
            return os.fdopen(os.open(path, os.O_RDONLY), "rb")
        if kind == "gzip":
            with gzip.open(path.with_suffix(".gz"), "wb") as packed:
                packed.write(DATA)
            return gzip.open(path.with_suffix(".gz"), "rb")
        if kind == "temporary":
            temporary = tempfile.NamedTemporaryFile()  # noqa: SIM115
            temporary.write(DATA)
            temporary.seek(0)
            return temporary
        if kind == "pipe":
            reader, writer = os.pipe()
            with os.fdopen(writer, "wb") as file:
                file.write(DATA)
            return os.fdopen(reader, "rb")
        return io.BytesIO(DATA)

    exchange = await get(wrapping(opened), **PATH)

    assert exchange.body == DATA
    assert "pathsend" not in types(exchange)


async def test_an_empty_file_is_an_empty_body(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    exchange = await get(wrapping(lambda: (tmp_path / "empty").open("rb")))

    assert types(exchange) == ["start", "body"]
    assert exchange.body == b""


# ---------------------------------------------------------------- zerocopysend


@pytest.mark.spec("E-15")
async def test_zerocopysend_gets_a_descriptor_that_is_closed_after_it(path: Path) -> None:
    def open_at_3() -> Any:
        file = path.open("rb")
        file.seek(3)
        return file

    sent: list[bytes] = []
    exchange = Exchange()
    exchange.on_send = reading(sent)

    await exchange.run(wrapping(open_at_3, ("Content-Length", "4")), http_scope(**ZERO))

    (event,) = exchange.sent[1:]
    assert (event["offset"], event["count"], event["more_body"]) == (3, 4, False)
    assert sent[1] == DATA[3:7]
    assert event["file"].closed


@pytest.mark.spec("E-15", "SEC-21")
async def test_a_client_that_leaves_costs_no_descriptor(path: Path) -> None:
    exchange = Exchange()
    events: list[Any] = []

    async def leaving(message: Any) -> None:
        events.append(message)
        if message["type"] == ZEROCOPYSEND:
            raise OSError("the client has left")

    exchange.on_send = leaving

    with pytest.raises(OSError, match="has left"):
        await exchange.run(wrapping(lambda: path.open("rb")), http_scope(**ZERO))

    assert events[1]["file"].closed


# ---------------------------------------------------------------- threads


async def test_a_download_holds_no_thread(path: Path) -> None:
    import asyncio

    closed = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/quick":
            start_response("200 OK", [])
            return [b"quick"]
        file: Any = path.open("rb")
        close = file.close

        def closing() -> None:
            close()
            closed.set()

        file.close = closing
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    adapter = WSGIToASGI(app, threads=1)
    slow = Exchange()
    slow.send_gate = asyncio.Event()
    download = asyncio.ensure_future(slow.run(adapter, http_scope("/file")))
    assert await asyncio.to_thread(closed.wait, 10)

    quick = await get(adapter, "/quick")

    assert quick.body == b"quick"
    assert not download.done()
    slow.send_gate.set()
    await download
    assert slow.body == DATA
