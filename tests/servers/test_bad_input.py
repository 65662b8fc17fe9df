"""Requests that no client in its right mind sends: a clear refusal, nothing lost, and the worker lives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.servers.sites import (
    EVERY,
    EVERY_ASGI,
    EVERY_WSGI,
    Site,
    Start,
    on,
    on_every,
    on_every_with,
    target,
)
from tests.servers.wire import Reply, head, read_reply, talk

BODY = b"12"

BAD_LENGTHS = {
    "plus": "+2",
    "minus": "-2",
    "underscore": "0_2",
    "hex": "0x2",
    "fraction": "2.0",
    "arabic digits": "\xd9\xa2",
    "superscript": "\xb2",
    "list": "2, 3",
}


TAKE_EMPTY_FOR_NONE = ("uwsgi", "werkzeug")
"""uWSGI 2.0 and Werkzeug 3.1 give an empty Content-Length, as PEP 3333 lets them where there is none."""


def _facts(reply: Reply) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(reply.body)
    return facts


def _refused(site: Site, key: str, said: bytes) -> None:
    """See a request refused, by whoever, before an app got it; and the next one served."""
    reply = talk(site.server, said)

    assert 400 <= reply.status < 500 or reply.status == 0, reply
    assert "entered" not in site.board.notes(key)
    site.check_alive()


@pytest.mark.spec("H-09", "SEC-09")
@on(*EVERY)
@pytest.mark.parametrize("value", BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_content_length_that_is_no_number_is_refused(site: Site, key: str, value: str) -> None:
    said = head(target("/facts", key=key), f"Content-Length: {value}", "Connection: close", method="POST")

    _refused(site, key, said + BODY)


@pytest.mark.spec("H-09", "SEC-09")
@on(*(kind for kind in EVERY if kind not in TAKE_EMPTY_FOR_NONE))
def test_empty_content_length_is_refused(site: Site, key: str) -> None:
    said = head(target("/facts", key=key), "Content-Length: ", "Connection: close", method="POST")

    _refused(site, key, said + BODY)


@pytest.mark.spec("H-09", "SEC-09")
@on(*TAKE_EMPTY_FOR_NONE)
def test_empty_content_length_is_none_where_the_server_takes_it(site: Site) -> None:
    reply = talk(site.server, head("/facts", "Content-Length: ", "Connection: close", method="POST") + BODY)

    assert _facts(reply)["body"] == ""


@pytest.mark.spec("H-09", "SEC-09")
@on(*(kind for kind in EVERY if kind != "daphne"))  # 4.2 waits for the whole of it, and calls no app
def test_content_length_beyond_all_numbers_is_refused(site: Site, key: str) -> None:
    said = head(target("/facts", key=key), f"Content-Length: {'9' * 40}", "Connection: close", method="POST")

    _refused(site, key, said + BODY)


@pytest.mark.spec("H-10", "SEC-09")
@on_every(otherwise={"werkzeug": "3.1 has only the last of a field that PEP 3333 gives no HTTP_ name"})
def test_two_different_content_lengths_are_refused(site: Site, key: str) -> None:
    said = head(target("/facts", key=key), "Content-Length: 2", "Content-Length: 3", method="POST")

    _refused(site, key, said + BODY + b"3")


@pytest.mark.spec("H-10", "SEC-09")
@on(*EVERY)
def test_two_equal_content_lengths_are_one_or_are_refused(site: Site) -> None:
    said = head("/facts", "Content-Length: 2", "Content-Length: 2", "Connection: close", method="POST")

    reply = talk(site.server, said + BODY)

    assert 400 <= reply.status < 500 or _facts(reply)["body"] == BODY.decode()


@pytest.mark.spec("H-11", "SEC-10")
@on_every(otherwise={"uwsgi": "2.0 knows no chunks and reads three bytes of them"})
def test_length_beside_chunks_never_frames_the_body(site: Site) -> None:
    fields = ("Content-Length: 3", "Transfer-Encoding: chunked", "Connection: close")

    reply = talk(site.server, head("/facts", *fields, method="POST") + b"2\r\n12\r\n0\r\n\r\n")

    assert reply.status == 0 or reply.status >= 400 or _facts(reply)["body"] == BODY.decode()


@pytest.mark.spec("SEC-10")
@on(*EVERY)
def test_transfer_coding_in_http_1_0_is_refused(site: Site, key: str) -> None:
    fields = ("Transfer-Encoding: chunked", "Connection: close")
    said = head(target("/facts", key=key), *fields, method="POST").replace(b"HTTP/1.1", b"HTTP/1.0", 1)

    _refused(site, key, said + b"2\r\n12\r\n0\r\n\r\n")


BAD_CODINGS = {
    "unknown": "xchunked",
    "identity": "identity",
    "blank": "\x0bchunked",
    "chunked, then more": "chunked, gzip",
}


@pytest.mark.spec("SEC-10", "SEC-03", "H-12")
@on_every_with(
    "coding",
    BAD_CODINGS,
    otherwise={
        ("identity", "daphne"): "Twisted 26 still knows this coding, and takes it for no body",
        ("chunked, then more", "werkzeug"): "3.1 takes every list with chunked in it for chunks",
    },
)
def test_body_in_a_coding_that_nobody_knows_is_refused(site: Site, coding: str) -> None:
    said = head("/facts", f"Transfer-Encoding: {coding}", "Connection: close", method="POST")

    reply = talk(site.server, said + b"2\r\n12\r\n0\r\n\r\n")

    assert reply.status >= 400
    site.check_alive()


BAD_CHUNKS = {
    "plus": b"+2\r\n12\r\n0\r\n\r\n",
    "hex": b"0x2\r\n12\r\n0\r\n\r\n",
    "underscore": b"0_2\r\n12\r\n0\r\n\r\n",
    "minus": b"-2\r\n12\r\n0\r\n\r\n",
    "no number": b"g\r\n12\r\n0\r\n\r\n",
    "too long": b"2\r\n12XX0\r\n\r\n",
}


@pytest.mark.spec("SEC-11", "SEC-30")
@on_every_with(
    "body",
    BAD_CHUNKS,
    otherwise={
        **{(name, "granian-wsgi"): "2.8 ends the body there, and tells of no error" for name in BAD_CHUNKS},
        **{(name, "werkzeug"): "3.1 reads the size with int()" for name in ("plus", "hex", "underscore")},
    },
)
def test_chunks_that_are_none_never_make_a_whole_body(site: Site, body: bytes) -> None:
    said = head("/facts", "Transfer-Encoding: chunked", "Connection: close", method="POST")

    reply = talk(site.server, said + body)

    assert reply.status == 0 or reply.status >= 400
    site.check_alive()


@pytest.mark.spec("SEC-11", "A-16")
@on("uwsgi")
def test_chunks_that_the_server_does_not_read_are_refused(site: Site, key: str) -> None:
    said = head(target("/facts", key=key), "Transfer-Encoding: chunked", "Connection: close", method="POST")

    reply = talk(site.server, said + b"2\r\n12\r\n0\r\n\r\n")

    assert (reply.status, reply.body) == (411, b"Length Required")
    assert "entered" not in site.board.notes(key)


@pytest.mark.spec("SEC-03", "SEC-13", "SEC-30")
@on(*EVERY)
def test_folded_line_is_one_value_or_is_refused(site: Site) -> None:
    said = head("/facts", "X-A: a\r\n X-Admin: b", "Connection: close")

    reply = talk(site.server, said)

    assert reply.status == 400 or _field(site, reply, "x-a") == "a X-Admin: b"
    assert reply.status == 400 or _field(site, reply, "x-admin") is None


@pytest.mark.spec("SEC-03", "SEC-13")
@on_every(otherwise={"werkzeug": "3.1 reads a head as that of a mail, where CR alone ends a line"})
def test_carriage_return_alone_begins_no_field(site: Site, key: str) -> None:
    _refused(site, key, head(target("/facts", key=key), "X-A: a\rX-Admin: b", "Connection: close"))


@pytest.mark.spec("SEC-14", "SEC-15", "SEC-16", "U-15", "U-19", "U-25")
@on(*EVERY)
@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("/facts/%2e%2e/x", "/facts/../x"),
        ("/facts%2fx", "/facts/x"),
        ("/facts/%252e", "/facts/%2e"),
        ("/facts/%00", "/facts/\0"),
        ("/facts/%0d%0aX-A:%20b", "/facts/\r\nX-A: b"),
    ],
)
def test_path_is_decoded_once_and_otherwise_left_alone(site: Site, said: str, path: str) -> None:
    facts = _facts(talk(site.server, head(said, "Connection: close")))

    assert facts["PATH_INFO" if site.kind in EVERY_ASGI else "path"] == path


CLOSING = ("gunicorn-sync", "uwsgi", "werkzeug")
"""Serve one request a connection: gunicorn's sync worker, uWSGI as it is run here, Werkzeug in HTTP/1.0."""


