from __future__ import annotations

import wsgiref.validate
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.head import Head, head_from_asgi, head_from_wsgi, status_line
from bridge._protocol.response import ResponseCycle
from bridge.errors import AppProtocolError
from tests._protocol.strategies import CONTROL_BYTES, LAW, any_text, native_text

if TYPE_CHECKING:
    from bridge.types import RawHeaders

check_status = wsgiref.validate.check_status  # type: ignore[attr-defined]  # not in its type stubs


def wsgi_head(status: str, *fields: tuple[str, str], method: str = "GET") -> Head:
    """Give the head of a WSGI app that calls start_response so."""
    return head_from_wsgi(status, list(fields), method)


def held(head: Head) -> ResponseCycle:
    """Give a cycle that holds this head back."""
    cycle = ResponseCycle()
    cycle.start(head)
    return cycle


def names(head: Head) -> set[bytes]:
    return {name for name, _ in head.headers}


# ---------------------------------------------------------------- what start_response was given


@pytest.mark.spec("W-41", "U-02", "SEC-02")
@pytest.mark.parametrize(
    "status",
    [
        "200",
        "200OK",
        " 200 OK",
        "20 x",
        "2000 OK",
        "",
        "OK",
        "200 OK\r\nX: y",
        "200 OK\n",
        "200 \0",
        "200 \x7f",
        "200 €",
        "\u0662\u0660\u0660 OK",
        "+20 OK",
        "0x1 OK",
        200,
        b"200 OK",
        None,
        ("200 OK",),
    ],
    ids=ascii,
)
def test_a_status_that_is_no_status_line_is_refused(status: object) -> None:
    with pytest.raises(AppProtocolError, match=r"start_response got the status .* expected"):
        head_from_wsgi(status, [], "GET")


@pytest.mark.spec("W-41", "SEC-02")
def test_no_control_character_may_stand_in_a_reason() -> None:
    for code in CONTROL_BYTES:
        with pytest.raises(AppProtocolError):
            wsgi_head(f"200 a{chr(code)}b")


@pytest.mark.spec("H-24", "W-41", "U-03")
@pytest.mark.parametrize(
    ("status", "code"),
    [("200 OK", 200), ("404 Custom", 404), ("299 ", 299), ("599 \xe9\t!", 599), ("200 1 2", 200)],
)
def test_of_a_status_line_only_the_code_is_kept(status: str, code: int) -> None:
    assert wsgi_head(status).status == code
    assert wsgi_head(status).status == code  # the second is looked up


@pytest.mark.spec("W-42")
@pytest.mark.parametrize(
    "headers", [(), {}, None, iter([]), "x", b"x"], ids=lambda value: type(value).__name__
)
def test_headers_that_are_no_list_are_refused(headers: object) -> None:
    with pytest.raises(AppProtocolError, match="expected a list"):
        head_from_wsgi("200 OK", headers, "GET")


@pytest.mark.spec("W-42", "U-02", "SEC-01")
@pytest.mark.parametrize(
    "field",
    [
        ("Bad Name:", "v"),
        ("X", "a\r\nb"),
        ("X", "€"),
        ("X", b"v"),
        (b"X", "v"),
        ("X", 5),
        ["X", "v"],
        ("X",),
        ("X", "v", "w"),
        "Xv",
        None,
    ],
    ids=ascii,
)
def test_a_header_that_is_no_pair_of_native_strings_is_refused(field: object) -> None:
    with pytest.raises(AppProtocolError):
        head_from_wsgi("200 OK", [("Content-Type", "text/plain"), field], "GET")


@pytest.mark.spec("SEC-27")
@pytest.mark.parametrize(
    "field", [("X", "SECRET\n"), ("X", "SECRET€"), ("Content-Length", "SECRET")], ids=ascii
)
def test_the_error_does_not_show_the_value(field: tuple[str, str]) -> None:
    with pytest.raises(AppProtocolError) as caught:
        wsgi_head("200 OK", field)

    assert "SECRET" not in str(caught.value)


@pytest.mark.spec("W-44")
def test_the_app_may_change_its_list_afterwards() -> None:
    fields = [("X-A", "1")]
    head = head_from_wsgi("200 OK", fields, "GET")

    fields.append(("X-B", "2"))

    assert head.headers == [(b"x-a", b"1")]


@pytest.mark.spec("H-17", "H-30", "AA-06", "U-03")
def test_fields_keep_their_order_and_their_bytes() -> None:
    head = wsgi_head("200 OK", ("Set-Cookie", "a=1"), ("X", "caf\xe9"), ("SET-COOKIE", "b=2"))

    assert head.headers == [(b"set-cookie", b"a=1"), (b"x", b"caf\xe9"), (b"set-cookie", b"b=2")]


# ---------------------------------------------------------------- what http.response.start held


@pytest.mark.spec("A-21")
@pytest.mark.parametrize("status", ["200", None, 200.0, b"200", True], ids=repr)
def test_a_status_that_is_no_int_is_refused(status: object) -> None:
    with pytest.raises(AppProtocolError, match="status of type"):
        head_from_asgi(status, [], "GET")


