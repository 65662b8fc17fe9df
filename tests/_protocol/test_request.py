from __future__ import annotations

import copy
import io
import re
import wsgiref.util
import wsgiref.validate
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.limits import Limits
from bridge._protocol.paths import native_from_text, trim_prefix
from bridge._protocol.request import ScopeView, environ_from_scope, scope_from_environ
from bridge.errors import PeerProtocolError
from tests._protocol.strategies import LAW, any_text, native_text, path_bytes, raw_names, raw_values
from tests.support.asgi import http_scope
from tests.support.wsgi import make_environ

if TYPE_CHECKING:
    from bridge.types import Environ, RawHeaders

check_environ = wsgiref.validate.check_environ  # type: ignore[attr-defined]  # not in its type stubs

TEMPLATE: Environ = {
    "wsgi.version": (1, 0),
    "wsgi.errors": io.StringIO(),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "SERVER_SOFTWARE": "asgi-wsgi-bridge",
}
METHODS = ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE"]
WIDE = Limits(max_headers=10**9, max_header_bytes=10**9)


def environ_of(path: str = "/", *fields: tuple[bytes, bytes], **more: Any) -> Environ:
    """Translate an http scope with a Host and these header fields; keyword arguments replace keys of it."""
    scope = http_scope(headers=fields, raw_path=None) | {"path": path} | more
    return environ_from_scope(scope, TEMPLATE, Limits())


def scope_of(path: str = "/", **more: Any) -> dict[str, Any]:
    """Translate an environ; keyword arguments replace keys of it."""
    return dict(scope_from_environ(make_environ(path, **more), Limits()))


def alone(environ: Environ) -> Environ:
    """Take away what only this library would put there, so that the environ speaks for itself."""
    return {key: value for key, value in environ.items() if key != "bridge.scope"}


# ---------------------------------------------------------------- environ: the whole


@pytest.mark.spec("W-02")
@pytest.mark.parametrize("kind", [list, tuple])
def test_the_app_may_empty_its_environ(kind: type[list[Any]] | type[tuple[Any, ...]]) -> None:
    scope = http_scope("/x", headers=[(b"x-a", b"1")])
    scope["headers"] = kind(scope["headers"])
    before, template = copy.deepcopy(scope), TEMPLATE.copy()

    first = environ_from_scope(scope, TEMPLATE, Limits())
    first.clear()
    second = environ_from_scope(scope, TEMPLATE, Limits())

    assert type(first) is type(second) is dict
    assert second["HTTP_X_A"] == "1"
    assert (scope, TEMPLATE) == (before, template)


@pytest.mark.spec("W-03", "H-29")
@pytest.mark.parametrize("method", ["GET", "PROPFIND", "QUERY", "get", "M-SEARCH", "X!"])
def test_the_method_is_passed_on_as_it_is(method: str) -> None:
    assert environ_of(method=method)["REQUEST_METHOD"] == method


@pytest.mark.spec("H-29", "SEC-30")
@pytest.mark.parametrize("method", ["GE T", "G\r\nX", "", "G\0", "GÉT", "GET\n", "\u212a"], ids=ascii)
def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(PeerProtocolError, match="method") as from_scope:
        environ_of(method=method)
    with pytest.raises(PeerProtocolError, match="method") as from_environ:
        scope_of(method=method)

    assert from_scope.value.status_hint == from_environ.value.status_hint == 400


@pytest.mark.spec("W-05", "A-05")
@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        ("1.0", "HTTP/1.0"),
        ("1", "HTTP/1.0"),
        ("1.1", "HTTP/1.1"),
        ("2", "HTTP/2.0"),
        ("3", "HTTP/3.0"),
        ("2.0", "HTTP/2.0"),
        (None, "HTTP/1.1"),
        ("", "HTTP/1.1"),
        ("evil\r\n", "HTTP/1.1"),
        ("1.1\n", "HTTP/1.1"),
    ],
)
def test_the_protocol_is_spelled_as_in_cgi(version: str | None, protocol: str) -> None:
    assert environ_of(http_version=version)["SERVER_PROTOCOL"] == protocol


@pytest.mark.spec("A-05")
@pytest.mark.parametrize(
    ("protocol", "version"),
    [
        ("HTTP/1.0", "1.0"),
        ("HTTP/1.1", "1.1"),
        ("HTTP/2.0", "2"),
        ("HTTP/2", "2"),
        ("HTTP/3.0", "3"),
        ("INCLUDED", "1.1"),
        ("", "1.1"),
    ],
)
def test_the_version_is_spelled_as_in_asgi(protocol: str, version: str) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol)["http_version"] == version