@pytest.mark.spec("SEC-09", "A-16")
@on(*(kind for kind in EVERY if kind not in CLOSING))
def test_bytes_beyond_the_length_are_the_next_request(site: Site) -> None:
    one = head("/facts", "Content-Length: 2", method="POST") + BODY
    with site.server.connect() as sock:
        sock.sendall(one + head("/", "Connection: close"))

        received = b"".join(iter(lambda: sock.recv(65536), b""))

    assert received.count(b"HTTP/1.1 200") == 2
    assert b'"body": "12"' in received and received.endswith(b"hello")


@pytest.mark.spec("SEC-08", "H-20", "SEC-26")
@on(*EVERY)
@pytest.mark.parametrize("host", ["a/b", "a?b", "a#b", "user@a", "a b", "a\\b"])
def test_host_that_is_no_host_is_refused(site: Site, key: str, host: str) -> None:
    said = f"GET {target('/facts', key=key)} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    reply = talk(site.server, said)

    assert reply.status == 400 and host.encode() not in reply.body
    assert "entered" not in site.board.notes(key)
    site.check_alive()


@pytest.mark.spec("SEC-08", "H-20")
@on(*EVERY)
def test_two_hosts_are_refused(site: Site, key: str) -> None:
    _refused(site, key, head(target("/facts", key=key), "Host: other", "Connection: close"))


