"""The environ that a WSGI app gets through the adapter (PEP 3333 "environ Variables")."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from wsgiref.util import request_uri

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge import WSGIToASGI
from bridge.types import ASGIApp, Environ, StartResponse
from tests.contract.wsgi_specimens import answering, hello
from tests.support.asgi import Exchange, get, http_scope, post

ROOT = Path(__file__).parents[2]


class Recording:
    """A WSGI app that keeps the environ of each request."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.environs.append(environ)
        return hello(environ, start_response)


async def environ_of(path: str = "/", **keys: Any) -> Environ:
    """Give the environ that the app sees for one request, which must be served.

    Args:
        path: of the request.
        keys: of the scope; `headers` are all there are.
    """
    app = Recording()
    exchange = await Exchange().run(WSGIToASGI(app), {**http_scope(path), **keys})
    assert exchange.status == 200
    return app.environs[0]


async def status_of(*headers: tuple[bytes, bytes]) -> int:
    """Give the status that a request with these header fields, and no others, is answered."""
    exchange = await Exchange().run(WSGIToASGI(hello), {**http_scope(), "headers": headers})
    return exchange.status


def fields(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs]


# ---------------------------------------------------------------- the call


class _CallKinds:
    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(self, *args: Any, **kwargs: Any) -> Iterable[bytes]:
        self.calls.append((args, kwargs))
        args[1]("200 OK", [])
        return [b"x"]

    def of_class(self) -> Callable[..., Any]:
        note = self.note

        class App:
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self.blocks = note(*args, **kwargs)

            def __iter__(self) -> Any:
                return iter(self.blocks)

        return App

    def of_partial(self) -> Callable[..., Any]:
        return functools.partial(self.note)

    def of_function(self) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.note(*args, **kwargs)

    def of_method(self) -> Callable[..., Any]:
        return self.note


@pytest.mark.spec("W-01")
@pytest.mark.parametrize("kind", ["of_function", "of_class", "of_method", "of_partial"])
async def test_every_kind_of_callable_gets_two_positional_arguments(kind: str) -> None:
    kinds = _CallKinds()

    exchange = await get(WSGIToASGI(getattr(kinds, kind)()))

    ((args, kwargs),) = kinds.calls
    assert len(args) == 2 and kwargs == {}
    assert exchange.body == b"x"


@pytest.mark.spec("W-01")
async def test_the_names_of_the_parameters_do_not_matter() -> None:
    def app(a: Environ, b: StartResponse, /) -> Iterable[bytes]:
        return hello(a, b)

    assert (await get(WSGIToASGI(app))).body == b"hello"


@pytest.mark.spec("W-02", "AA-04")
async def test_an_app_may_empty_its_environ() -> None:
    app = Recording()
    seen: list[Environ] = []

    def emptying(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(dict(environ))
        assert type(environ) is dict
        environ.clear()
        return app(environ, start_response)

    adapter = WSGIToASGI(emptying)
    scope = http_scope()
    before = {**scope, "headers": list(scope["headers"])}

    await Exchange().run(adapter, scope)
    await Exchange().run(adapter, http_scope())

    assert scope == before
    assert seen[0].keys() == seen[1].keys()
    assert app.environs[0] is not app.environs[1]


@pytest.mark.spec("AA-04", "E-23", "W-15")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda view: view.__setitem__("path", "/other"), id="set"),
        pytest.param(lambda view: view.pop("method"), id="pop"),
        pytest.param(lambda view: view["headers"].append((b"x", b"y")), id="headers"),
    ],
)
async def test_the_scope_in_the_environ_is_only_for_reading(change: Callable[[Any], object]) -> None:
    def mutating(environ: Environ) -> None:
        with pytest.raises((TypeError, AttributeError)):
            change(environ["bridge.scope"])

    scope = http_scope("/here")

    await Exchange().run(WSGIToASGI(answering([b"x"], first=mutating)), scope)

    assert scope == http_scope("/here")