@pytest.mark.spec("SEC-01", "H-14", "H-15")
@pytest.mark.parametrize(
    "field", [(b"x: a\r\nevil", b"1"), (b"x", b"a\r\nevil: 1"), (b"x", b"a\0")], ids=ascii
)
def test_an_asgi_app_cannot_inject_a_header(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(AppProtocolError):
        head_from_asgi(200, [field], "GET")


@pytest.mark.spec("A-29", "H-24")
def test_every_status_has_a_valid_line_with_a_reason() -> None:
    for status in range(200, 600):
        line = status_line(status)

        check_status(line)
        assert line.startswith(f"{status} ")
        assert line[4:].strip()


@pytest.mark.spec("A-29", "H-24", "WA-15")
@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, "200 OK"),
        (404, "404 Not Found"),
        (418, "418 I'm a Teapot"),
        (299, "299 Unknown"),
        (599, "599 Unknown"),
    ],
)
def test_the_reason_is_the_standard_one(status: int, line: str) -> None:
    assert status_line(status) == line


# ---------------------------------------------------------------- the rules of a head


@pytest.mark.spec("H-08")
@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 600, 999, -200, 2000])
def test_a_status_that_is_not_final_is_refused(status: int) -> None:
    with pytest.raises(AppProtocolError, match="no final response status"):
        head_from_asgi(status, [], "GET")


@pytest.mark.spec("H-08")
@pytest.mark.parametrize("status", ["101 Switching Protocols", "100 Continue", "600 x", "000 x"])
def test_a_wsgi_status_that_is_not_final_is_refused(status: str) -> None:
    with pytest.raises(AppProtocolError, match="no final response status"):
        wsgi_head(status)


@pytest.mark.parametrize("status", [200, 299, 404, 599])
def test_a_final_status_is_accepted(status: int) -> None:
    assert head_from_asgi(status, [], "GET").status == status


@pytest.mark.spec("H-09", "SEC-09")
@pytest.mark.parametrize(
    "value", ["+5", "-1", "5_0", " 5 ", "\u0665", "0x5", "5.0", "", "5, 5", "five", "1" * 20], ids=ascii
)
def test_a_length_that_is_not_all_ascii_digits_is_refused(value: str) -> None:
    with pytest.raises(AppProtocolError):
        wsgi_head("200 OK", ("Content-Length", value))
    with pytest.raises(AppProtocolError):
        head_from_asgi(200, [(b"content-length", value.encode())], "GET")


@pytest.mark.spec("H-10")
def test_equal_lengths_collapse_to_one() -> None:
    head = wsgi_head("200 OK", ("Content-Length", "5"), ("X", "1"), ("content-length", "5"))

    assert head.headers == [(b"x", b"1"), (b"content-length", b"5")]
    assert head.length == 5


@pytest.mark.spec("H-10")
@pytest.mark.parametrize("second", ["6", "05", "x", ""])
def test_lengths_that_differ_are_refused(second: str) -> None:
    with pytest.raises(AppProtocolError):
        wsgi_head("200 OK", ("Content-Length", "5"), ("Content-Length", second))


HOP_BY_HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Trailer",
]


@pytest.mark.spec("H-13", "H-23", "W-43", "A-28", "SEC-10")
@pytest.mark.parametrize("name", HOP_BY_HOP)
@pytest.mark.parametrize("length", [None, "2"])
def test_a_hop_by_hop_field_never_leaves(name: str, length: str | None) -> None:
    fields = [("X-A", "1"), (name, "close"), *([("Content-Length", length)] if length else [])]

    from_wsgi = head_from_wsgi("200 OK", fields, "GET")
    from_asgi = head_from_asgi(200, [(key.encode(), value.encode()) for key, value in fields], "GET")

    for head in (from_wsgi, from_asgi):
        assert names(head) == {b"x-a"} | ({b"content-length"} if length else set())
        assert head.dropped == (name.lower().encode(),)


@pytest.mark.spec("H-13", "W-43")
@pytest.mark.parametrize("value", ["x-a, close", "close,X-A", ", \tx-a\t,", "X-a"], ids=ascii)
def test_what_connection_names_is_dropped_as_well(value: str) -> None:
    head = wsgi_head("200 OK", ("X-A", "1"), ("Connection", value), ("X-B", "2"))

    assert head.headers == [(b"x-b", b"2")]
    assert set(head.dropped) == {b"x-a", b"connection"}


@pytest.mark.spec("H-13")
def test_connection_cannot_take_the_length_away() -> None:
    head = wsgi_head("200 OK", ("Connection", "content-length"), ("Content-Length", "5"))

    assert head.headers == [(b"content-length", b"5")]


def test_nothing_else_is_dropped() -> None:
    fields = [("Date", "now"), ("Server", "s"), ("ETag", '"x"'), ("X-Upgrade", "1"), ("Content-Length", "5")]

    head = head_from_wsgi("200 OK", fields, "GET")

    assert head.headers == [(name.lower().encode(), value.encode()) for name, value in fields]
    assert head.dropped == ()


@pytest.mark.spec("H-21")
@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
def test_no_field_is_invented(status: int) -> None:
    assert head_from_asgi(status, [], "GET").headers == []