@pytest.mark.spec("SEC-08")
@pytest.mark.parametrize("version", ["1.0", "1"])
def test_a_transfer_coding_in_http_1_0_is_refused_however_the_server_spells_it(version: str) -> None:
    with pytest.raises(PeerProtocolError, match=r"HTTP/1\.0"):
        environ_of(http_version=version, headers=[(b"transfer-encoding", b"chunked")])


@pytest.mark.spec("W-11")
@pytest.mark.parametrize(
    ("scheme", "native", "secure"),
    [
        (None, "http", None),
        ("http", "http", None),
        ("https", "https", "on"),
        ("ws", "http", None),
        ("wss", "https", "on"),
    ],
)
def test_the_scheme_is_mirrored(scheme: str | None, native: str, secure: str | None) -> None:
    environ = environ_of(scheme=scheme)

    assert (environ["wsgi.url_scheme"], environ.get("HTTPS")) == (native, secure)


@pytest.mark.spec("W-06", "W-07", "W-09", "W-14")
def test_a_plain_request_gives_these_keys_and_no_other() -> None:
    environ = environ_of("/x", (b"x-a", b"1"), client=["1.2.3.4", 5], query_string=b"q=1")

    assert {key: value for key, value in environ.items() if "." not in key} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
        "QUERY_STRING": "q=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "asgi-wsgi-bridge",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "1.2.3.4",
        "REMOTE_PORT": "5",
        "HTTP_HOST": "testserver",
        "HTTP_X_A": "1",
    }


@pytest.mark.spec("W-15")
def test_other_keys_are_named_after_the_library() -> None:
    others = [key for key in environ_of() if "." in key and not key.startswith("wsgi.")]

    assert others
    assert all(re.fullmatch(r"bridge\.[a-z0-9_.]+", key) for key in others)


@pytest.mark.spec("W-07")
@pytest.mark.parametrize("client", [None, [], [None, 5], ["", 5], ("", None)], ids=repr)
def test_an_unknown_client_has_no_keys(client: Any) -> None:
    assert not [key for key in environ_of(client=client) if key.startswith("REMOTE_")]


@pytest.mark.spec("W-07", "W-14", "AA-21")
@pytest.mark.parametrize(
    ("client", "host", "port"),
    [
        pytest.param(("1.2.3.4", 5), "1.2.3.4", "5", id="tuple"),
        pytest.param(["1.2.3.4", "5"], "1.2.3.4", "5", id="list with str"),
        pytest.param(("1.2.3.4", None), "1.2.3.4", None, id="no port"),
        pytest.param(("1.2.3.4", "x"), "1.2.3.4", None, id="no number"),
        pytest.param(("::1", 5), "::1", "5", id="IPv6"),
        pytest.param(("[::1]", 5), "::1", "5", id="IPv6 in brackets"),
        pytest.param(("fe80::1%eth0", 5), "fe80::1%eth0", "5", id="zone kept"),
    ],
)
def test_the_client_is_shown(client: Any, host: str, port: str | None) -> None:
    environ = environ_of(client=client)

    assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == (host, port)


@pytest.mark.spec("W-04", "W-06", "U-24", "AA-21")
@pytest.mark.parametrize(
    ("server", "scheme", "host", "name", "port"),
    [
        pytest.param(("1.2.3.4", 80), "http", "x", "1.2.3.4", "80", id="known"),
        pytest.param(["1.2.3.4", "80"], "http", "x", "1.2.3.4", "80", id="port is a str"),
        pytest.param(("[::1]", 80), "http", "x", "::1", "80", id="IPv6"),
        pytest.param(None, "https", None, "localhost", "443", id="unknown, https"),
        pytest.param(None, "http", None, "localhost", "80", id="unknown, http"),
        pytest.param(None, "wss", None, "localhost", "443", id="unknown, wss"),
        pytest.param(None, "http", "ex.org", "ex.org", "80", id="from Host"),
        pytest.param(None, "http", "ex.org:", "ex.org", "80", id="from Host, empty port"),
        pytest.param(None, "https", "ex.org:x", "ex.org", "443", id="from Host, odd port"),
        pytest.param(None, "http", ":81", "localhost", "81", id="from Host, empty name"),
        pytest.param(None, "http", "[::1]:81", "::1", "81", id="from Host, IPv6"),
        pytest.param(None, "http", "[::1]", "::1", "80", id="from Host, IPv6 without port"),
        pytest.param(["/run/a.sock", None], "http", "ex.org:8443", "ex.org", "8443", id="socket"),
        pytest.param(["/run/a.sock", None], "http", None, "localhost", "80", id="socket, no Host"),
        pytest.param(("[]", 80), "http", "ex.org", "ex.org", "80", id="empty brackets"),
    ],
)
def test_the_server_always_has_a_name_and_a_port(
    server: Any, scheme: str, host: str | None, name: str, port: str
) -> None:
    scope = http_scope(server=server, scheme=scheme)
    scope["headers"] = [(b"host", host.encode())] if host is not None else []

    environ = environ_from_scope(scope, TEMPLATE, Limits())

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


