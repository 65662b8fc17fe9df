"""Requests that can be read in two ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.hostile.facts import (
    Harm,
    any_of_it,
    body,
    both,
    field,
    folded,
    none_of_it,
    path,
    times,
    transport,
)


@dataclass(frozen=True)
class Case:
    """One hostile request.

    Attributes:
        name: its row in the page.
        said: the bytes, in which KEY stands for the key of its notes.
        harm: what no app should see of it.
        split: after how many bytes the server gets to look at them; 0 for all at once. Whether it meets its
            limit may depend on that.
        followed: whether there is a second request behind it, which is not to be served.
    """

    name: str
    said: bytes
    harm: Harm
    split: int = 0
    followed: bool = False


_TARGET: Final = "/facts?key=KEY"
_CHUNKED: Final = "Transfer-Encoding: chunked"
_TWO: Final = b"2\r\n12\r\n0\r\n\r\n"
_SECOND: Final = b"GET /note?key=KEY&kind=second HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_H2C: Final = "Connection: Upgrade, HTTP2-Settings, close"


def _get(
    *fields: str,
    target: str = _TARGET,
    method: str = "GET",
    version: str = "1.1",
    host: str | None = "127.0.0.1",
    connection: str = "Connection: close",
) -> bytes:
    hosts = [] if host is None else [f"Host: {host}"]
    lines = [f"{method} {target} HTTP/{version}", *hosts, connection, *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _post(data: bytes, *fields: str, version: str = "1.1", connection: str = "Connection: close") -> bytes:
    return _get(*fields, method="POST", version=version, connection=connection) + data


def _path(said: str, seen: str) -> Case:
    return Case(f"target `{said}`", _get(target=f"{said}?key=KEY"), path(seen))


HEADS: Final = [
    Case("a folded header line", _get("X-A: a\r\n X-Admin: b"), folded),
    Case("a blank before the colon", _get("X-Admin : 1", "X-B: b"), any_of_it),
    Case("a line without a colon", _get("X-Admin", "X-B: b"), any_of_it),
    Case("a name that is no token", _get("Bad(Name): v", "X-B: b"), any_of_it),
    Case("lines that end in LF alone", _get("X-A: a").replace(b"\r\n", b"\n"), field("x-a", "a")),
    Case(
        "CR alone in a value",
        _get("X-A: a\rX-Admin: b"),
        both(field("x-a", "a X-Admin: b"), field("x-admin", None)),
    ),
    Case("NUL in a value", _get("X-A: a\0b"), any_of_it),
    Case("another control in a value", _get("X-A: a\x01b"), any_of_it),
    Case("byte 0x85 in a value", _get("X-A: \x85v\x85"), field("x-a", "\x85v\x85")),
    Case("`x_user` before `x-user`", _get("x_user: evil", "x-user: good"), field("x-user", "good")),
    Case("`x_user` behind `x-user`", _get("x-user: good", "x_user: evil"), field("x-user", "good")),
    Case("`Proxy` (httpoxy)", _get("Proxy: http://evil"), field("proxy", None)),
    Case("`X-Forwarded-For: 6.6.6.6`", _get("X-Forwarded-For: 6.6.6.6"), transport),
    Case("`X-Forwarded-Proto: https`", _get("X-Forwarded-Proto: https"), transport),
    Case("`SCRIPT_NAME: /facts`", _get("SCRIPT_NAME: /facts"), transport),
    Case("no Host", _get(host=None), field("host", None, "")),
    Case("two Hosts", _get("Host: other"), any_of_it),
    Case("Host `user@a`", _get(host="user@a"), any_of_it),
    Case("66 KB in one header line", _get(f"X-A: {'v' * 66_000}"), field("x-a", "v" * 66_000), split=66_000),
    Case("2,000 header fields", _get(*["X-A: 1"] * 2_000), times("x-a", "1", 2_000)),
    Case("a method that is no token", _get(method="G(T"), any_of_it),
    Case(
        "`Upgrade: h2c`",
        _get("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", connection=_H2C),
        none_of_it,
    ),
]

TARGETS: Final = [
    Case(
        "target `http://evil/facts`",
        _get(target=f"http://evil{_TARGET}"),
        both(path("/facts"), field("host", "evil")),  # RFC 9112 section 3.2.2
    ),
    Case("target `evil.com/facts`", _get(target=f"evil.com{_TARGET}"), any_of_it),
    Case("a target of 70 KB", _get(target=f"{_TARGET}&kind={'v' * 70_000}"), any_of_it, split=70_000),
    _path("/facts/../facts", "/facts/../facts"),
    _path("/facts/%2e%2e/x", "/facts/../x"),
    _path("/facts%2fx", "/facts/x"),
    _path("/facts/%252e", "/facts/%2e"),
    _path("/facts/%00", "/facts/\0"),
    _path("/facts/%0d%0ax", "/facts/\r\nx"),
]

BODIES: Final = [
    Case(
        "two Content-Lengths that differ", _post(b"123", "Content-Length: 2", "Content-Length: 3"), any_of_it
    ),
    Case("an empty Content-Length", _post(b"12", "Content-Length: "), body("")),
    Case("Content-Length `+2`", _post(b"12", "Content-Length: +2"), any_of_it),
    Case("Content-Length of 40 digits", _post(b"12", f"Content-Length: {'9' * 40}"), any_of_it),
    Case("Content-Length and chunks", _post(_TWO, "Content-Length: 3", _CHUNKED), body("12")),
    Case(
        "a request behind them, in the length",
        _post(
            _TWO + _SECOND,
            f"Content-Length: {len(_TWO + _SECOND)}",
            _CHUNKED,
            connection="Connection: keep-alive",
        ),
        body("12"),
        followed=True,  # RFC 9112 section 6.1: the connection is to be closed
    ),
    Case("chunk size `+2`", _post(b"+" + _TWO, _CHUNKED), any_of_it),
    Case("chunk size `0x2`", _post(b"0x" + _TWO, _CHUNKED), any_of_it),
    Case("chunk size `0_2`", _post(b"0_" + _TWO, _CHUNKED), any_of_it),
    Case("a chunk longer than its size", _post(b"2\r\n12XX0\r\n\r\n", _CHUNKED), any_of_it),
    Case(
        "a trailer",
        _post(b"2\r\n12\r\n0\r\nx-admin: 1\r\n\r\n", _CHUNKED),
        both(body("12"), field("x-admin", None)),
    ),
    Case("an unknown coding", _post(_TWO, "Transfer-Encoding: xchunked"), any_of_it),
    Case("the coding `identity`", _post(_TWO, "Transfer-Encoding: identity"), any_of_it),
    Case("chunked, then gzip", _post(_TWO, "Transfer-Encoding: chunked, gzip"), any_of_it),
    Case("chunked twice", _post(_TWO, _CHUNKED, _CHUNKED), body("12")),
    Case("chunked in HTTP/1.0", _post(_TWO, _CHUNKED, version="1.0"), any_of_it),  # section 6.1 too
]

CASES: Final = [*HEADS, *TARGETS, *BODIES]
