from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol import headers, paths, request, request_headers, response, response_headers
from bridge._protocol.headers import content_length, is_token
from bridge._protocol.limits import Limits
from bridge._protocol.request_headers import add_request_headers, headers_from_environ
from bridge._protocol.response_headers import (
    native_from_raw_headers,
    raw_from_native_headers,
    raw_headers,
)
from bridge.errors import AppProtocolError, PeerProtocolError
from tests._protocol.strategies import (
    CONTROL_BYTES,
    LAW,
    TOKEN_BYTES,
    native_text,
    raw_names,
    raw_values,
)

if TYPE_CHECKING:
    from bridge.types import Environ, RawHeaders

WIDE = Limits(max_headers=10**9, max_header_bytes=10**9)


def environ_with(*fields: tuple[bytes, bytes], limits: Limits = WIDE, protocol: str = "HTTP/1.1") -> Environ:
    """Give the environ keys that these fields set."""
    environ: Environ = {"SERVER_PROTOCOL": protocol}
    add_request_headers(environ, fields, limits)
    del environ["SERVER_PROTOCOL"]
    return environ


# The four ways that a field takes through the bridge; each gives the name and the value at the other end.
# In ASGI names b"-" stands for the b"_" that an environ key has.


def asgi_request(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    ((key, native),) = environ_with((name, value)).items()
    return key.removeprefix("HTTP_").replace("_", "-").lower().encode(), native.encode("latin-1")


def wsgi_request(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    key = name.decode("latin-1").upper().replace("-", "_")
    key = key if key == "CONTENT_LENGTH" else f"HTTP_{key}"
    (field,) = headers_from_environ({key: value.decode("latin-1")}, WIDE)
    return field


def wsgi_response(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return raw_from_native_headers([(name.decode("latin-1"), value.decode("latin-1"))])[0]


def asgi_response(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    (field,) = raw_headers([(name, value)])
    ((native_name, native_value),) = native_from_raw_headers([field])
    return native_name.lower().encode("latin-1"), native_value.encode("latin-1")


Way = Callable[[bytes, bytes], tuple[bytes, bytes]]
WAYS = [
    pytest.param(asgi_request, PeerProtocolError, 400, id="ASGI request"),
    pytest.param(wsgi_request, PeerProtocolError, 400, id="WSGI request"),
    pytest.param(wsgi_response, AppProtocolError, 500, id="WSGI response"),
    pytest.param(asgi_response, AppProtocolError, 500, id="ASGI response"),
]
every_way = pytest.mark.parametrize(("way", "error", "status"), WAYS)
Error = type[PeerProtocolError] | type[AppProtocolError]

OF_THEIR_OWN = (b"proxy", b"host", b"content-type", b"content-length", b"transfer-encoding")
"""Fields that do not come out as they went in."""


# ---------------------------------------------------------------- names and values, all four ways


@pytest.mark.spec("H-14", "SEC-01", "SEC-03")
@every_way
@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"a b",
        b" a",
        b"a ",
        b"a:",
        b"a\0",
        b"a\r\n",
        b"a\n",
        b"(x)",
        b"\xe9",
        b"\xa0a",
        b"a\x85",
        b"x/y",
        b'"x"',
    ],
    ids=ascii,
)
def test_a_name_that_is_no_token_is_refused(way: Way, error: Error, status: int, name: bytes) -> None:
    with pytest.raises(error) as caught:
        way(name, b"v")

    assert caught.value.status_hint == status


@pytest.mark.spec("H-14", "SEC-03")
def test_a_token_is_made_of_the_bytes_of_rfc_9110() -> None:
    assert [code for code in range(256) if is_token(f"x{chr(code)}y")] == sorted(TOKEN_BYTES)


@pytest.mark.spec("H-14", "SEC-03")
@pytest.mark.parametrize("name", ["x\u212a", "x\u0130", "x\u0663", "\uff21", "x\n"], ids=ascii)
def test_unicode_that_looks_like_ascii_is_no_token(name: str) -> None:
    assert not is_token(name)
    with pytest.raises(AppProtocolError):
        raw_from_native_headers([(name, "v")])
    with pytest.raises(PeerProtocolError):
        headers_from_environ({f"HTTP_{name}": "v"}, WIDE)


@pytest.mark.spec("H-15", "SEC-01", "SEC-03")
@every_way
@pytest.mark.parametrize("form", [b"a%cb", b"%cb", b"a%c", b"%c"], ids=["inside", "first", "last", "alone"])
def test_a_control_character_in_a_value_is_refused(way: Way, error: Error, status: int, form: bytes) -> None:
    for code in CONTROL_BYTES:
        with pytest.raises(error):
            way(b"x-a", form % code)


@pytest.mark.spec("SEC-01")
@every_way
def test_a_header_cannot_be_injected(way: Way, error: Error, status: int) -> None:
    with pytest.raises(error):
        way(b"x", b"a\r\nSet-Cookie: e=1")


@pytest.mark.spec("SEC-27")
@every_way
def test_the_error_does_not_show_the_value(way: Way, error: Error, status: int) -> None:
    with pytest.raises(error) as caught:
        way(b"x", b"SECRET\r\nx")

    assert "SECRET" not in str(caught.value)


@pytest.mark.spec("H-15", "U-03", "U-04", "U-26", "SEC-03")
@every_way
def test_every_other_byte_of_a_value_passes_unchanged(way: Way, error: Error, status: int) -> None:
    value = bytes(set(range(256)) - set(CONTROL_BYTES) - {0x20, 0x09}) + b" \tz"

    assert way(b"x-a", value) == (b"x-a", value)


@pytest.mark.spec("H-16", "U-26", "SEC-03")
@every_way
@pytest.mark.parametrize(
    ("value", "stripped"),
    [
        (b" v\t", b"v"),
        (b"\t \tv w \t", b"v w"),
        (b"v\xa0", b"v\xa0"),
        (b"\xa0v", b"\xa0v"),
        (b" \x85v\x85 ", b"\x85v\x85"),
        (b" ", b""),
        (b"", b""),
    ],
    ids=ascii,
)
def test_only_space_and_tab_are_taken_off_a_value(
    way: Way, error: Error, status: int, value: bytes, stripped: bytes
) -> None:
    assert way(b"x-a", value) == (b"x-a", stripped)


@pytest.mark.spec("U-21")
@every_way
def test_a_name_is_carried_in_any_case(way: Way, error: Error, status: int) -> None:
    for name in (b"x-FoO", b"X-FOO", b"x-foo", b"X-FoO"):
        assert way(name, b"v") == (b"x-foo", b"v")


@pytest.mark.spec("H-15", "U-03", "U-04", "SEC-30")
@every_way
@LAW
@given(raw_names, raw_values)
def test_any_legal_field_passes_unchanged(
    way: Way, error: Error, status: int, name: bytes, value: bytes
) -> None:
    if name in OF_THEIR_OWN:
        name += b"-x"

    assert way(name, value) == (name, value)


@pytest.mark.spec("SEC-30")
@every_way
@LAW
@given(st.binary(max_size=8), st.binary(max_size=8))
def test_any_bytes_end_in_a_field_or_a_protocol_error(
    way: Way, error: Error, status: int, name: bytes, value: bytes
) -> None:
    name = name.replace(b"_", b"-")
    if name.lower() in OF_THEIR_OWN:
        name += b"-x"

    with suppress(error):
        way(name, value)


# ---------------------------------------------------------------- Content-Length

NO_LENGTHS = [
    "+5",
    "-1",
    "5_0",
    " 5 ",
    "\u0665",
    "0x5",
    "5.0",
    "",
    "5,5",
    "5, 5",
    "5\n",
    "5 5",
    "\xb2",
    "1" * 20,
]


@pytest.mark.spec("H-09", "SEC-09", "SEC-03")
@pytest.mark.parametrize("value", NO_LENGTHS, ids=ascii)
def test_a_length_that_is_not_all_ascii_digits_is_none(value: str) -> None:
    assert content_length(value) is None


@pytest.mark.spec("H-09")
@pytest.mark.parametrize(("value", "length"), [("0", 0), ("5", 5), ("007", 7), ("9" * 19, 10**19 - 1)])
def test_a_length_is_read_from_ascii_digits(value: str, length: int) -> None:
    assert content_length(value) == length


@pytest.mark.spec("H-09", "SEC-09")
@pytest.mark.parametrize("value", NO_LENGTHS, ids=ascii)
def test_a_request_with_a_bad_length_is_refused(value: str) -> None:
    with pytest.raises(PeerProtocolError) as caught:
        environ_with((b"content-length", value.encode()))

    assert caught.value.status_hint == 400


@pytest.mark.spec("H-09", "SEC-09")
@pytest.mark.parametrize("value", sorted(set(NO_LENGTHS) - {""}), ids=ascii)
def test_an_environ_with_a_bad_length_is_refused(value: str) -> None:
    with pytest.raises(PeerProtocolError) as caught:
        headers_from_environ({"CONTENT_LENGTH": value}, WIDE)

    assert caught.value.status_hint == 400


@pytest.mark.spec("H-10", "SEC-09")
@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"], ids=ascii)
def test_equal_lengths_collapse_to_one(name: bytes) -> None:
    assert environ_with((b"content-length", b"2"), (name, b"2")) == {"CONTENT_LENGTH": "2"}


@pytest.mark.spec("H-10", "H-20", "SEC-09")
@pytest.mark.parametrize("second", [b"3", b"02", b"", b"2 "], ids=ascii)
def test_lengths_that_differ_are_refused(second: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        environ_with((b"content-length", b"2"), (b"content-length", second))


@pytest.mark.spec("H-11", "SEC-10")
@pytest.mark.parametrize("length_first", [True, False])
def test_a_transfer_coding_and_the_length_beside_it_are_hidden_from_a_wsgi_app(length_first: bool) -> None:
    fields = [(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")]

    environ = environ_with(*(fields if length_first else fields[::-1]))

    assert environ == {}


@pytest.mark.spec("SEC-10")
def test_a_transfer_coding_in_http_1_0_is_refused_toward_wsgi() -> None:
    fields = [(b"host", b"a"), (b"transfer-encoding", b"chunked")]

    with pytest.raises(PeerProtocolError, match=r"HTTP/1\.0") as caught:
        add_request_headers({"SERVER_PROTOCOL": "HTTP/1.0"}, fields, WIDE)
    assert caught.value.status_hint == 400
    add_request_headers({"SERVER_PROTOCOL": "HTTP/1.1"}, fields, WIDE)


@pytest.mark.spec("SEC-10")
def test_a_transfer_coding_in_http_1_0_is_refused_toward_asgi() -> None:
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "SERVER_PROTOCOL": "HTTP/1.0"}

    with pytest.raises(PeerProtocolError, match=r"HTTP/1\.0") as caught:
        headers_from_environ(environ, WIDE)
    assert caught.value.status_hint == 400
    assert headers_from_environ({**environ, "SERVER_PROTOCOL": "HTTP/1.1"}, WIDE) == [
        (b"transfer-encoding", b"chunked")
    ]


@pytest.mark.spec("SEC-10")
def test_the_http_1_0_that_eventlet_writes_of_every_request_says_nothing() -> None:
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "SERVER_PROTOCOL": "HTTP/1.0", "eventlet.input": object()}

    assert headers_from_environ(environ, WIDE) == [(b"transfer-encoding", b"chunked")]


@pytest.mark.spec("H-11", "SEC-10")
def test_a_transfer_coding_takes_the_length_away_from_an_asgi_app() -> None:
    environ = {"CONTENT_LENGTH": "2", "HTTP_TRANSFER_ENCODING": "chunked", "HTTP_X_A": "1"}

    assert headers_from_environ(environ, WIDE) == [(b"transfer-encoding", b"chunked"), (b"x-a", b"1")]


# ---------------------------------------------------------------- request, ASGI to WSGI


@pytest.mark.spec("W-08", "U-21")
@pytest.mark.parametrize(
    ("length", "kind"),
    [(b"Content-Length", b"Content-Type"), (b"content-length", b"CONTENT-TYPE")],
    ids=ascii,
)
def test_length_and_type_of_the_content_have_keys_of_their_own(length: bytes, kind: bytes) -> None:
    environ = environ_with((length, b"2"), (kind, b"text/plain"))

    assert environ == {"CONTENT_LENGTH": "2", "CONTENT_TYPE": "text/plain"}


@pytest.mark.spec("W-08", "W-09")
def test_there_is_a_key_for_each_header_and_no_other() -> None:
    assert environ_with((b"host", b"h"), (b"x-a", b"1")) == {"HTTP_HOST": "h", "HTTP_X_A": "1"}
    assert environ_with() == {}


@pytest.mark.spec("H-18", "H-19", "H-30")
@pytest.mark.parametrize(
    ("fields", "key", "joined"),
    [
        pytest.param([(b"cookie", b"a=1"), (b"cookie", b"b=2")], "HTTP_COOKIE", "a=1; b=2", id="cookies"),
        pytest.param([(b"x-a", b"1"), (b"X-A", b"2"), (b"x-a", b"3")], "HTTP_X_A", "1, 2, 3", id="a list"),
        pytest.param([(b"via", b"a"), (b"x-b", b"-"), (b"via", b"b")], "HTTP_VIA", "a, b", id="order"),
        pytest.param([(b"x-a", b""), (b"x-a", b"2")], "HTTP_X_A", ", 2", id="empty first"),
        pytest.param([(b"x-a", b" 1 "), (b"x-a", b"\t2")], "HTTP_X_A", "1, 2", id="stripped"),
    ],
)
def test_repeated_fields_are_joined_in_order(fields: RawHeaders, key: str, joined: str) -> None:
    assert environ_with(*fields)[key] == joined


@pytest.mark.spec("H-20", "SEC-08")
@pytest.mark.parametrize("name", [b"host", b"content-type", b"authorization", b"Host"], ids=ascii)
@pytest.mark.parametrize("second", [b"a", b"b"], ids=["equal", "different"])
def test_a_second_field_of_a_singleton_is_refused(name: bytes, second: bytes) -> None:
    with pytest.raises(PeerProtocolError, match="more than one") as caught:
        environ_with((name, b"a"), (name.lower(), second))

    assert caught.value.status_hint == 400


@pytest.mark.spec("U-23")
@pytest.mark.parametrize("protocol", ["HTTP/2.0", "HTTP/3.0"])
def test_an_authority_beside_an_equal_host_is_one_host(protocol: str) -> None:
    assert environ_with((b"host", b"a"), (b"host", b"a"), protocol=protocol) == {"HTTP_HOST": "a"}
    with pytest.raises(PeerProtocolError):
        environ_with((b"host", b"a"), (b"host", b"b"), protocol=protocol)


@pytest.mark.spec("SEC-08")
@pytest.mark.parametrize(
    "host", ["a/b", "a?b", "a#b", "a@b", "a b", "a\tb", "a\\b", "a, b", "a,b", "http://a"], ids=ascii
)
def test_a_host_that_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(PeerProtocolError, match="Host"):
        environ_with((b"host", host.encode()))
    with pytest.raises(PeerProtocolError, match="Host"):
        headers_from_environ({"HTTP_HOST": host}, WIDE)


@pytest.mark.spec("SEC-08", "U-24")
@pytest.mark.parametrize("host", ["example.org", "example.org:80", "[::1]:8000", "", "b\xfccher.example"])
def test_a_host_is_passed_on(host: str) -> None:
    assert environ_with((b"host", host.encode("latin-1"))) == {"HTTP_HOST": host}
    assert headers_from_environ({"HTTP_HOST": host}, WIDE) == [(b"host", host.encode("latin-1"))]


@pytest.mark.spec("SEC-04")
@pytest.mark.parametrize("name", [b"proxy", b"Proxy", b"PROXY"], ids=ascii)
def test_a_proxy_header_never_becomes_http_proxy(name: bytes) -> None:
    assert environ_with((name, b"http://evil"), (b"x-a", b"1")) == {"HTTP_X_A": "1"}


@pytest.mark.spec("SEC-04")
def test_http_proxy_never_becomes_a_header() -> None:
    assert headers_from_environ({"HTTP_PROXY": "http://evil", "HTTP_X_A": "1"}, WIDE) == [(b"x-a", b"1")]


@pytest.mark.spec("SEC-05", "SEC-06", "U-22")
@pytest.mark.parametrize("spoof", [b"x_user", b"X_User", b"x_USER"], ids=ascii)
@pytest.mark.parametrize("spoof_first", [True, False])
def test_an_underscore_never_passes_for_a_dash(spoof: bytes, spoof_first: bool) -> None:
    fields = [(spoof, b"evil"), (b"x-user", b"good")]

    environ = environ_with(*(fields if spoof_first else fields[::-1]))

    assert environ == {"HTTP_X_USER": "good"}


@pytest.mark.spec("SEC-05", "U-22")
@pytest.mark.spec("SEC-01")
@pytest.mark.parametrize("name", [b"x_user", b"proxy"])
def test_the_value_of_a_field_that_is_dropped_is_checked_all_the_same(name: bytes) -> None:
    """An ASGI app further in gets the field (A-46); found by `make fuzz`."""
    with pytest.raises(PeerProtocolError, match="control"):
        add_request_headers({}, [(name, b"a\x00b")], WIDE)


def test_an_underscore_is_refused_where_that_was_asked_for() -> None:
    environ: Environ = {"SERVER_PROTOCOL": "HTTP/1.1"}

    with pytest.raises(PeerProtocolError, match="underscore") as caught:
        add_request_headers(environ, [(b"x_user", b"evil")], WIDE, refuse_underscores=True)
    add_request_headers(environ, [(b"proxy", b"dropped all the same")], WIDE, refuse_underscores=True)

    assert caught.value.status_hint == 400
    assert "HTTP_PROXY" not in environ


@pytest.mark.spec("SEC-06")
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (b"script_name", set()),
        (b"script-name", {"HTTP_SCRIPT_NAME"}),
        (b"content_length", set()),
        (b"remote-user", {"HTTP_REMOTE_USER"}),
        (b"remote-addr", {"HTTP_REMOTE_ADDR"}),
        (b"https", {"HTTP_HTTPS"}),
        (b"wsgi.input", {"HTTP_WSGI.INPUT"}),
        (b"bridge.scope", {"HTTP_BRIDGE.SCOPE"}),
        (b"daphne-root-path", {"HTTP_DAPHNE_ROOT_PATH"}),
    ],
    ids=ascii,
)
def test_no_header_sets_a_key_without_prefix(name: bytes, keys: set[str]) -> None:
    assert set(environ_with((name, b"evil"))) == keys


# ---------------------------------------------------------------- limits


@pytest.mark.spec("H-25", "SEC-18")
def test_one_field_over_the_number_is_refused() -> None:
    fields = [(b"x-%d" % i, b"v") for i in range(11)]
    limits = Limits(max_headers=10)

    assert len(environ_with(*fields[:10], limits=limits)) == 10
    with pytest.raises(PeerProtocolError) as caught:
        environ_with(*fields, limits=limits)

    assert caught.value.status_hint == 431


@pytest.mark.spec("H-25", "SEC-18")
def test_one_byte_over_the_size_is_refused() -> None:
    limits = Limits(max_header_bytes=10)

    assert environ_with((b"x-a", b"1234567"), limits=limits) == {"HTTP_X_A": "1234567"}
    with pytest.raises(PeerProtocolError) as caught:
        environ_with((b"x-a", b"1234567"), (b"y", b""), limits=limits)

    assert caught.value.status_hint == 431


@pytest.mark.spec("H-25", "SEC-18")
def test_fields_that_are_dropped_count_as_well() -> None:
    with pytest.raises(PeerProtocolError) as caught:
        environ_with(*[(b"x_a", b"")] * 11, limits=Limits(max_headers=10))

    assert caught.value.status_hint == 431


@pytest.mark.spec("H-25", "SEC-18")
@pytest.mark.parametrize(
    "limits", [Limits(max_headers=1), Limits(max_header_bytes=7)], ids=["number", "size"]
)
def test_an_environ_over_a_limit_is_refused(limits: Limits) -> None:
    assert headers_from_environ({"HTTP_X_A": "1234"}, limits) == [(b"x-a", b"1234")]
    with pytest.raises(PeerProtocolError) as caught:
        headers_from_environ({"HTTP_X_A": "1234", "HTTP_Y": ""}, limits)

    assert caught.value.status_hint == 431


@pytest.mark.spec("SEC-18")
def test_a_flood_of_equal_headers_is_refused_before_one_is_read() -> None:
    class Unread(list[tuple[bytes, bytes]]):
        def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
            raise AssertionError("a field was read")

    with pytest.raises(PeerProtocolError) as caught:
        add_request_headers({"SERVER_PROTOCOL": "HTTP/1.1"}, Unread([(b"x-a", b"v")] * 20_000), Limits())

    assert caught.value.status_hint == 431


@pytest.mark.spec("SEC-18", "H-19")
def test_a_flood_within_raised_limits_is_joined_in_order() -> None:
    values = [b"%d" % i for i in range(20_000)]

    environ = environ_with(*[(b"x-a", value) for value in values])

    assert environ["HTTP_X_A"].encode() == b", ".join(values)


HOSTILE = [
    b" " * 2**20 + b"x",
    b"a" * 2**20 + b"\0",
    b"0" * 2**20 + b"x",
    b"-" * 2**20 + b" ",
    b"\xff" * 2**20,
]


@pytest.mark.spec("SEC-24", "SEC-30")
@every_way
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda value: ascii(value[:1] + value[-1:]))
def test_a_megabyte_of_anything_is_judged(way: Way, error: Error, status: int, hostile: bytes) -> None:
    """Work that is not linear in the size would reach the timeout of the suite."""
    for name, value in ((b"x-a", hostile), (hostile, b"v"), (b"content-length", hostile)):
        with suppress(error):
            way(name, value)


