from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.paths import (
    check_path,
    native_from_raw,
    native_from_text,
    native_path,
    raw_from_native,
    raw_path,
    split_prefix,
    text_from_native,
    trim_prefix,
)
from bridge.errors import PeerProtocolError
from tests._protocol.strategies import LAW, any_text, native_text, path_bytes

ALL_BYTES = bytes(range(256))

# ---------------------------------------------------------------- the three kinds of string


@pytest.mark.spec("U-20", "SEC-15")
def test_every_byte_survives_the_native_form() -> None:
    native = native_from_raw(ALL_BYTES)

    assert [ord(character) for character in native] == list(ALL_BYTES)
    assert raw_from_native(native) == ALL_BYTES


@pytest.mark.spec("U-08", "U-10", "SEC-30")
@pytest.mark.parametrize(
    ("text", "native"),
    [
        pytest.param("/é/日本", "/\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac", id="unicode"),
        pytest.param("/\udcff", "/\xff", id="surrogate escape"),
        pytest.param("/\ud800", "/?", id="lone surrogate"),
        pytest.param("/\udcff\ud800", "/??", id="both"),
    ],
)
def test_any_text_has_a_native_form(text: str, native: str) -> None:
    assert native_from_text(text) == native


@pytest.mark.spec("U-09", "U-10")
@pytest.mark.parametrize(
    ("native", "text"),
    [
        pytest.param("/\xc3\xa9", "/é", id="utf-8"),
        pytest.param("/\xff", "/\ufffd", id="not utf-8"),
        pytest.param("/\xed\xb3\xbf", "/\ufffd\ufffd\ufffd", id="encoded surrogate"),
        pytest.param("/日", "/日", id="beyond latin-1"),
    ],
)
def test_any_native_path_has_a_text_form(native: str, text: str) -> None:
    assert text_from_native(native) == text


@pytest.mark.spec("U-08", "U-10", "SEC-30")
@LAW
@given(any_text)
def test_no_string_ends_in_an_encoding_error(text: str) -> None:
    assert max(map(ord, native_from_text(text)), default=0) <= 0xFF
    text_from_native(text).encode("utf-8")  # no surrogates
    assert type(raw_from_native(text)) is bytes


@pytest.mark.spec("U-09")
@LAW
@given(st.text())
def test_text_comes_back_from_its_native_form(text: str) -> None:
    assert text_from_native(native_from_text(text)) == text


# ---------------------------------------------------------------- a request path, ASGI to WSGI


@pytest.mark.spec("U-05", "U-06", "U-15", "U-18", "U-19", "U-25", "SEC-15")
@pytest.mark.parametrize(
    ("path", "raw", "native"),
    [
        pytest.param("/é", b"/%C3%A9", "/\xc3\xa9", id="utf-8"),
        pytest.param("/é", b"/\xc3\xa9", "/\xc3\xa9", id="sent unquoted"),
        pytest.param("/é", None, "/\xc3\xa9", id="no raw_path"),
        pytest.param("/é", b"", "/\xc3\xa9", id="empty raw_path"),
        pytest.param("/\ufffd", b"/%ff", "/\xff", id="not utf-8"),
        pytest.param("/\ufffd", b"/%EF%BF%BD", "/\xef\xbf\xbd", id="the replacement character itself"),
        pytest.param("/%2e%2e/", b"/%252e%252e/", "/%2e%2e/", id="decoded once, ASCII"),
        pytest.param("/é%2e%2e/", b"/%C3%A9%252e%252e/", "/\xc3\xa9%2e%2e/", id="decoded once"),
        pytest.param("/a/b+c;d", b"/a%2Fb+c;d", "/a/b+c;d", id="slash, plus and semicolon"),
        pytest.param("/é/b+c;d?#", b"/%c3%a9%2Fb+c;d%3F%23", "/\xc3\xa9/b+c;d?#", id="all of them"),
        pytest.param("//a/../b/", b"//a/../b/", "//a/../b/", id="nothing normalised"),
        pytest.param("/a\0b", b"/a%00b", "/a\0b", id="NUL"),
        pytest.param("/é%", b"/%c3%a9%", "/\xc3\xa9%", id="bare percent"),
    ],
)
def test_a_native_path_is_the_decoded_bytes(path: str, raw: bytes | None, native: str) -> None:
    assert native_path(path, raw) == native