BAD_LINES = {
    "space": b"Bad Name: v",
    "parentheses": b"Bad(Name): v",
    "no name": b": v",
    "NUL in name": b"X\x00: v",
    "NUL": b"X: a\x00b",
    "control": b"X: a\x01b",
    "DEL": b"X: a\x7fb",
    "latin-1 name": b"X\xe9: v",
}


@pytest.mark.spec("H-14", "H-15", "SEC-03", "SEC-30")
@on_every_with(
    "line",
    BAD_LINES,
    otherwise={
        (name, "werkzeug"): "3.1 reads a head as that of a mail, and leaves out what it cannot read"
        for name in ("space", "no name", "NUL in name", "latin-1 name")
    },
)
def test_header_that_breaks_http_is_refused(site: Site, key: str, line: bytes) -> None:
    said = head(target("/facts", key=key), "Connection: close")

    _refused(site, key, said[:-2] + line + b"\r\n\r\n")


BEYOND_ASCII = {"NEL": b"\x85", "NBSP": b"\xa0", "e acute": b"\xe9"}


@pytest.mark.spec("SEC-03", "H-16", "U-04", "SEC-30")
@on_every_with(
    "byte",
    BEYOND_ASCII,
    otherwise={
        ("NEL", "daphne"): "4.2 refuses it",
        **{(name, "granian-wsgi"): "2.8 gives an empty value" for name in BEYOND_ASCII},
    },
)
def test_byte_beyond_ascii_in_a_value_passes_unchanged(site: Site, byte: bytes) -> None:
    said = head("/facts", "Connection: close")

    reply = talk(site.server, said[:-2] + b"X-Odd: " + byte + b"v" + byte + b"\r\n\r\n")

    native = byte.decode("latin-1")
    assert reply.status == 200
    assert _field(site, reply, "x-odd") == f"{native}v{native}"