PATTERNS = [
    pytest.param(pattern.pattern, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in (headers, request_headers, response_headers, paths, request, response)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern)
]


@pytest.mark.spec("SEC-24", "SEC-03")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_for_peer_data_is_ascii_anchored_and_not_nested(pattern: str) -> None:
    without_classes = re.sub(r"\[(?:\\.|[^\]])*\]", "C", pattern)

    assert not re.search(r"\\[dDwWsS]|\$|\)[*+{]|\.\*", without_classes)
    assert without_classes == "C" or without_classes.endswith(r"\Z")
    assert pattern.isascii()


# ---------------------------------------------------------------- request, WSGI to ASGI


@pytest.mark.spec("A-09", "U-21", "W-08")
def test_the_fields_of_an_environ_are_its_http_keys_and_the_content() -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "HTTP_X_FORWARDED_FOR": "1.2.3.4",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "HTTP_CONTENT_TYPE": "text/evil",
        "HTTP_CONTENT_LENGTH": "9",
        "CONTENT_OTHER": "x",
        "HTTPS": "on",
        "http_lower": "x",
        "REMOTE_USER": "me",
    }

    assert headers_from_environ(environ, WIDE) == [
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"2"),
    ]


@pytest.mark.spec("A-09")
def test_only_an_empty_content_key_is_no_field() -> None:
    environ = {"CONTENT_TYPE": "", "CONTENT_LENGTH": "", "HTTP_X_A": ""}

    assert headers_from_environ(environ, WIDE) == [(b"x-a", b"")]