@pytest.mark.spec("W-16", "SEC-33")
def test_the_os_environment_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(environ_of())
    for name in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "HTTP_X_A", "HTTPS", "SECRET"):
        monkeypatch.setenv(name, "/from-the-os")

    assert alone(environ_of()) == expected


@pytest.mark.spec("SEC-07")
def test_forwarding_headers_change_no_fact_of_the_transport() -> None:
    forwarded = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=6.6.6.6;proto=https;host=evil",
        "X-Script-Name": "/evil",
    }
    keys = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in forwarded.items()}

    environ = environ_of("/", *[(name.encode(), value.encode()) for name, value in forwarded.items()])
    scope = scope_of("/", **keys)

    assert alone(environ) == alone(environ_of()) | keys
    assert {**scope, "headers": None} == {**scope_of(), "headers": None}


@pytest.mark.spec("AA-07", "W-04")
def test_every_optional_key_of_a_scope_may_be_missing() -> None:
    environ = environ_from_scope({"type": "http", "method": "GET", "path": "/x"}, TEMPLATE, Limits())

    check_environ({**environ, "wsgi.input": io.BytesIO()})
    assert environ["PATH_INFO"] == "/x"
    assert scope_from_environ(environ, Limits())["headers"] == []


@pytest.mark.spec("AA-10")
def test_the_fields_of_a_generator_are_not_lost() -> None:
    scope = http_scope()
    scope["headers"] = (list(field) for field in [(b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2")])

    environ = environ_from_scope(scope, TEMPLATE, Limits())

    assert (environ["HTTP_HOST"], environ["HTTP_X_A"]) == ("h", "1, 2")
    assert len(environ["bridge.scope"]["headers"]) == 3


@pytest.mark.spec("SEC-05", "U-22")
def test_underscores_are_dropped_or_refused() -> None:
    field = (b"x_user", b"evil")

    assert "HTTP_X_USER" not in environ_of("/", field)
    with pytest.raises(PeerProtocolError):
        environ_from_scope(http_scope(headers=[field]), TEMPLATE, Limits(), refuse_underscores=True)


# ---------------------------------------------------------------- environ: the path


@pytest.mark.spec(
    "U-05", "U-06", "U-07", "U-08", "U-13", "U-15", "U-18", "U-19", "U-25", "SEC-14", "SEC-15", "SEC-16"
)
@pytest.mark.parametrize(
    ("path", "raw", "root", "split"),
    [
        pytest.param("/é", b"/%C3%A9", "", ("", "/\xc3\xa9"), id="utf-8"),
        pytest.param("/\ufffd", b"/%ff", "", ("", "/\xff"), id="not utf-8"),
        pytest.param("/é", None, "", ("", "/\xc3\xa9"), id="no raw_path"),
        pytest.param("/b", b"/a", "", ("", "/b"), id="rewritten"),
        pytest.param("/\udcff", b"/%ff", "", ("", "/\xff"), id="surrogate escape"),
        pytest.param("/\ud800", None, "", ("", "/?"), id="lone surrogate"),
        pytest.param("/%2e%2e/", b"/%252e%252e/", "", ("", "/%2e%2e/"), id="decoded once"),
        pytest.param("/a/b+c;d", b"/a%2Fb+c;d", "", ("", "/a/b+c;d"), id="plus"),
        pytest.param("//a/../b/", b"//a/../b/", "", ("", "//a/../b/"), id="not normalised"),
        pytest.param("/a\0b", b"/a%00b", "", ("", "/a\0b"), id="NUL"),
        pytest.param("", b"", "", ("", "/"), id="empty"),
        pytest.param("/api/x", b"/api/x", "/api", ("/api", "/x"), id="mounted"),
        pytest.param("/api", b"/api", "/api", ("/api", ""), id="the mount itself"),
        pytest.param("/api/", b"/api/", "/api", ("/api", "/"), id="the mount with a slash"),
        pytest.param("/apix/y", b"/apix/y", "/api", ("", "/apix/y"), id="beside the mount"),
        pytest.param("/API/x", b"/API/x", "/api", ("", "/API/x"), id="other case"),
        pytest.param("/api/..", b"/api%2F..", "/api", ("/api", "/.."), id="quoted slash"),
        pytest.param("/x", b"/x", "/api", ("", "/x"), id="the server took the prefix off"),
        pytest.param("/y", b"/y", "/", ("", "/y"), id="root is a slash"),
        pytest.param("/api/y", b"/api/y", "/api/", ("/api", "/y"), id="root ends with a slash"),
        pytest.param("/api/y", b"/api/y", "api", ("/api", "/y"), id="root without a slash"),
        pytest.param("/é/y", b"/%c3%a9/y", "/é", ("/\xc3\xa9", "/y"), id="root is unicode"),
        pytest.param("//evil/x", b"//evil/x", "/", ("", "//evil/x"), id="double slash"),
    ],
)
def test_a_path_is_split_into_script_name_and_path_info(
    path: str, raw: bytes | None, root: str, split: tuple[str, str]
) -> None:
    environ = environ_of(path, raw_path=raw, root_path=root)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == split


@pytest.mark.spec("U-11", "U-12", "U-13", "D-01")
@pytest.mark.parametrize("root", ["", "/", "/api", "/api/", "api"])
@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/apix/y", "/api/x"])
def test_the_validator_accepts_every_split(root: str, path: str) -> None:
    environ = environ_of(path, root_path=root)

    check_environ({**environ, "wsgi.input": io.BytesIO()})
    assert environ["SCRIPT_NAME"] + environ["PATH_INFO"] == path
    assert not environ["SCRIPT_NAME"].endswith("/")


@pytest.mark.spec("H-27", "SEC-16")
@pytest.mark.parametrize(
    ("path", "method"),
    [("@evil.com", "GET"), ("http://x/y", "GET"), ("*", "GET"), ("x", "OPTIONS"), ("é", "GET")],
)
def test_a_target_that_is_no_path_is_refused(path: str, method: str) -> None:
    with pytest.raises(PeerProtocolError) as from_scope:
        environ_of(path, method=method)
    with pytest.raises(PeerProtocolError) as from_environ:
        scope_of(path, method=method)

    assert from_scope.value.status_hint == from_environ.value.status_hint == 400


@pytest.mark.spec("H-27")
def test_options_of_the_whole_server_has_a_path() -> None:
    environ = environ_of("*", method="OPTIONS", raw_path=b"*")

    check_environ({**environ, "wsgi.input": io.BytesIO()})
    assert environ["PATH_INFO"] == "/"
    assert scope_of("*", method="OPTIONS")["path"] == "*"


@pytest.mark.spec("U-20", "A-07")
@pytest.mark.parametrize("query", [b"q=\xe9&p=%20", b"a=1&a=2;b", bytes(range(256)), b"", b"?/#"], ids=ascii)
def test_any_query_goes_there_and_back(query: bytes) -> None:
    environ = environ_of(query_string=query)

    assert environ["QUERY_STRING"] == query.decode("latin-1")
    assert scope_from_environ(environ, Limits())["query_string"] == query


@pytest.mark.spec("H-25")
@pytest.mark.parametrize(("path", "query"), [("/12345678", b""), ("/123", b"12345"), ("/é345678", b"")])
def test_a_path_over_the_limit_is_refused_with_414(path: str, query: bytes) -> None:
    limits = Limits(max_path_bytes=8)
    environ = make_environ(native_from_text(path), QUERY_STRING=query.decode())

    with pytest.raises(PeerProtocolError) as from_scope:
        environ_from_scope(http_scope(path, query_string=query), TEMPLATE, limits)
    with pytest.raises(PeerProtocolError) as from_environ:
        scope_from_environ(environ, limits)

    assert from_scope.value.status_hint == from_environ.value.status_hint == 414


def test_a_path_of_just_the_limit_is_accepted() -> None:
    limits = Limits(max_path_bytes=8)

    assert (
        environ_from_scope(http_scope("/123", query_string=b"4567"), TEMPLATE, limits)["PATH_INFO"] == "/123"
    )
    assert scope_from_environ(make_environ("/123", QUERY_STRING="4567"), limits)["path"] == "/123"


@pytest.mark.spec("H-25", "SEC-18")
def test_twenty_thousand_equal_headers_are_refused_with_431() -> None:
    fields = [(b"x-a", b"v")] * 20_000

    with pytest.raises(PeerProtocolError) as caught:
        environ_of("/", *fields)

    assert caught.value.status_hint == 431
    joined = environ_from_scope(http_scope(headers=fields), TEMPLATE, WIDE)["HTTP_X_A"]
    assert joined == ", ".join(["v"] * 20_000)


# ---------------------------------------------------------------- what a WSGI app sees of the scope


@pytest.mark.spec("SEC-35")
def test_the_scope_in_the_environ_shows_no_header_value() -> None:
    fields = [(b"cookie", b"s=SECRET"), (b"authorization", b"Bearer SECRET"), (b"x-a", b"SECRET")]

    view = environ_of("/", *fields, query_string=b"token=SECRET")["bridge.scope"]

    assert type(view) is ScopeView
    assert "SECRET" not in repr(view)
    assert "SECRET" not in str(view)
    assert "SECRET" not in f"{view}"
    assert "headers" in repr(view)


@pytest.mark.spec("AA-04")
def test_the_scope_in_the_environ_can_be_read_but_changes_nothing() -> None:
    scope = http_scope("/x")
    view = environ_from_scope(scope, TEMPLATE, Limits())["bridge.scope"]

    assert dict(view) == {**scope, "headers": tuple(scope["headers"])}
    with pytest.raises(TypeError):
        view["path"] = "/evil"
    with pytest.raises(TypeError):
        view["headers"][0] = (b"host", b"evil")
    assert scope == http_scope("/x")


# ---------------------------------------------------------------- scope


@pytest.mark.spec("A-02")
def test_a_scope_is_new_for_each_request() -> None:
    environ = make_environ("/x", HTTP_X_A="1")
    before, pristine = environ.copy(), scope_from_environ(environ, Limits())

    scope = scope_from_environ(environ, Limits())
    scope["headers"].clear()
    scope["extensions"]["x"] = {}
    scope["asgi"]["version"] = "9"
    scope.clear()

    assert type(scope) is dict
    assert scope_from_environ(environ, Limits()) == pristine
    assert environ == before


@pytest.mark.spec("A-02")
def test_a_scope_carried_through_is_new_as_well() -> None:
    environ = environ_of("/", (b"x-a", b"1"))

    scope_from_environ(environ, Limits())["headers"].clear()

    assert (b"x-a", b"1") in scope_from_environ(environ, Limits())["headers"]


@pytest.mark.spec("A-03", "A-04")
def test_a_scope_says_which_protocol_it_speaks() -> None:
    scope = scope_of()

    assert all(type(key) is str for key in scope)
    assert (scope["type"], scope["asgi"]) == ("http", {"version": "3.0", "spec_version": "2.4"})


@pytest.mark.spec("H-23", "H-28")
@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1", "HTTP/2.0"])
def test_neither_trailers_nor_early_hints_are_offered(protocol: str) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol, HTTP_TE="trailers")["extensions"] == {}


@pytest.mark.spec("A-06")
@pytest.mark.parametrize(
    ("environ", "method", "scheme"),
    [
        ({}, "GET", "http"),
        ({"REQUEST_METHOD": "get"}, "GET", "http"),
        ({"REQUEST_METHOD": "propfind"}, "PROPFIND", "http"),
        ({"wsgi__url_scheme": "https"}, "GET", "https"),
        ({"wsgi__url_scheme": ""}, "GET", "http"),
    ],
)
def test_the_method_is_upper_case_and_the_scheme_never_empty(
    environ: dict[str, str], method: str, scheme: str
) -> None:
    scope = scope_of(**environ)

    assert (scope["method"], scope["scheme"]) == (method, scheme)


@pytest.mark.spec("A-08", "U-09", "U-10", "U-13", "U-25")
@pytest.mark.parametrize(
    ("script_name", "path_info", "path", "raw", "root"),
    [
        pytest.param("/m", "/\xc3\xa9", "/m/é", b"/m/%C3%A9", "/m", id="mounted"),
        pytest.param("", "/\xff", "/\ufffd", b"/%FF", "", id="not utf-8"),
        pytest.param("/\xff", "/x", "/\ufffd/x", b"/%FF/x", "/\ufffd", id="mount is not utf-8"),
        pytest.param("/m", "", "/m", b"/m", "/m", id="the mount itself"),
        pytest.param("/m/", "/x", "/m/x", b"/m/x", "/m", id="mount with a slash"),
        pytest.param("/", "/x", "/x", b"/x", "", id="mount is a slash"),
        pytest.param("m", "/x", "/m/x", b"/m/x", "/m", id="mount without a slash"),
        pytest.param("/m", "x", "/m/x", b"/m/x", "/m", id="rest without a slash"),
        pytest.param("", "", "/", b"/", "", id="nothing"),
        pytest.param("", "//evil/x", "//evil/x", b"//evil/x", "", id="double slash"),
        pytest.param("", "/a/../b/", "/a/../b/", b"/a/../b/", "", id="not normalised"),
        pytest.param("", "/a\0b", "/a\0b", b"/a%00b", "", id="NUL"),
        pytest.param("", "/a?b#c", "/a?b#c", b"/a%3Fb%23c", "", id="quoted marks"),
        pytest.param("", "/日", "/日", b"/%E6%97%A5", "", id="beyond latin-1"),
    ],
)
def test_path_is_the_decoded_whole_and_starts_with_root_path(
    script_name: str, path_info: str, path: str, raw: bytes, root: str
) -> None:
    scope = scope_of(path_info, SCRIPT_NAME=script_name)

    assert (scope["path"], scope["raw_path"], scope["root_path"]) == (path, raw, root)


@pytest.mark.spec("A-08", "U-16", "U-17", "U-18")
@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    ("path_info", "target", "raw"),
    [
        pytest.param("/a/b", "/m/a%2Fb?x", b"/m/a%2Fb", id="agrees"),
        pytest.param("/a/b", "http://h/m/a%2Fb?x", b"/m/a%2Fb", id="absolute form"),
        pytest.param("/b", "/m/a%2Fb?x", b"/m/b", id="rewritten"),
        pytest.param("/a/b", "/a%2Fb", b"/m/a/b", id="without the mount"),
    ],
)
def test_raw_path_is_spelled_as_sent(key: str, path_info: str, target: str, raw: bytes) -> None:
    assert scope_of(path_info, SCRIPT_NAME="/m", **{key: target})["raw_path"] == raw


@pytest.mark.spec("A-09")
def test_headers_are_pairs_of_bytes_without_empty_content() -> None:
    scope = scope_of(CONTENT_TYPE="", CONTENT_LENGTH="", HTTP_CONTENT_TYPE="x", HTTP_X_A="\xe9")

    assert scope["headers"] == [(b"host", b"testserver"), (b"x-a", b"\xe9")]


@pytest.mark.spec("A-10", "A-11", "U-24")
@pytest.mark.parametrize(
    ("environ", "client", "server"),
    [
        pytest.param({"REMOTE_PORT": 77}, ("127.0.0.1", 77), ("127.0.0.1", 8000), id="port is an int"),
        pytest.param({"REMOTE_PORT": "77"}, ("127.0.0.1", 77), ("127.0.0.1", 8000), id="port is a str"),
        pytest.param({"REMOTE_PORT": ""}, ("127.0.0.1", 0), ("127.0.0.1", 8000), id="empty port"),
        pytest.param({"REMOTE_PORT": "\u0665"}, ("127.0.0.1", 0), ("127.0.0.1", 8000), id="odd digits"),
        pytest.param({"REMOTE_PORT": None}, ("127.0.0.1", 0), ("127.0.0.1", 8000), id="no port"),
        pytest.param({"REMOTE_ADDR": "::1"}, ("::1", 50000), ("127.0.0.1", 8000), id="IPv6"),
        pytest.param({"REMOTE_ADDR": ""}, None, ("127.0.0.1", 8000), id="unix socket"),
        pytest.param({"SERVER_PORT": ""}, ("127.0.0.1", 50000), ("127.0.0.1", 80), id="no server port"),
        pytest.param({"SERVER_PORT": "-1"}, ("127.0.0.1", 50000), ("127.0.0.1", 80), id="bad port"),
        pytest.param(
            {"SERVER_PORT": "x", "wsgi__url_scheme": "https"},
            ("127.0.0.1", 50000),
            ("127.0.0.1", 443),
            id="bad port, https",
        ),
        pytest.param({"SERVER_NAME": ""}, ("127.0.0.1", 50000), None, id="no server"),
    ],
)
def test_addresses_never_crash(
    environ: dict[str, Any], client: tuple[str, int] | None, server: tuple[str, int] | None
) -> None:
    scope = scope_of(**environ)

    assert (scope["client"], scope["server"]) == (client, server)


@pytest.mark.spec("A-12")
def test_the_least_environ_is_served() -> None:
    environ = {"REQUEST_METHOD": "GET", "SERVER_NAME": "h", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}

    assert scope_from_environ(environ, Limits()) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": None,
        "server": ("h", 80),
        "extensions": {},
    }