def _field(site: Site, reply: Reply, name: str) -> str | None:
    """Find a request header as the app saw it, in either kind of app."""
    facts = _facts(reply)
    if site.kind in EVERY_ASGI:
        value: str | None = facts.get("HTTP_" + name.upper().replace("-", "_"))
        return value
    return dict(facts["headers"]).get(name)


@pytest.mark.spec("SEC-04")
@on(*EVERY)
def test_proxy_header_reaches_nobody(site: Site) -> None:
    reply = talk(site.server, head("/facts", "Proxy: http://evil", "Connection: close"))

    assert reply.status == 200 and _field(site, reply, "proxy") is None


@pytest.mark.spec("SEC-05", "U-22")
@on_every_with(
    "lines",
    {"before": ("x_user: evil", "x-user: good"), "behind": ("x-user: good", "x_user: evil")},
    otherwise={
        ("before", "uwsgi"): "2.0 joins what is one variable",
        ("behind", "uwsgi"): "2.0 joins what is one variable",
        ("behind", "granian-wsgi"): "2.8 has the last of what is one variable",
    },
)
def test_underscore_never_passes_for_a_dash(site: Site, lines: tuple[str, str]) -> None:
    reply = talk(site.server, head("/facts", *lines, "Connection: close"))

    assert reply.status == 400 or _field(site, reply, "x-user") == "good"


@pytest.mark.spec("SEC-06")
@on(*EVERY_ASGI)
@pytest.mark.parametrize(
    "name", ["script_name", "SCRIPT-NAME", "remote-user", "REMOTE_ADDR", "wsgi.input", "https"]
)
def test_header_sets_no_other_variable(site: Site, name: str) -> None:
    plain = _facts(site.get("/facts"))

    facts = _facts(talk(site.server, head("/facts", f"{name}: evil")))

    for volatile in ("REMOTE_PORT", "HTTP_" + name.upper().replace("-", "_")):
        plain.pop(volatile, None)
        facts.pop(volatile, None)
    assert facts == plain


@pytest.mark.spec("SEC-06")
@on(*EVERY_WSGI)
@pytest.mark.parametrize("name", ["SCRIPT-NAME", "remote-user", "path-info", "https"])
def test_header_moves_nothing_in_the_scope(site: Site, name: str) -> None:
    facts = _facts(talk(site.server, head("/facts", f"{name}: /evil")))

    assert (facts["path"], facts["root_path"], facts["scheme"]) == ("/facts", "", "http")


@pytest.mark.spec("SEC-07")
@on(*EVERY_WSGI)
def test_forwarding_headers_leave_the_scope_alone(site: Site) -> None:
    forwarded = (
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;proto=https",
    )

    facts = _facts(talk(site.server, head("/facts", *forwarded)))

    assert (facts["client"][0], facts["root_path"], facts["scheme"]) == ("127.0.0.1", "", "http")


@pytest.mark.spec("SEC-16", "H-27")
@on(*EVERY)
@pytest.mark.parametrize("odd", ["@evil.com", "facts", "*"])
def test_target_that_is_no_path_is_refused(site: Site, key: str, odd: str) -> None:
    _refused(site, key, head(f"{odd}?key={key}", "Connection: close"))


@pytest.mark.spec("SEC-16", "SEC-30", "U-08", "U-10")
@on(*EVERY)
@pytest.mark.parametrize(
    "odd", ["/facts/%ff", "/facts/%00", "/facts/%ED%B3%BF", "/facts?key=%ff", "/facts/%", "/facts?key=\xe9"]
)
def test_odd_bytes_in_the_target_kill_nobody(site: Site, odd: str) -> None:
    reply = talk(site.server, head(odd, "Connection: close"))

    assert reply.status in (200, 400)
    site.check_alive()