@pytest.mark.spec("U-07")
@pytest.mark.parametrize(
    ("path", "raw", "native"),
    [
        pytest.param("/b", b"/a", "/b", id="ASCII"),
        pytest.param("/é", b"/a", "/\xc3\xa9", id="unicode"),
        pytest.param("/é", b"/%ff", "/\xc3\xa9", id="raw is not utf-8"),
        pytest.param("/é", b"/m/%C3%A9", "/\xc3\xa9", id="prefix taken off"),
    ],
)
def test_a_rewritten_path_wins_over_raw_path(path: str, raw: bytes, native: str) -> None:
    assert native_path(path, raw) == native


@pytest.mark.spec("U-05", "U-06", "U-15", "SEC-15")
@LAW
@given(path_bytes)
def test_any_path_bytes_arrive_exactly_when_the_server_gives_them(path: bytes) -> None:
    raw = quote_from_bytes(path).encode()

    assert native_path(path.decode("utf-8", "replace"), raw) == path.decode("latin-1")


@pytest.mark.spec("U-07", "U-08", "SEC-30")
@LAW
@given(any_text, st.none() | st.binary(max_size=12))
def test_a_native_path_always_stands_for_the_path(path: str, raw: bytes | None) -> None:
    native = native_path(path, raw)

    exact = unquote_to_bytes(raw or b"")
    assert native == native_from_text(path) or (
        native.encode("latin-1") == exact and exact.decode("utf-8", "replace") == path
    )


# ---------------------------------------------------------------- prefixes


@pytest.mark.spec("U-13")
@pytest.mark.parametrize(
    ("root", "trimmed"),
    [
        ("", ""),
        ("/", ""),
        ("//", ""),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api//", "/api"),
        ("api", "/api"),
        ("api/", "/api"),
        ("/a/b/", "/a/b"),
        ("//a", "//a"),
    ],
)
def test_a_prefix_has_one_form(root: str, trimmed: str) -> None:
    assert trim_prefix(root) == trimmed


@pytest.mark.spec("U-11", "U-12", "SEC-14")
@pytest.mark.parametrize(
    ("path", "prefix", "split"),
    [
        pytest.param("/api/x", "/api", ("/api", "/x"), id="inside"),
        pytest.param("/api", "/api", ("/api", ""), id="the prefix itself"),
        pytest.param("/api/", "/api", ("/api", "/"), id="trailing slash"),
        pytest.param("/api//x", "/api", ("/api", "//x"), id="double slash"),
        pytest.param("/apix/y", "/api", None, id="longer segment"),
        pytest.param("/api%2F..", "/api", None, id="quoted slash"),
        pytest.param("/API/x", "/api", None, id="other case"),
        pytest.param("/ap", "/api", None, id="shorter"),
        pytest.param("/x/api", "/api", None, id="elsewhere"),
        pytest.param("/x", "", ("", "/x"), id="empty prefix"),
    ],
)
def test_a_path_is_split_on_a_segment_border_only(
    path: str, prefix: str, split: tuple[str, str] | None
) -> None:
    assert split_prefix(path, prefix) == split


@pytest.mark.spec("U-11", "U-13", "U-14")
@LAW
@given(path_bytes.map(native_from_raw), st.sampled_from(["", "/", "/api", "/api/", "api", "/a b", "/.."]))
def test_prefix_and_rest_are_the_path(path: str, root: str) -> None:
    prefix = trim_prefix(root)

    split = split_prefix(path, prefix)

    if split is None:
        assert not f"{path}/".startswith(f"{prefix}/")
    else:
        assert "".join(split) == path
        assert split[0] == prefix
        assert split[1] == "" or split[1].startswith("/")


@pytest.mark.spec("H-27", "SEC-16")
@pytest.mark.parametrize(
    ("path", "method", "checked"),
    [
        ("/", "GET", "/"),
        ("/x", "GET", "/x"),
        ("//evil/x", "GET", "//evil/x"),
        ("", "GET", "/"),
        ("*", "OPTIONS", "/"),
    ],
)
def test_a_path_is_passed_on(path: str, method: str, checked: str) -> None:
    assert check_path(path, method) == checked