@pytest.mark.spec("U-08", "SEC-30")
@pytest.mark.parametrize("key", ["HTTP_X_A", "CONTENT_TYPE"])
def test_a_value_that_is_not_native_is_refused(key: str) -> None:
    with pytest.raises(PeerProtocolError, match="native"):
        headers_from_environ({key: "€"}, WIDE)


@pytest.mark.spec("SEC-30")
@LAW
@given(
    st.dictionaries(
        native_text.map("HTTP_".__add__) | st.sampled_from(["CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST"]),
        native_text | st.sampled_from(["5", "text/plain"]),
        max_size=4,
    )
)
def test_any_latin_1_text_ends_in_fields_or_a_refusal(environ: dict[str, str]) -> None:
    with suppress(PeerProtocolError):
        fields = headers_from_environ(environ, WIDE)
        assert all(type(name) is bytes and type(value) is bytes for name, value in fields)


# ---------------------------------------------------------------- response, both directions


@pytest.mark.spec("U-02", "W-42")
@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "€"), ("€", "v"), (b"X", "v"), ("X", b"v"), ("X", 5), ("X", None), (5, "v")],
    ids=ascii,
)
def test_a_response_field_that_is_not_native_is_refused(name: object, value: object) -> None:
    with pytest.raises(AppProtocolError):
        raw_from_native_headers([(name, value)])


