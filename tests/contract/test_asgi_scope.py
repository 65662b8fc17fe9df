"""What an ASGI app finds in its scope behind a WSGI server."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bridge import ASGIToWSGI, Limits
from tests.contract.asgi_specimens import bridged, hello, recording
from tests.support.wsgi import Answer, call, make_environ

if TYPE_CHECKING:
    from bridge.types import Environ, Receive, Scope, Send


def scope_of(environ: Environ | None = None, **make: Any) -> Scope:
    scopes: list[Scope] = []
    assert call(bridged(recording(scopes)), environ, **make).status == 200
    return scopes[0]


def headers_of(**make: Any) -> list[tuple[bytes, bytes]]:
    headers = scope_of(**make)["headers"]
    return [(name, value) for name, value in headers if name != b"host"]


def least_environ() -> Environ:
    """Build what PEP 3333 demands, and nothing else."""
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


class CallableApp:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *args: Any) -> None:
        self.calls.append(args)
        await hello(*args)


@pytest.mark.spec("A-01")
def test_a_callable_object_is_called_once_per_request_with_three_arguments() -> None:
    app = CallableApp()
    adapter = bridged(app)

    call(adapter)
    call(adapter)

    assert [len(args) for args in app.calls] == [3, 3]


@pytest.mark.spec("A-01")
def test_a_coroutine_function_is_called_once_per_request() -> None:
    scopes: list[Scope] = []
    adapter = bridged(recording(scopes))

    call(adapter, path="/a")
    call(adapter, path="/b")

    assert [scope["path"] for scope in scopes] == ["/a", "/b"]


@pytest.mark.spec("A-02")
def test_the_scope_is_a_plain_dict_with_str_keys() -> None:
    scope = scope_of()

    assert type(scope) is dict
    assert all(type(key) is str for key in scope)


@pytest.mark.spec("A-02", "SEC-31")
def test_what_an_app_does_to_its_scope_reaches_neither_environ_nor_the_next_request() -> None:
    seen: list[Scope] = []

    async def vandal(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append({**scope, "headers": list(scope["headers"]), "extensions": dict(scope["extensions"])})
        scope["headers"].append((b"x-left", b"behind"))
        scope["extensions"]["left"] = {}
        await hello(scope, receive, send)
        scope.clear()

    adapter = bridged(vandal)
    environ = make_environ()
    before = dict(environ)

    call(adapter, environ)
    call(adapter, environ)

    assert environ == before
    assert seen[0] == seen[1]


@pytest.mark.spec("A-03")
def test_the_scope_names_its_type_and_the_version_of_asgi() -> None:
    scope = scope_of()

    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"


@pytest.mark.spec("A-04")
def test_the_claimed_spec_version_is_the_one_with_a_send_that_raises() -> None:
    assert scope_of()["asgi"]["spec_version"] == "2.4"  # A-31 is tested with the disconnects


@pytest.mark.spec("A-05", "D-04")
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
def test_http_version_is_spelled_as_asgi_does(protocol: str, version: str) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol)["http_version"] == version


@pytest.mark.spec("A-06")
def test_the_method_is_in_upper_case() -> None:
    assert scope_of(method="get")["method"] == "GET"


@pytest.mark.spec("A-06")
def test_a_method_of_its_own_is_kept() -> None:
    assert scope_of(method="PROPFIND")["method"] == "PROPFIND"


@pytest.mark.spec("A-06")
def test_the_scheme_comes_from_the_server() -> None:
    assert scope_of(wsgi__url_scheme="https")["scheme"] == "https"


@pytest.mark.spec("A-06")
def test_a_missing_scheme_is_http() -> None:
    environ = make_environ()
    del environ["wsgi.url_scheme"]

    assert scope_of(environ)["scheme"] == "http"


@pytest.mark.spec("A-07")
def test_the_query_string_is_bytes_and_still_encoded() -> None:
    assert scope_of(QUERY_STRING="a=%20&b=\xe9")["query_string"] == b"a=%20&b=\xe9"


@pytest.mark.spec("A-07")
def test_a_missing_query_string_is_empty() -> None:
    environ = make_environ()
    del environ["QUERY_STRING"]

    assert scope_of(environ)["query_string"] == b""


@pytest.mark.spec("A-08", "U-09")
def test_root_path_is_the_beginning_of_path() -> None:
    scope = scope_of(path="/\xc3\xa9", SCRIPT_NAME="/m\xc3\xbc")

    assert (scope["root_path"], scope["path"]) == ("/mü", "/mü/é")
    assert scope["raw_path"] == b"/m%C3%BC/%C3%A9"


@pytest.mark.spec("A-08", "U-16", "U-17")
def test_raw_path_has_the_spelling_of_the_client_but_no_query() -> None:
    scope = scope_of(path="/a/b", RAW_URI="/a%2Fb?x=1", QUERY_STRING="x=1")

    assert scope["raw_path"] == b"/a%2Fb"


@pytest.mark.spec("D-09", "U-10")
def test_a_path_that_is_not_utf8_is_replaced_in_path_and_exact_in_raw_path() -> None:
    scope = scope_of(path="/\xff")

    assert (scope["path"], scope["raw_path"]) == ("/�", b"/%FF")


@pytest.mark.spec("A-09")
def test_header_names_are_lower_case_with_dashes() -> None:
    assert headers_of(HTTP_X_REQUEST_ID="7", CONTENT_TYPE="a/b") == [
        (b"x-request-id", b"7"),
        (b"content-type", b"a/b"),
    ]


@pytest.mark.spec("A-09")
def test_empty_content_headers_are_no_headers() -> None:
    assert headers_of(CONTENT_TYPE="", CONTENT_LENGTH="") == []


@pytest.mark.spec("A-09")
def test_content_headers_in_the_place_of_others_are_ignored() -> None:
    assert headers_of(HTTP_CONTENT_TYPE="evil/evil", HTTP_CONTENT_LENGTH="7") == []


@pytest.mark.spec("A-09")
def test_an_empty_header_is_kept() -> None:
    assert headers_of(HTTP_X_EMPTY="") == [(b"x-empty", b"")]


@pytest.mark.spec("H-30")
def test_same_named_request_fields_keep_the_order_the_server_joined_them_in() -> None:
    assert headers_of(HTTP_VIA="1.1 a, 1.1 b") == [(b"via", b"1.1 a, 1.1 b")]


@pytest.mark.spec("A-10")
def test_addresses_are_pairs_of_host_and_number() -> None:
    scope = scope_of(SERVER_NAME="ex.org", SERVER_PORT="81", REMOTE_ADDR="::1", REMOTE_PORT="5")

    assert tuple(scope["server"]) == ("ex.org", 81)
    assert tuple(scope["client"]) == ("::1", 5)


@pytest.mark.spec("A-10")
@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
@pytest.mark.parametrize("given", ["", "x", "-1"])
def test_a_server_port_that_is_none_becomes_the_usual_one(given: str, scheme: str, port: int) -> None:
    assert scope_of(SERVER_PORT=given, wsgi__url_scheme=scheme)["server"][1] == port


@pytest.mark.spec("A-10")
def test_a_client_without_a_port_is_known_with_port_0() -> None:
    environ = make_environ(REMOTE_ADDR="10.0.0.1")
    del environ["REMOTE_PORT"]

    assert tuple(scope_of(environ)["client"]) == ("10.0.0.1", 0)


@pytest.mark.spec("A-10")
def test_an_unknown_client_is_none() -> None:
    assert scope_of(REMOTE_ADDR="")["client"] is None


@pytest.mark.spec("A-11")
@pytest.mark.parametrize("port", [77, "77"], ids=["int", "str"])
def test_the_port_of_the_client_may_be_an_int_or_a_str(port: object) -> None:
    assert tuple(scope_of(REMOTE_PORT=port)["client"]) == ("127.0.0.1", 77)


@pytest.mark.spec("A-12")
def test_what_pep_3333_demands_is_enough() -> None:
    scope = scope_of(least_environ())

    assert (scope["path"], scope["query_string"], scope["client"]) == ("/", b"", None)


@pytest.mark.spec("E-01", "E-18")
def test_no_extension_is_offered_on_a_bare_server() -> None:
    assert scope_of()["extensions"] == {}


@pytest.mark.spec("E-21")
@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket", "eventlet.input"])
def test_a_socket_of_the_server_does_not_reach_the_scope(key: str) -> None:
    with socket.socket() as sock:
        scope = scope_of({**make_environ(), key: sock})

        assert not any(value is sock for value in _reachable(scope))


def _reachable(value: object) -> list[object]:
    found = [value]
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    )
    for child in children:
        found += _reachable(child)
    return found


@pytest.mark.spec("SEC-10")
def test_a_length_beside_a_transfer_coding_does_not_reach_the_app() -> None:
    names = [name for name, _ in headers_of(CONTENT_LENGTH="3", HTTP_TRANSFER_ENCODING="chunked")]

    assert b"content-length" not in names


def refused(limits: Limits | None = None, **make: Any) -> Answer:
    scopes: list[Scope] = []
    answer = call(ASGIToWSGI(recording(scopes), limits=limits, lifespan="off"), **make)
    assert scopes == []
    return answer


@pytest.mark.spec("H-09", "H-10")
@pytest.mark.parametrize("length", ["+5", "-1", "5_0", "0x5", "5.0", "\u0665", "2, 2", "2,3"])
def test_a_content_length_that_is_no_number_is_answered_400(length: str) -> None:
    assert refused(CONTENT_LENGTH=length).status == 400


@pytest.mark.spec("SEC-01")
@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\x00b", "a\x7fb"])
def test_a_control_character_in_a_request_header_is_answered_400(value: str) -> None:
    assert refused(HTTP_X="x" + value).status == 400


@pytest.mark.spec("SEC-26")
def test_a_refusal_says_nothing_of_the_request() -> None:
    answer = refused(path="/<secret>", HTTP_X="<secret>\r\n", QUERY_STRING="<secret>")

    assert answer.body == b"Bad Request"
    assert answer.headers == {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "11"}


@pytest.mark.spec("H-25")
@pytest.mark.parametrize(
    ("limits", "status"),
    [(Limits(max_path_bytes=3), 414), (Limits(max_headers=0), 431), (Limits(max_header_bytes=3), 431)],
    ids=["path", "headers", "header bytes"],
)
def test_a_head_beyond_a_limit_is_refused_before_the_app_runs(limits: Limits, status: int) -> None:
    assert refused(limits, path="/long").status == status


@pytest.mark.spec("SEC-30")
@pytest.mark.parametrize(
    "key",
    ["PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_PORT", "REMOTE_PORT", "HTTP_X"],
)
@pytest.mark.parametrize("value", ["/\xff\x80", "/\udcff", "/日本"], ids=["bytes", "surrogate", "wide"])
def test_no_character_from_outside_ends_in_an_error(key: str, value: str) -> None:
    assert call(bridged(hello), {**make_environ(), key: value}).status in (200, 400)