# ---------------------------------------------------------------- request line and scheme


@pytest.mark.spec("W-03")
@pytest.mark.parametrize("method", ["GET", "PROPFIND", "QUERY", "get"])
async def test_the_method_arrives_as_it_is(method: str) -> None:
    assert (await environ_of(method=method))["REQUEST_METHOD"] == method


@pytest.mark.spec("W-05", "D-04")
@pytest.mark.parametrize(
    ("version", "protocol"),
    [("1.0", "HTTP/1.0"), ("1.1", "HTTP/1.1"), ("2", "HTTP/2.0"), ("2.0", "HTTP/2.0"), ("3", "HTTP/3.0")],
)
async def test_the_protocol_has_two_numbers(version: str, protocol: str) -> None:
    assert (await environ_of(http_version=version))["SERVER_PROTOCOL"] == protocol


@pytest.mark.spec("W-11")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_scheme_is_that_of_the_scope(scheme: str) -> None:
    assert (await environ_of(scheme=scheme))["wsgi.url_scheme"] == scheme


@pytest.mark.spec("W-11")
async def test_a_missing_scheme_is_http() -> None:
    app = Recording()
    scope = http_scope()
    del scope["scheme"]

    await Exchange().run(WSGIToASGI(app), scope)

    assert app.environs[0]["wsgi.url_scheme"] == "http"


# ---------------------------------------------------------------- addresses


@pytest.mark.spec("W-04", "AA-10", "AA-21")
@pytest.mark.parametrize(
    ("scope", "name", "port"),
    [
        pytest.param({"server": ("10.0.0.1", 8000)}, "10.0.0.1", "8000", id="tuple"),
        pytest.param({"server": ["10.0.0.1", 8000]}, "10.0.0.1", "8000", id="list"),
        pytest.param({"server": ("10.0.0.1", "8000")}, "10.0.0.1", "8000", id="str-port"),
        pytest.param({"server": ("::1", 8000)}, "::1", "8000", id="ipv6"),
        pytest.param({"server": None, "scheme": "https", "headers": []}, "localhost", "443", id="none-https"),
        pytest.param({"server": None, "headers": []}, "localhost", "80", id="none-http"),
        pytest.param({"server": None}, "testserver", "80", id="none-with-host"),
        pytest.param(
            {"server": ["/run/a.sock", None], "headers": fields(("host", "ex.org:8443"))},
            "ex.org",
            "8443",
            id="unix-socket",
        ),
        pytest.param(
            {"server": ["/run/a.sock", None], "headers": fields(("host", "[::1]:81"))},
            "::1",
            "81",
            id="unix-ipv6",
        ),
    ],
)
async def test_the_server_always_has_a_name_and_a_port(scope: dict[str, Any], name: str, port: str) -> None:
    environ = await environ_of(**scope)

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


@pytest.mark.spec("W-14", "AA-21")
@pytest.mark.parametrize(
    "client", [("1.2.3.4", 5), ["1.2.3.4", 5], ("1.2.3.4", "5")], ids=["tuple", "list", "str-port"]
)
async def test_the_client_is_shown_as_str(client: Any) -> None:
    environ = await environ_of(client=client, scheme="https")

    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("1.2.3.4", "5")
    assert environ["HTTPS"] == "on"
    assert environ["SERVER_SOFTWARE"]


@pytest.mark.spec("W-07")
async def test_an_unknown_client_leaves_no_variable() -> None:
    environ = await environ_of(client=None)

    assert not [key for key in environ if key.startswith("REMOTE_")]
    assert "AUTH_TYPE" not in environ
    assert None not in environ.values()


@pytest.mark.spec("W-07", "W-06")
async def test_a_client_without_a_port_has_an_address_only() -> None:
    environ = await environ_of(client=("1.2.3.4", None))

    assert environ["REMOTE_ADDR"] == "1.2.3.4"
    assert "REMOTE_PORT" not in environ