@pytest.mark.spec("A-44")
def test_the_fields_of_an_asgi_response_come_from_any_pairs_of_buffers() -> None:
    fields = ([name, memoryview(value)] for name, value in [(b"x-a", b"1"), (bytearray(b"X-B"), b"2")])

    checked = raw_headers(fields)

    assert checked == [(b"x-a", b"1"), (b"x-b", b"2")]
    assert all(type(part) is bytes for field in checked for part in field)


@pytest.mark.spec("A-21", "A-44")
@pytest.mark.parametrize(
    "field",
    [("x", b"v"), (b"x", "v"), (b"x", None), (5, b"v"), (b"x",), (b"x", b"v", b"w"), b"x:v", 5],
    ids=repr,
)
def test_an_asgi_response_field_of_another_shape_is_refused(field: object) -> None:
    with pytest.raises(AppProtocolError):
        raw_headers([field])  # type: ignore[list-item]


@pytest.mark.spec("WA-15")
@pytest.mark.parametrize(
    ("raw", "native"),
    [
        (b"content-type", "Content-Type"),
        (b"x-request-id", "X-Request-Id"),
        (b"etag", "ETag"),
        (b"www-authenticate", "WWW-Authenticate"),
        (b"X-ALL", "X-All"),
        (b"1", "1"),
    ],
    ids=ascii,
)
def test_response_names_go_to_wsgi_in_title_case(raw: bytes, native: str) -> None:
    assert native_from_raw_headers([(raw, b"v")]) == [(native, "v")]