@pytest.mark.spec("H-27", "SEC-16")
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("@evil.com", "GET"),
        ("http://x/y", "GET"),
        ("x", "GET"),
        ("*", "GET"),
        ("**", "OPTIONS"),
        ("*/x", "OPTIONS"),
        ("\\x", "GET"),
        (" /x", "GET"),
        ("example.org:443", "CONNECT"),
    ],
)
def test_a_target_that_is_no_path_is_refused(path: str, method: str) -> None:
    with pytest.raises(PeerProtocolError) as caught:
        check_path(path, method)

    assert caught.value.status_hint == 400


# ---------------------------------------------------------------- raw_path, WSGI to ASGI


@pytest.mark.spec("U-16", "U-17", "U-18")
@pytest.mark.parametrize(
    ("path", "target", "raw"),
    [
        pytest.param("/a/b", "/a%2Fb?x", b"/a%2Fb", id="quoted slash"),
        pytest.param("/a/b", "/%61/b?%78", b"/%61/b", id="query cut"),
        pytest.param("/a/b", "/%61/b#f", b"/%61/b", id="fragment cut"),
        pytest.param("/a/b", "http://host:1/a%2fb?x", b"/a%2fb", id="absolute form"),
        pytest.param("/", "http://host", b"/", id="absolute form without path"),
        pytest.param("//evil/x", "//evil/%78", b"//evil/%78", id="double slash"),
        pytest.param("/a b", "/%61%20b", b"/%61%20b", id="spelling kept"),
        pytest.param("/\xff", "/%fF", b"/%fF", id="not utf-8"),
        pytest.param("/a/b+c;d", "/a%2Fb+c;d", b"/a%2Fb+c;d", id="plus"),
    ],
)
def test_the_exact_spelling_of_the_target_is_kept(path: str, target: str, raw: bytes) -> None:
    assert raw_path("", path, target) == raw


@pytest.mark.spec("U-10", "U-16")
@pytest.mark.parametrize(
    ("path", "target", "raw"),
    [
        pytest.param("/b", "/a", b"/b", id="rewritten"),
        pytest.param("/a%2Fb", "/a%2Fb", b"/a%252Fb", id="decoded once more"),
        pytest.param("/a?b", "/a?b", b"/a%3Fb", id="question mark of the path"),
        pytest.param("/a#b", None, b"/a%23b", id="hash"),
        pytest.param("/\xff", None, b"/%FF", id="not utf-8"),
        pytest.param("/a b", "", b"/a%20b", id="empty target"),
        pytest.param("/a\0b", None, b"/a%00b", id="NUL"),
        pytest.param("/a/b+c;d=e,f", None, b"/a/b+c;d=e,f", id="what needs no quoting"),
        pytest.param("/x", "*", b"/x", id="asterisk"),
        pytest.param("/x", "/日", b"/x", id="target beyond latin-1"),
    ],
)
def test_a_target_that_disagrees_is_ignored_and_the_path_quoted(
    path: str, target: str | None, raw: bytes
) -> None:
    assert raw_path("", path, target) == raw


@pytest.mark.spec("U-16", "U-17", "SEC-15")
@LAW
@given(path_bytes, native_text | st.none())
def test_raw_path_always_decodes_to_the_path(path: bytes, target: str | None) -> None:
    raw = raw_path("", path.decode("latin-1"), target)

    assert unquote_to_bytes(raw) == path
    assert b"?" not in raw
    assert b"#" not in raw


@pytest.mark.spec("U-16", "U-18")
@LAW
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=12))
def test_any_spelling_of_a_path_is_kept(codes: list[tuple[int, bool]]) -> None:
    spelled = "/" + "".join(
        f"%{code:02x}" if quoted or chr(code) in "%?#" or code > 0x7E else chr(code) for code, quoted in codes
    )

    raw = raw_path("", unquote_to_bytes(spelled).decode("latin-1"), f"{spelled}?q=%20")

    assert raw == spelled.encode()


def test_script_name_and_path_info_make_one_path() -> None:
    assert raw_path("/m", "/\xc3\xa9", "/m/%C3%A9?x") == b"/m/%C3%A9"