# ---------------------------------------------------------------- bodies that may not be

LENGTH = (b"content-length", b"5")


@pytest.mark.spec("H-01", "H-02", "H-03", "H-04", "H-05", "H-06", "H-07", "W-58")
@pytest.mark.parametrize(
    ("status", "method", "declared", "length"),
    [
        pytest.param(200, "GET", [LENGTH], b"5", id="GET"),
        pytest.param(200, "GET", [], b"3", id="GET, not declared"),
        pytest.param(200, "HEAD", [LENGTH], b"5", id="HEAD"),
        pytest.param(200, "HEAD", [], None, id="HEAD, not declared"),
        pytest.param(204, "GET", [LENGTH], None, id="204"),
        pytest.param(204, "GET", [(b"content-length", b"0")], None, id="204, declared 0"),
        pytest.param(204, "GET", [], None, id="204, not declared"),
        pytest.param(204, "HEAD", [LENGTH], None, id="HEAD, 204"),
        pytest.param(304, "GET", [LENGTH], b"5", id="304"),
        pytest.param(304, "GET", [], None, id="304, not declared"),
        pytest.param(205, "GET", [LENGTH], b"0", id="205"),
        pytest.param(205, "GET", [], b"0", id="205, not declared"),
        pytest.param(200, "CONNECT", [LENGTH], None, id="CONNECT"),
        pytest.param(200, "CONNECT", [], None, id="CONNECT, not declared"),
        pytest.param(404, "CONNECT", [LENGTH], b"5", id="CONNECT refused"),
        pytest.param(404, "CONNECT", [], b"3", id="CONNECT refused, not declared"),
    ],
)
@pytest.mark.parametrize("hop", [[], [(b"transfer-encoding", b"chunked")]], ids=["", "chunked"])
def test_the_length_is_what_http_allows(
    status: int, method: str, declared: RawHeaders, length: bytes | None, hop: RawHeaders
) -> None:
    head = head_from_asgi(status, [*hop, *declared], method)

    head.declare_whole(3)

    assert head.headers == ([] if length is None else [(b"content-length", length)])


@pytest.mark.spec("H-01", "H-03", "H-06", "A-43")
@pytest.mark.parametrize(
    ("status", "method", "excess"),
    [(200, "HEAD", False), (204, "GET", True), (205, "GET", True), (304, "GET", True)],
)
@pytest.mark.parametrize("declared", [[], [LENGTH]], ids=["", "declared"])
def test_a_response_without_a_body_lets_no_byte_out(
    status: int, method: str, excess: bool, declared: RawHeaders
) -> None:
    cycle = held(head_from_asgi(status, declared, method))

    assert cycle.full
    assert cycle.data(b"zz") == b""
    assert cycle.excess is excess
    cycle.end()
    assert cycle.done


@pytest.mark.spec("H-01", "H-03", "W-57")
@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (304, "GET"), (204, "GET"), (205, "GET")])
def test_a_response_without_a_body_ends_without_its_length(status: int, method: str) -> None:
    cycle = held(head_from_asgi(status, [LENGTH], method))

    cycle.end()

    assert cycle.done
    assert not cycle.excess


# ---------------------------------------------------------------- laws


@pytest.mark.spec("SEC-30", "SEC-01", "H-08", "H-09", "H-13")
@LAW
@given(
    any_text | st.sampled_from(["200 OK", "204 No Content"]),
    st.lists(
        st.tuples(
            st.sampled_from(["Content-Length", "Connection", "X", *HOP_BY_HOP]) | any_text,
            st.sampled_from(["5", "close, x"]) | native_text | any_text,
        ),
        max_size=4,
    ),
)
def test_anything_in_start_response_ends_in_a_clean_head_or_an_error(
    status: str, fields: list[tuple[str, str]]
) -> None:
    with suppress(AppProtocolError):
        head = head_from_wsgi(status, fields, "GET")
        assert 200 <= head.status <= 599
        assert not names(head) & {name.lower().encode() for name in HOP_BY_HOP}
        assert not any(set(value) & set(CONTROL_BYTES) for _, value in head.headers)


@pytest.mark.spec("SEC-30", "SEC-01", "A-21")
@LAW
@given(
    st.integers(0, 1000),
    st.lists(
        st.tuples(st.sampled_from([b"x", b"content-length"]) | st.binary(max_size=4), st.binary(max_size=4)),
        max_size=3,
    ),
)
def test_any_bytes_in_a_response_start_end_in_a_clean_head_or_an_error(
    status: int, fields: RawHeaders
) -> None:
    with suppress(AppProtocolError):
        head = head_from_asgi(status, fields, "GET")
        assert 200 <= head.status <= 599
        assert all(name == name.lower() for name, _ in head.headers)
        assert not any(set(value) & set(CONTROL_BYTES) for _, value in head.headers)


def test_content_length_keeps_its_place_beside_a_repeated_field() -> None:
    """The fields of an app would come in another order, if only by one, than it gave them."""
    fields = [(b"content-length", b"2"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]

    head = Head(200, list(fields), "GET")

    assert (head.headers, head.length) == (fields, 2)