@pytest.mark.spec("H-17", "H-30")
def test_response_fields_keep_their_order_and_are_never_joined() -> None:
    fields = [(b"set-cookie", b"a=1"), (b"x", b"1"), (b"set-cookie", b"b=2, c"), (b"x", b"0")]

    checked = raw_headers(fields)

    assert checked == fields
    assert [value for _, value in native_from_raw_headers(checked)] == ["a=1", "1", "b=2, c", "0"]


# ---------------------------------------------------------------- what is kept between requests

KEPT = [
    (request_headers, "_environ_keys"),
    (request_headers, "_field_names"),
    (response_headers, "_raw_names"),
    (response_headers, "_native_names"),
]


@pytest.mark.spec("SEC-18")
def test_invented_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, table in KEPT:
        monkeypatch.setattr(module, table, {})
    for i in range(5_000):
        asgi_request(b"x-flood-a%d" % i, b"")
        wsgi_request(b"x-flood-b%d" % i, b"")
        wsgi_response(b"x-flood-c%d" % i, b"")
        asgi_response(b"x-flood-d%d" % i, b"")

    assert [len(getattr(module, table)) for module, table in KEPT] == [2_048] * 4
    assert asgi_request(b"x-flood-a4999", b"v") == (b"x-flood-a4999", b"v")


@pytest.mark.spec("SEC-08", "SEC-18")
def test_invented_hosts_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    known = set[str]()
    monkeypatch.setattr(request_headers, "_known_hosts", known)

    environ_with((b"host", b"l" * 1_000))
    for i in range(3_000):
        environ_with((b"host", b"h%d.example" % i))
        headers_from_environ({"HTTP_HOST": f"i{i}.example"}, WIDE)

    assert len(known) == 2_048
    assert max(map(len, known)) <= 64


@pytest.mark.spec("SEC-08")
def test_a_bad_host_is_refused_each_time() -> None:
    for _ in range(3):
        with pytest.raises(PeerProtocolError):
            environ_with((b"host", b"evil/again"))
        with pytest.raises(PeerProtocolError):
            headers_from_environ({"HTTP_HOST": "evil/again"}, WIDE)


@pytest.mark.spec("SEC-18")
@every_way
def test_a_long_name_is_translated_but_not_kept(way: Way, error: Error, status: int) -> None:
    name = b"x-%s" % (b"l" * 1_000)

    assert way(name, b"v") == (name, b"v")

    kept = [getattr(module, table) for module, table in KEPT]
    assert max(len(known) for names in kept for known in names) <= 69  # "HTTP_" and 64