# ---------------------------------------------------------------- both legs are this library


@pytest.mark.spec("A-46")
def test_headers_are_carried_over_unflattened() -> None:
    fields = [(b"x-a", b"1"), (b"x_b", b"2"), (b"cookie", b"a=1"), (b"x-a", b"3"), (b"cookie", b"b=2")]

    assert scope_from_environ(environ_of("/", *fields), Limits())["headers"] == [
        (b"host", b"testserver"),
        *fields,
    ]


@pytest.mark.spec("A-46")
@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("HTTP_X_A", "9", (b"x-a", b"9")),
        ("HTTP_X_NEW", "9", (b"x-new", b"9")),
        ("CONTENT_TYPE", "text/plain", (b"content-type", b"text/plain")),
    ],
)
def test_the_environ_wins_where_wsgi_middleware_has_changed_it(
    key: str, value: str, field: tuple[bytes, bytes]
) -> None:
    environ = environ_of("/", (b"x-a", b"1"), (b"x-a", b"2"))
    environ[key] = value

    headers = scope_from_environ(environ, Limits())["headers"]

    assert field in headers
    assert (b"x-a", b"1") not in headers


@pytest.mark.spec("A-46")
def test_a_header_that_wsgi_middleware_took_away_stays_away() -> None:
    environ = environ_of("/", (b"authorization", b"SECRET"), (b"x-a", b"1"))
    del environ["HTTP_AUTHORIZATION"]

    assert scope_from_environ(environ, Limits())["headers"] == [(b"host", b"testserver"), (b"x-a", b"1")]