# ---------------------------------------------------------------- values


@pytest.mark.spec("W-06")
@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({}, id="plain"),
        pytest.param({"server": None, "client": None}, id="no-addresses"),
        pytest.param({"client": ("1.2.3.4", "5"), "server": ("a", "6")}, id="str-ports"),
        pytest.param({"path": "/é/日本", "raw_path": None, "root_path": "/é"}, id="unicode"),
        pytest.param({"query_string": b"\xff", "headers": fields(("x-a", "\xff"))}, id="bytes"),
    ],
)
async def test_every_variable_without_a_dot_is_a_native_str(scope: dict[str, Any]) -> None:
    environ = await environ_of(**scope)

    values = [value for key, value in environ.items() if "." not in key]
    assert {type(value) for value in values} == {str}
    assert max(max(map(ord, value), default=0) for value in values) <= 0xFF


@pytest.mark.spec("W-08")
async def test_content_headers_have_their_own_names() -> None:
    app = Recording()

    await post(WSGIToASGI(app), b"ab", headers=fields(("Content-Length", "2"), ("CONTENT-TYPE", "text/x")))

    environ = app.environs[0]
    assert (environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"]) == ("2", "text/x")
    assert not [key for key in environ if key.startswith("HTTP_CONTENT_")]


@pytest.mark.spec("W-08")
async def test_absent_content_headers_leave_no_variable() -> None:
    environ = await environ_of()

    assert "CONTENT_LENGTH" not in environ and "CONTENT_TYPE" not in environ


@pytest.mark.spec("W-09")
async def test_http_variables_are_exactly_the_headers_received() -> None:
    environ = await environ_of(headers=fields(("host", "h"), ("x-a", "1"), ("accept", "*/*")))

    assert {key for key in environ if key.startswith("HTTP_")} == {"HTTP_HOST", "HTTP_X_A", "HTTP_ACCEPT"}


@pytest.mark.spec("W-10")
async def test_the_wsgi_version_is_a_tuple() -> None:
    version = (await environ_of())["wsgi.version"]

    assert type(version) is tuple and version == (1, 0)


@pytest.mark.spec("W-12")
@pytest.mark.parametrize(("threads", "multithread"), [(1, False), (2, True), (10, True)])
async def test_multithread_says_whether_calls_can_overlap(threads: int, multithread: bool) -> None:
    app = Recording()

    await get(WSGIToASGI(app, threads=threads))

    assert app.environs[0]["wsgi.multithread"] is multithread
    assert app.environs[0]["wsgi.run_once"] is False


CHILD = """
import asyncio, multiprocessing
from bridge import WSGIToASGI
from tests.contract.wsgi_specimens import answering
from tests.support.asgi import get

def look(seen):
    async def main():
        await get(WSGIToASGI(answering([b"x"], first=lambda e: seen.put(e["wsgi.multiprocess"]))))
    asyncio.run(main())

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    seen = context.SimpleQueue()
    look(seen)
    child = context.Process(target=look, args=(seen,))
    child.start()
    child.join(30)
    print(seen.get(), seen.get())
"""


@pytest.mark.spec("W-12")
def test_a_child_of_multiprocessing_is_one_of_many() -> None:
    """So the workers of uvicorn, hypercorn and granian are known, without a word of the user."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")


@pytest.mark.spec("W-12")
@pytest.mark.parametrize("multiprocess", [True, False])
async def test_multiprocess_is_what_the_user_says(multiprocess: bool) -> None:
    app = Recording()

    await get(WSGIToASGI(app, multiprocess=multiprocess))

    assert app.environs[0]["wsgi.multiprocess"] is multiprocess


@pytest.mark.spec("W-12")
async def test_a_process_of_its_own_is_no_multiprocess() -> None:
    assert (await environ_of())["wsgi.multiprocess"] is False


@pytest.mark.spec("W-12", "W-13")
async def test_one_thread_means_that_calls_never_overlap() -> None:
    inside = most = 0

    def counting(environ: Environ) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.002)  # the others get the chance to come in
        inside -= 1

    adapter = WSGIToASGI(answering([b"x"], first=counting), threads=1)

    await asyncio.gather(*(get(adapter) for _ in range(20)))

    assert most == 1


@pytest.mark.spec("W-12")
async def test_ten_threads_are_in_the_app_at_once() -> None:
    barrier = threading.Barrier(10, timeout=10)
    adapter = WSGIToASGI(answering([b"x"], first=lambda _: barrier.wait()), threads=10)

    exchanges = await asyncio.gather(*(get(adapter) for _ in range(10)))

    assert {exchange.status for exchange in exchanges} == {200}


_CGI = re.compile(
    r"(HTTP|SERVER|REMOTE|CONTENT|SSL)_[A-Z0-9_]+|HTTPS|RAW_URI|(PATH|SCRIPT|REQUEST|QUERY)_[A-Z]+\Z"
)


@pytest.mark.spec("W-15", "E-20")
async def test_further_keys_carry_the_name_of_the_library() -> None:
    environ = await environ_of("/a", scheme="https", headers=fields(("host", "h"), ("x-a", "1")))

    further = [key for key in environ if not key.startswith("wsgi.") and not _CGI.match(key)]
    assert further
    assert [key for key in further if not re.fullmatch(r"bridge\.[a-z0-9_.]+", key)] == []


@pytest.mark.spec("W-16")
async def test_the_os_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SCRIPT_NAME", "/x")
    monkeypatch.setitem(os.environ, "HTTP_X_SECRET", "y")

    environ = await environ_of("/a/b", root_path="/a")

    assert environ["SCRIPT_NAME"] == "/a"
    assert "HTTP_X_SECRET" not in environ


@pytest.mark.spec("E-07")
async def test_the_input_says_that_it_ends() -> None:
    assert (await environ_of())["wsgi.input_terminated"] is True


@pytest.mark.spec("E-20")
async def test_no_raw_socket_is_in_the_environ() -> None:
    environ = await environ_of(extensions={"x.socket": {"socket": object()}})

    assert not [key for key in environ if "socket" in key]


# ---------------------------------------------------------------- header fields


@pytest.mark.spec("H-10")
@pytest.mark.parametrize(
    ("values", "status"),
    [(("2", "2"), 200), (("2", "3"), 400), (("2,2",), 400)],
    ids=["same", "other", "list"],
)
async def test_repeated_content_lengths_collapse_or_are_refused(values: tuple[str, ...], status: int) -> None:
    app = Recording()

    exchange = await post(
        WSGIToASGI(app), b"ab", headers=[(b"content-length", value.encode()) for value in values]
    )

    assert exchange.status == status
    assert [environ["CONTENT_LENGTH"] for environ in app.environs] == (["2"] if status == 200 else [])


@pytest.mark.spec("H-15", "SEC-01")
@pytest.mark.parametrize("control", [b"\r", b"\n", b"\0", b"\x1b", b"\x7f"])
async def test_a_control_in_a_request_value_is_refused(control: bytes) -> None:
    assert await status_of((b"x-a", b"a" + control + b"b")) == 400


@pytest.mark.spec("H-16")
@pytest.mark.parametrize(
    ("sent", "seen"), [(" v\t", "v"), ("v\xa0", "v\xa0"), ("\x85v", "\x85v"), ("a\tb", "a\tb")], ids=ascii
)
async def test_only_blanks_and_tabs_are_stripped(sent: str, seen: str) -> None:
    assert (await environ_of(headers=fields(("x-a", sent))))["HTTP_X_A"] == seen


@pytest.mark.spec("H-18")
async def test_repeated_cookies_are_joined_by_semicolon() -> None:
    environ = await environ_of(headers=fields(("cookie", "a=1"), ("cookie", "b=2")))

    assert environ["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.spec("H-19", "AA-10")
@pytest.mark.parametrize("kind", [list, tuple, iter])
async def test_repeated_fields_are_joined_in_order(kind: Callable[[Any], Any]) -> None:
    headers = fields(("x-a", "1"), ("x-b", "9"), ("x-a", "2"))

    environ = await environ_of(headers=kind(headers))

    assert (environ["HTTP_X_A"], environ["HTTP_X_B"]) == ("1, 2", "9")


@pytest.mark.spec("H-20")
@pytest.mark.parametrize("name", ["host", "content-type", "authorization"])
async def test_a_repeated_singleton_is_refused(name: str) -> None:
    assert await status_of(*fields((name, "a"), (name, "b"))) == 400


@pytest.mark.spec("H-22")
async def test_a_trailer_is_no_header() -> None:
    app = Recording()
    event = {"type": "http.request", "body": b"x", "trailers": [(b"x-admin", b"1")]}
    scope = http_scope(
        method="POST", headers=fields(("transfer-encoding", "chunked"), ("trailer", "x-admin"))
    )

    await Exchange(event).run(WSGIToASGI(app), scope)

    assert "HTTP_X_ADMIN" not in app.environs[0]


@pytest.mark.spec("D-06")
async def test_a_name_with_an_underscore_is_dropped() -> None:
    environ = await environ_of(headers=fields(("x_user", "evil"), ("x-user", "good"), ("x_other", "1")))

    assert environ["HTTP_X_USER"] == "good"
    assert "HTTP_X_OTHER" not in environ


@pytest.mark.spec("D-06")
async def test_a_name_with_an_underscore_can_be_refused() -> None:
    app = Recording()

    exchange = await get(WSGIToASGI(app, refuse_underscores=True), headers=fields(("x_user", "evil")))

    assert (exchange.status, app.environs) == (400, [])


# ---------------------------------------------------------------- paths


@pytest.mark.spec("D-01")
@pytest.mark.parametrize(
    ("path", "root", "split"),
    [
        pytest.param("/api/x", "/api", ("/api", "/x"), id="inside"),
        pytest.param("/api", "/api", ("/api", ""), id="the-mount-itself"),
        pytest.param("/apix/y", "/api", ("", "/apix/y"), id="another-segment"),
        pytest.param("/x", "/api", ("", "/x"), id="outside"),
        pytest.param("/api/x", "/api/", ("/api", "/x"), id="trailing-slash"),
        pytest.param("/x", "", ("", "/x"), id="no-root"),
    ],
)
async def test_the_root_path_is_split_off_on_a_segment_border(
    path: str, root: str, split: tuple[str, str]
) -> None:
    environ = await environ_of(path, root_path=root)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == split


@pytest.mark.spec("D-09")
async def test_a_path_that_is_not_utf_8_keeps_its_bytes() -> None:
    environ = await environ_of("/\ufffd", raw_path=b"/%FF")

    assert environ["PATH_INFO"] == "/\xff"


def _mounted_twice(app: ASGIApp) -> Starlette:
    return Starlette(routes=[Mount("/outer", routes=[Mount("/inner", app=app)])])


@pytest.mark.spec("U-14")
@pytest.mark.parametrize(
    ("path", "info"),
    [("/outer/inner/a/b", "/a/b"), ("/outer/inner/", "/"), ("/outer/inner/é/日本", "/é/日本")],
    ids=["ascii", "root", "unicode"],
)
async def test_nested_mounts_keep_the_whole_url(path: str, info: str) -> None:
    app = Recording()
    raw = quote(path)

    await get(_mounted_twice(WSGIToASGI(app)), path, raw_path=raw.encode(), query_string=b"q=1")

    (environ,) = app.environs
    assert environ["SCRIPT_NAME"] == "/outer/inner"
    assert environ["PATH_INFO"] == info.encode().decode("latin-1")
    assert request_uri(environ) == f"http://testserver{raw}?q=1"