@pytest.mark.spec("SEC-18", "H-25")
@on(*(kind for kind in EVERY if kind != "waitress"))  # 3.0 joins them before it could be told
def test_flood_of_headers_is_refused(site: Site, key: str) -> None:
    _refused(site, key, head(target("/facts", key=key), *["x-a: 1"] * 2_000, "Connection: close"))


@pytest.mark.spec("SEC-18", "H-25")
@on(*EVERY)
def test_flood_of_header_bytes_is_refused(site: Site, key: str) -> None:
    _refused(site, key, head(target("/facts", key=key), *["x-a: 1"] * 40_000, "Connection: close"))


@pytest.mark.spec("H-29")
@on(*EVERY)
@pytest.mark.parametrize("method", ["G(T", "G\xe9T", "G{}T"])
def test_method_that_is_no_token_is_refused(site: Site, key: str, method: str) -> None:
    _refused(site, key, head(target("/facts", key=key), "Connection: close", method=method))


@pytest.mark.spec("SEC-30")
@on(*EVERY)
def test_noise_is_refused(site: Site, key: str) -> None:
    _refused(site, key, bytes(range(256)) * 4 + b"\r\n\r\n")


@pytest.mark.spec("H-22", "SEC-12")
@on_every(otherwise={"uvicorn": "0.54 with httptools has added it to the header before it calls the app"})
def test_trailer_becomes_no_header(site: Site) -> None:
    said = head("/facts", "Transfer-Encoding: chunked", "Trailer: x-admin", method="POST")

    reply = talk(site.server, said + b"2\r\n12\r\n0\r\nx-admin: 1\r\n\r\n")

    assert reply.status >= 400 or (_facts(reply)["body"] == "12" and _field(site, reply, "x-admin") is None)


@pytest.mark.spec("H-22", "SEC-12")
@on(*(kind for kind in EVERY_ASGI if kind != "daphne"))  # 4.2 calls the app when all is there
def test_trailer_that_comes_while_the_app_runs_becomes_no_header(site: Site, key: str) -> None:
    """Uvicorn with httptools adds trailers to `scope["headers"]`, even before the app is called if all
    comes at once; that cannot be told from a header. The environ must not change afterwards.
    """
    with site.server.connect() as sock:
        sock.sendall(head(target("/facts", key=key), "Transfer-Encoding: chunked", method="POST"))
        site.board.wait(key, "entered")

        sock.sendall(b"2\r\n12\r\n0\r\nx-admin: 1\r\n\r\n")
        reply = read_reply(sock)

    assert _facts(reply)["body"] == "12" and b"admin" not in reply.body.lower()


REFUSED = {
    "length": head("/facts?key=bad", "Content-Length: +2", "Connection: close", method="POST") + BODY,
    "host": b"GET /facts?key=bad HTTP/1.1\r\nHost: user@a\r\nConnection: close\r\n\r\n",
    "two hosts": head("/facts?key=bad", "Host: other", "Connection: close"),
    "control": head("/facts?key=bad", "X: a\x01b", "Connection: close"),
    "target": head("@evil.com?key=bad", "Connection: close"),
    "method": head("/facts?key=bad", "Connection: close", method="G(T"),
    "flood": head("/facts?key=bad", *["x-a: 1"] * 2_000, "Connection: close"),
}
"""What no app may get, under any flags of Python; the server or the bridge says so."""


@pytest.mark.spec("SEC-25")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn"])
def test_servers_without_asserts_refuse_the_same(start_site: Start, kind: str) -> None:
    with start_site(kind, PYTHONOPTIMIZE="1") as site:
        assert site.get("/optimized").body == b"1"

        replies = {name: talk(site.server, said).status for name, said in REFUSED.items()}
        injected = site.get("/fault", kind="injection", key="app")
        spoofed = talk(site.server, head("/facts", "Proxy: evil", "x_user: evil", "Connection: close"))

        assert {name for name, status in replies.items() if not (status == 0 or 400 <= status < 500)} == set()
        assert "entered" not in site.board.notes("bad")
        assert (injected.status, injected.headers.get("set-cookie")) == (500, None)
        assert spoofed.status == 400 or b"evil" not in spoofed.body
        site.check_alive()
