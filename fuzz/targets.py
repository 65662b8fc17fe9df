"""What random bytes are thrown at, and what must hold whatever they are.

A target takes bytes and raises AssertionError, or anything else that is unexpected, where a law is broken.
Errors that the bridge answers are expected: PeerProtocolError for a peer, AppProtocolError for an app.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Callable
from typing import Any, Final
from wsgiref.validate import check_environ

from bridge._protocol.client_handshake import answer_from_bytes, scope_as_upgrade
from bridge._protocol.deflate import Deflate
from bridge._protocol.frames import Frames
from bridge._protocol.handshake import (
    handshake_from_environ,
    is_handshake,
    scope_of_websocket,
    switch_response,
)
from bridge._protocol.head import head_from_asgi, head_from_wsgi
from bridge._protocol.limits import Limits
from bridge._protocol.mounts import MountTable, text_borders
from bridge._protocol.request import environ_from_scope, scope_from_environ
from bridge.errors import AppProtocolError, PeerProtocolError
from bridge.types import Environ
from fuzz.reader import Reader

__all__ = ["TARGETS"]

_LIMITS: Final = Limits()
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LARGEST: Final = 1_000  # bytes of a WebSocket message

_TEMPLATE: Final[Environ] = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


def environ(data: bytes) -> None:
    """A request of an ASGI server: it becomes a valid environ, that becomes the same request again."""
    scope = _scope(Reader(data))
    try:
        made = environ_from_scope(scope, _TEMPLATE, _LIMITS)
    except PeerProtocolError as exc:
        assert 400 <= exc.status_hint < 500
        return
    _check_environ(made)
    names = [bytes(name).lower() for name, _ in scope["headers"]]
    assert not any(
        key.startswith("HTTP_") and key[5:].lower().replace("_", "-").encode() not in names for key in made
    )
    again = scope_from_environ(made, _LIMITS)
    whole = made["SCRIPT_NAME"] + made["PATH_INFO"]
    if scope["path"][:1] == "/" and scope["path"].isascii():
        assert whole == scope["path"]
        assert again["path"] == whole
    assert again["query_string"] == (scope["query_string"] or b"")
    _check_fields(again["headers"])


def scope(data: bytes) -> None:
    """An environ of a WSGI server: it becomes a valid scope, and that an environ again."""
    made_of = _environ(Reader(data))
    try:
        made = scope_from_environ(made_of, _LIMITS)
    except PeerProtocolError as exc:
        assert 400 <= exc.status_hint < 500
        return
    assert made["method"].isascii() and made["method"] == made["method"].upper()
    assert made["path"].startswith(made["root_path"].rstrip("/")) or made["path"] == "*"
    assert all(type(part) is bytes for part in (made["raw_path"], made["query_string"]))
    _check_fields(made["headers"])
    try:
        again = environ_from_scope(made, _TEMPLATE, _LIMITS)
    except PeerProtocolError:
        return  # what only one of the two servers may say
    _check_environ(again)


def response(data: bytes) -> None:
    """The head of a response, of either kind of app: what leaves is clean, with one length at most."""
    reader = Reader(data)
    method = reader.pick(b"GET", b"HEAD", b"CONNECT").decode("latin-1")
    of_wsgi = reader.byte() % 2
    status = reader.native() if reader.byte() % 4 == 0 else f"{reader.byte() * 3} Any"
    fields = []
    while reader.left and len(fields) < 40:
        fields.append((reader.pick(b"content-length", b"Connection", b"Set-Cookie", b"x-a"), reader.piece()))
    try:
        if of_wsgi:
            head = head_from_wsgi(
                status, [(n.decode("latin-1"), v.decode("latin-1")) for n, v in fields], method
            )
        else:
            head = head_from_asgi(reader.byte() * 3, fields, method)
    except AppProtocolError:
        return
    _check_fields(head.headers)
    lengths = [value for name, value in head.headers if name == b"content-length"]
    assert len(lengths) <= 1 and all(value.isdigit() for value in lengths)
    assert not {name for name, _ in head.headers} & {b"connection", b"transfer-encoding", b"upgrade"}


def handshake(data: bytes) -> None:
    """The opening handshake of a client, and the answer of an app to ours."""
    reader = Reader(data)
    if reader.byte() % 2:
        _answer(reader)
        return
    asked = _environ(reader)
    if not is_handshake(asked):
        return
    try:
        found = handshake_from_environ(asked)
        scope = scope_of_websocket(scope_from_environ(asked, _LIMITS), found)
    except PeerProtocolError as exc:
        assert exc.status_hint in (400, 414, 426, 431)
        return
    assert len(base64.b64decode(found.key)) == 16
    assert scope["type"] == "websocket" and "method" not in scope
    head = switch_response(found, found.subprotocols[0] if found.subprotocols else None, [])
    assert head.count(b"\r\n\r\n") == 1 and head.endswith(b"\r\n\r\n")
    assert not _CONTROL.search(head.replace(b"\r\n", b""))
    environ_from_scope(scope_as_upgrade(scope, found.key), _TEMPLATE, _LIMITS)


def _answer(reader: Reader) -> None:
    key = base64.b64encode(bytes(16)).decode()
    try:
        answer = answer_from_bytes(reader.take(4_096), key)
    except AppProtocolError:
        return
    assert answer.status == 101 or 200 <= answer.status <= 599


def frames(data: bytes) -> None:
    """Bytes of a WebSocket in any cut: no message beyond the limit, no reply after the end, no error."""
    reader = Reader(data)
    kind = reader.byte()
    deflate = Deflate(bool(kind & 2), bool(kind & 4), 15) if kind & 1 else None
    server = Frames(client=bool(kind & 8), max_message_bytes=_LARGEST, deflate=deflate)
    while reader.left:
        ended = server.ended
        received = server.receive(reader.piece())
        for message in received.messages:
            size = len(message.encode()) if isinstance(message, str) else len(message)
            assert size <= _LARGEST
        if ended is not None:
            assert received == ([], b"")
    if server.failed:
        assert server.ended is not None and server.close(1000, "") == b""


def mounts(data: bytes) -> None:
    """A path below mounts: whole segments, and nothing hidden in a byte decides otherwise."""
    reader = Reader(data)
    table: MountTable[str] = MountTable()
    for prefix in ("/api", "/api/v1", "/é"):
        table.add(prefix, prefix)
    raw = b"/" + reader.piece()
    path = raw.decode("utf-8", "surrogateescape")
    found = table.find(text_borders(path, raw if reader.byte() % 2 else None))
    if found is None:
        return
    prefix, value = found
    assert prefix == value and (path == prefix or path.startswith(prefix + "/"))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "environ": environ,
    "scope": scope,
    "response": response,
    "handshake": handshake,
    "frames": frames,
    "mounts": mounts,
}


# ---------------------------------------------------------------- what is made of the bytes

_NAMES: Final = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"cookie",
    b"x_a",
    b"x-a",
    b"proxy",
    b"content-type",
)


def _scope(reader: Reader) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "method": reader.pick(b"GET", b"POST", b"OPTIONS").decode("latin-1"),
        "path": reader.text(),
        "raw_path": reader.piece() if reader.byte() % 2 else None,
        "root_path": reader.text(),
        "query_string": reader.piece(),
        "http_version": reader.pick(b"1.1", b"1.0", b"2", b"3").decode("latin-1"),
        "scheme": reader.pick(b"http", b"https").decode("latin-1"),
        "server": (reader.text(), reader.byte()) if reader.byte() % 2 else None,
        "client": (reader.text(), reader.byte()) if reader.byte() % 2 else None,
        "headers": [],
    }
    while reader.left and len(scope["headers"]) < 40:
        scope["headers"].append((reader.pick(*_NAMES), reader.piece()))
    return scope


_KEYS: Final = (
    *(b"HTTP_HOST", b"CONTENT_LENGTH", b"HTTP_TRANSFER_ENCODING", b"HTTP_UPGRADE", b"HTTP_CONNECTION"),
    *(b"HTTP_SEC_WEBSOCKET_KEY", b"HTTP_SEC_WEBSOCKET_VERSION", b"HTTP_SEC_WEBSOCKET_PROTOCOL"),
    *(b"HTTP_SEC_WEBSOCKET_EXTENSIONS", b"HTTP_COOKIE", b"REQUEST_URI", b"RAW_URI", b"REMOTE_ADDR"),
    *(b"REMOTE_PORT", b"SERVER_PORT", b"SSL_PROTOCOL", b"SSL_CIPHER", b"SSL_CLIENT_CERT"),
)


def _environ(reader: Reader) -> Environ:
    environ: Environ = {
        **_TEMPLATE,
        "REQUEST_METHOD": reader.pick(b"GET", b"POST", b"OPTIONS").decode("latin-1"),
        "SCRIPT_NAME": reader.native(),
        "PATH_INFO": reader.native(),
        "QUERY_STRING": reader.native(),
        "SERVER_NAME": reader.native(),
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": reader.pick(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2").decode("latin-1"),
        "wsgi.url_scheme": reader.pick(b"http", b"https").decode("latin-1"),
    }
    while reader.left and len(environ) < 60:
        key = reader.pick(*_KEYS).decode("latin-1")
        environ[key] = reader.native()
    return environ


def _check_environ(environ: Environ) -> None:
    """Have the validator of the standard library look at it, but for what a method may be."""
    shown = {**environ, "wsgi.input": _Nothing()}
    if (
        shown["SERVER_NAME"] == ""
        or shown["PATH_INFO"] == "*"
        or shown["REQUEST_METHOD"] not in ("GET", "POST")
    ):
        shown |= {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x"}
    if shown["wsgi.url_scheme"] not in ("http", "https"):
        shown["wsgi.url_scheme"] = "http"
    check_environ(shown)
    for key, value in environ.items():
        if isinstance(value, str):
            value.encode("latin-1")
            if key.startswith(("HTTP_", "CONTENT_")):
                assert not _CONTROL.search(value.encode("latin-1"))


class _Nothing(io.BytesIO):
    """What the validator asks of `wsgi.input`."""


def _check_fields(fields: list[tuple[bytes, bytes]]) -> None:
    for name, value in fields:
        assert type(name) is bytes and type(value) is bytes
        assert _TOKEN.fullmatch(name) and name == name.lower()
        assert not _CONTROL.search(value)
