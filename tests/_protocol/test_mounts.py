from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.mounts import (
    MountTable,
    check_prefix,
    child_environ,
    child_scope,
    native_borders,
    slash_location,
    text_borders,
)
from bridge.errors import ConfigurationError


def table(*prefixes: str) -> MountTable[str]:
    made: MountTable[str] = MountTable()
    for prefix in prefixes:
        made.add(prefix, prefix or "root")
    return made


def found(made: MountTable[str], path: str) -> str | None:
    answer = made.find(path)
    return None if answer is None else answer[1]


# ------------------------------------------------------------ lookup


@pytest.mark.spec("SEC-14", "U-11")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/x/y", "/api"),
        ("/api/v2", "/api/v2"),
        ("/api/v2/x", "/api/v2"),
        ("/api/v20", "/api"),
        ("/apix", "root"),
        ("/API", "root"),
        ("/ap", "root"),
        ("//api/x", "root"),
        ("/deep/er", "root"),
        ("/deep/er/still/x", "/deep/er/still"),
        ("/api/../deep/er/still", "/api"),
        ("/", "root"),
        ("", "root"),
        ("*", "root"),
        ("api", "root"),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins(path: str, expected: str) -> None:
    assert found(table("", "/api", "/api/v2", "/deep/er/still"), path) == expected


def test_without_a_root_there_may_be_nothing() -> None:
    assert found(table("/api"), "/other") is None


segments = st.text("abc%.é \0", min_size=1, max_size=2)
prefixes = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(prefixes, max_size=12), prefixes)
def test_it_finds_what_a_scan_finds(mounted: set[str], path: str) -> None:
    inside = [p for p in mounted if path == p or path.startswith(p + "/")]

    assert found(table(*mounted), path) == max(inside, key=len, default=None)


def test_a_prefix_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'/api': something is mounted there already"):
        table("/api", "/api")


def steps(made: MountTable[str], path: str) -> int:
    """Count the lines of the rules that a lookup runs, and none of what the collector ends meanwhile."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        if "_protocol" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        made.find(path)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("path", ["/app7/x", "/nowhere", "/a/b7/c"])
def test_a_lookup_among_a_thousand_takes_the_steps_of_one_among_ten(path: str) -> None:
    few = table("", *(f"/app{n}" for n in range(10)), *(f"/a/b{n}/c" for n in range(10)))
    many = table("", *(f"/app{n}" for n in range(1000)), *(f"/a/b{n}/c" for n in range(1000)))

    assert 0 < steps(many, path) == steps(few, path)


# ------------------------------------------------------------ prefixes


@pytest.mark.parametrize(
    ("path", "prefix"), [("/", ""), ("/api", "/api"), ("/api/", "/api"), ("/a b/é", "/a b/é")]
)
def test_a_mount_path_has_one_form(path: str, prefix: str) -> None:
    assert check_prefix(path) == prefix


@pytest.mark.parametrize(
    "path",
    [
        *["", "api", None, b"/api", "/a//b", "//", "/a/../b", "/./a", "/a%2Fb", "/a?b", "/a#b"],
        *["/{id}", "/<id>", "/a\0", "/a\n", "/a\\b"],
    ],
)
def test_what_is_no_literal_path_is_refused(path: object) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"path={path!r}")):
        check_prefix(path)


# ------------------------------------------------------------ encoded slashes


@pytest.mark.spec("SEC-14", "SEC-15")
@pytest.mark.parametrize(
    ("path", "raw", "borders"),
    [
        ("/api/x", b"/api/x", "/api/x"),
        ("/api/x", b"/api%2Fx", "/api\0x"),
        ("/api/x/y", b"/api%2fx/y", "/api\0x/y"),
        ("/api/../x", b"/api/%2e%2e/x", "/api/../x"),
        ("/é/a b", b"/%C3%A9/a%20b", "/é/a b"),
        ("/api%2Fx", b"/api%252Fx", "/api%2Fx"),
        ("/rewritten/x", b"/api%2Fx", "/rewritten/x"),
        ("/api/x", None, "/api/x"),
        ("/api/x", b"", "/api/x"),
    ],
)
def test_an_encoded_slash_is_no_border_of_an_asgi_path(path: str, raw: bytes | None, borders: str) -> None:
    assert text_borders(path, raw) == borders


@pytest.mark.spec("SEC-14")
@pytest.mark.parametrize(
    ("script", "info", "uri", "borders"),
    [
        ("", "/api/x", "/api%2Fx?q=%2F", "/api\0x"),
        ("", "/api/x", "http://h/api%2Fx", "/api\0x"),
        ("/up", "/api/x", "/up/api%2Fx", "/api\0x"),
        ("/up", "/api/x", "/up%2Fapi/x", "\0api/x"),
        ("", "/api/x", "/api/x?q=%2F", "/api/x"),
        ("", "/\xc3\xa9/x", "/%C3%A9%2Fx", "/\xc3\xa9\0x"),
        ("", "/rewritten/x", "/api%2Fx", "/rewritten/x"),
        ("", "/api/x", None, "/api/x"),
    ],
)
def test_an_encoded_slash_is_no_border_of_a_wsgi_path(
    script: str, info: str, uri: str | None, borders: str
) -> None:
    assert native_borders(script, info, uri) == borders


# ------------------------------------------------------------ what a mounted app sees


def test_a_scope_keeps_its_path_and_its_root_grows() -> None:
    scope = {"path": "/up/api/x", "raw_path": b"/up/api/x", "root_path": "/up", "state": {"a": 1}}

    child = child_scope(scope, "/api", {"b": 2})

    assert child == {**scope, "root_path": "/up/api", "state": {"a": 1, "b": 2}}
    assert scope["root_path"] == "/up" and scope["state"] == {"a": 1}


def test_a_path_outside_its_root_is_brought_inside() -> None:
    scope = {"path": "/api/x", "raw_path": b"/api/x", "root_path": "/é/"}

    child = child_scope(scope, "/api", None)

    assert child == {"path": "/é/api/x", "raw_path": b"/%C3%A9/api/x", "root_path": "/é/api"}


def test_what_an_outer_starlette_app_left_of_itself_is_taken_out() -> None:
    outer = {"router": 1, "app_root_path": "", "endpoint": 1, "route": 1, "app": 1, "path_params": {"a": 1}}

    assert set(child_scope({"path": "/x", **outer}, "", None)) == {"path", "app", "path_params"}


@pytest.mark.spec("U-14")
@pytest.mark.parametrize("script", ["", "/up", "/up/"])
def test_an_environ_moves_the_prefix_to_script_name(script: str) -> None:
    environ = {"SCRIPT_NAME": script, "PATH_INFO": "/api/x"}

    child = child_environ(environ, "/api")

    assert child == {"SCRIPT_NAME": script.rstrip("/") + "/api", "PATH_INFO": "/x"}
    assert environ == {"SCRIPT_NAME": script, "PATH_INFO": "/api/x"}


# ------------------------------------------------------------ the slash redirect


@pytest.mark.spec("SEC-16")
@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/api", "", "/api/"),
        ("/api", "a=1&b=%C3%A9", "/api/?a=1&b=%C3%A9"),
        ("/é x", "", "/%C3%A9%20x/"),
        ("//evil.example/api", "", "/evil.example/api/"),
        ("/a\r\nX: y", "q=\r\n", "/a%0D%0AX:%20y/?q=%0D%0A"),
        ("/\udc80", "\xe9", "/%3F/?%E9"),
    ],
)
def test_the_slash_is_added_on_the_same_host(path: str, query: str, location: str) -> None:
    assert slash_location(path, query) == location