@pytest.mark.spec("A-09", "A-46", "H-16", "U-21")
def test_carried_headers_are_in_lower_case_and_stripped() -> None:
    headers = scope_from_environ(environ_of("/", (b"X-FoO", b" v\t"), (b"X-Foo", b"w")), Limits())["headers"]

    assert headers == [(b"host", b"testserver"), (b"x-foo", b"v"), (b"x-foo", b"w")]


@pytest.mark.spec("A-46", "H-11", "SEC-10")
@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"], ids=ascii)
def test_a_length_beside_a_transfer_coding_is_not_carried(name: bytes) -> None:
    environ = environ_of("/", (name, b"2"), (b"transfer-encoding", b"chunked"), (b"x-a", b"1"))

    headers = scope_from_environ(environ, Limits())["headers"]

    assert headers == [(b"host", b"testserver"), (b"transfer-encoding", b"chunked"), (b"x-a", b"1")]


# ---------------------------------------------------------------- laws

header_lists = st.lists(
    st.tuples(raw_names.filter(lambda name: name not in (b"proxy", b"content-length", b"host")), raw_values),
    max_size=6,
    unique_by=lambda field: field[0],
).map(lambda fields: [field for field in fields if field[0] != b"content-type" or field[1]])


@st.composite
def http_scopes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a scope as a server would make it; a root path lies in front of half of the paths."""
    root = draw(st.sampled_from(["", "/", "/api", "/api/", "api", "/é", "/a b/c"]))
    path = draw(path_bytes)
    if draw(st.booleans()):
        path = trim_prefix(root).encode() + path
    return http_scope(
        path.decode("utf-8", "replace"),
        raw_path=quote_from_bytes(path).encode(),
        root_path=root,
        method=draw(st.sampled_from(METHODS)),
        headers=draw(header_lists),
        query_string=draw(st.binary(max_size=12)),
        scheme=draw(st.sampled_from(["http", "https"])),
        http_version=draw(st.sampled_from(["1.0", "1.1", "2", "3"])),
        client=draw(st.sampled_from([None, ("1.2.3.4", 5), ("::1", 65535)])),
        server=draw(st.sampled_from([("127.0.0.1", 80), ("::1", 8000)])),
    )


@pytest.mark.spec("U-04", "U-05", "U-06", "U-09", "U-18", "U-19", "U-20", "U-21", "H-30", "SEC-13", "SEC-15")
@LAW
@given(http_scopes())
def test_a_request_comes_back_from_its_environ(scope: dict[str, Any]) -> None:
    environ = environ_from_scope(scope, TEMPLATE, Limits())

    back = scope_from_environ(alone(environ), Limits())

    kept = ("type", "method", "scheme", "http_version", "path", "query_string", "headers", "client", "server")
    assert {key: back[key] for key in kept} == {key: scope[key] for key in kept}
    assert unquote_to_bytes(back["raw_path"]) == unquote_to_bytes(scope["raw_path"])
    assert back["root_path"] in ("", trim_prefix(scope["root_path"]))


@pytest.mark.spec("A-46")
@LAW
@given(http_scopes(), st.lists(st.sampled_from([(b"x_a", b"1"), (b"x-a", b"2"), (b"via", b"3")]), max_size=6))
def test_headers_come_back_from_the_environ_as_they_were(scope: dict[str, Any], more: RawHeaders) -> None:
    scope["headers"] += more

    environ = environ_from_scope(scope, TEMPLATE, Limits())

    assert scope_from_environ(environ, Limits())["headers"] == scope["headers"]


@pytest.mark.spec("W-02", "W-04", "W-06", "W-08", "U-01", "U-13", "U-14")
@LAW
@given(http_scopes())
def test_every_environ_is_valid_and_holds_the_whole_path(scope: dict[str, Any]) -> None:
    environ = environ_from_scope(scope, TEMPLATE, Limits())

    check_environ({**environ, "wsgi.input": io.BytesIO()})
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    assert environ["SCRIPT_NAME"] + environ["PATH_INFO"] == path
    assert max(ord(char) for value in environ.values() if type(value) is str for char in value) <= 0xFF
    assert all(type(value) is str for key, value in environ.items() if "." not in key)


@pytest.mark.spec("U-14", "U-28")
@LAW
@given(http_scopes())
def test_the_url_can_be_rebuilt_on_both_sides(scope: dict[str, Any]) -> None:
    environ = environ_from_scope(scope, TEMPLATE, Limits())
    back = scope_from_environ(alone(environ), Limits())

    url = wsgiref.util.request_uri(environ, include_query=False)

    for side in (scope, back):
        host = dict(side["headers"])[b"host"].decode()
        assert unquote_to_bytes(url) == unquote_to_bytes(
            f"{side['scheme']}://{host}".encode() + side["raw_path"]
        )


@pytest.mark.spec("U-14", "U-28")
@pytest.mark.parametrize("root", ["", "/api", "/api/", "/", "/a b"])
@pytest.mark.parametrize("path", ["/", "", "/x y", "/é/日本", "/a;b=c,d", "//x", "/%41"])
def test_the_reconstructed_url_is_the_requested_one(root: str, path: str) -> None:
    whole = trim_prefix(root) + path
    environ = environ_of(
        whole, raw_path=quote_from_bytes(whole.encode()).encode(), root_path=root, query_string=b"q=%20"
    )

    assert wsgiref.util.request_uri(environ) == (
        f"http://testserver{quote_from_bytes(whole.encode(), safe='/;=,') or '/'}?q=%20"
    )


@pytest.mark.spec("U-01", "U-08", "U-20", "SEC-30")
@LAW
@given(
    st.fixed_dictionaries(
        {
            "path": any_text.map("/".__add__) | any_text,
            "raw_path": st.none() | st.binary(max_size=12),
            "root_path": any_text | st.sampled_from(["/", "/a"]),
            "query_string": st.binary(max_size=12),
            "method": st.sampled_from(METHODS) | any_text,
            "http_version": any_text,
            "client": st.none() | st.tuples(any_text, st.integers() | any_text | st.none()),
            "server": st.none() | st.tuples(any_text, st.integers() | any_text | st.none()),
        }
    ),
    st.lists(
        st.tuples(
            raw_names | st.binary(max_size=6) | st.sampled_from([b"host", b"content-length"]),
            st.binary(max_size=6),
        ),
        max_size=3,
    ),
)
def test_any_bytes_in_a_scope_end_in_an_environ_or_a_refusal(
    more: dict[str, Any], fields: RawHeaders
) -> None:
    scope = {**http_scope(), **more, "headers": fields}

    with suppress(PeerProtocolError):
        environ = environ_from_scope(scope, TEMPLATE, Limits())
        natives = [value for value in environ.values() if type(value) is str]
        assert max(ord(char) for value in natives for char in value) <= 0xFF
        assert environ["PATH_INFO"][:1] in ("", "/")


@pytest.mark.spec("A-10", "U-08", "U-10", "SEC-30")
@LAW
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI", "SERVER_PROTOCOL"),
                *("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_METHOD", "HTTP_X_A"),
                *("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"),
            ]
        )
        | native_text.map("HTTP_".__add__),
        native_text.map("/".__add__) | native_text | any_text | st.sampled_from(["5", "GET"]),
        max_size=8,
    )
)
def test_any_text_in_an_environ_ends_in_a_scope_or_a_refusal(more: dict[str, str]) -> None:
    with suppress(PeerProtocolError):
        scope = scope_from_environ({**make_environ(), **more}, Limits())
        assert scope["path"].startswith(("/", "*"))
        assert f"{scope['path']}/".startswith(f"{scope['root_path']}/")
        assert (scope["path"] + scope["root_path"]).encode("utf-8")
        assert scope["raw_path"] and b"?" not in scope["raw_path"]
        assert type(scope["query_string"]) is bytes


@pytest.mark.spec("U-27", "SEC-30")
@pytest.mark.parametrize("value", ["\xff", "\u20ac", "\udcff", "G\x00T", "", "a b"], ids=ascii)
@pytest.mark.parametrize("key", ["REQUEST_METHOD", "wsgi.url_scheme", "SERVER_PROTOCOL"])
def test_no_text_of_the_request_line_ends_in_a_decoding_error(key: str, value: str) -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", key: value}

    with suppress(PeerProtocolError):
        assert scope_from_environ(environ, Limits())["method"] == "GET"


@pytest.mark.spec("U-27", "SEC-30")
@pytest.mark.parametrize("value", ["\xff", "\u20ac", "\udcff", "G\x00T", "a b"], ids=ascii)
@pytest.mark.parametrize("key", ["method", "scheme", "http_version"])
def test_no_text_of_a_scope_ends_in_an_encoding_error(key: str, value: str) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], key: value}

    with suppress(PeerProtocolError):
        assert environ_from_scope(scope, {}, Limits())["REQUEST_METHOD"] == "GET"


@pytest.mark.spec("W-04", "W-06", "W-07")
@pytest.mark.parametrize("port", [0, -1, 65536, "", "x", None, 80.0])
def test_a_port_that_is_none_is_never_shown(port: object) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "server": ("h", port)}
    scope["client"] = ("10.0.0.1", port)

    environ = environ_from_scope(scope, {}, Limits())

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
    assert "REMOTE_PORT" not in environ
