from __future__ import annotations

import pytest

from bridge._protocol.hosts import HostTable, check_host, host_name
from bridge.errors import ConfigurationError


def table(*patterns: str) -> HostTable[str]:
    made: HostTable[str] = HostTable()
    for pattern in patterns:
        made.add(check_host(pattern), pattern)
    return made


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("example.org", "example.org"),
        ("Example.ORG:8000", "example.org"),
        ("example.org.", "example.org"),
        ("example.org.:80", "example.org"),
        ("[::1]:8000", "[::1]"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("", ""),
        ("[bad", ""),
    ],
)
def test_a_host_header_names_a_host(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("Admin.Example.org", "admin.example.org"),
        ("*.Example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]", "[::1]"),
        ("localhost", "localhost"),
    ],
)
def test_a_pattern_has_one_form(pattern: str, form: str) -> None:
    assert check_host(pattern) == form


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.", "a.*", "a*.b", "example.org:80", "http://example.org", "a/b", "a..b", None, ".a", "ü..b"],
)
def test_what_is_no_host_is_refused(pattern: object) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        check_host(pattern)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("admin.example.com", "admin.example.com"),
        ("a.example.org", "*.example.org"),
        ("a.b.example.org", "*.example.org"),
        ("example.org", None),
        ("badexample.org", None),
        ("", None),
    ],
)
def test_a_host_finds_its_pattern(host: str, expected: str | None) -> None:
    assert table("admin.example.com", "*.example.org").find(host) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.example.org", "a.example.org"),
        ("A.example.org", "a.example.org"),
        ("*.example.org", "*.example.org"),
        ("*.example.org", "a.example.org"),
        ("a.example.org", "*.example.org"),
        ("*.example.org", "*.a.example.org"),
        ("*.a.example.org", "*.example.org"),
    ],
)
def test_patterns_that_overlap_are_refused(first: str, second: str) -> None:
    with pytest.raises(ConfigurationError, match=r"something is mounted there already|exclude=\["):
        table(first, second)


@pytest.mark.parametrize("wider_first", [True, False])
def test_a_wider_pattern_may_leave_hosts_to_others(wider_first: bool) -> None:
    made: HostTable[str] = HostTable()
    adds = [
        ("*.example.org", ["admin.example.org", "*.eu.example.org"]),
        ("admin.example.org", []),
        ("*.eu.example.org", []),
    ]
    for pattern, exclude in adds if wider_first else reversed(adds):
        made.add(pattern, pattern, exclude)

    hosts = ["admin.example.org", "a.eu.example.org", "b.example.org", "eu.example.org"]

    assert [made.find(host) for host in hosts] == [
        "admin.example.org",
        "*.eu.example.org",
        "*.example.org",
        "*.example.org",
    ]


def test_an_excluded_host_that_nobody_has_is_not_found() -> None:
    made: HostTable[str] = HostTable()
    made.add("*.example.org", "all", ["www.example.org"])

    assert made.find("www.example.org") is None


def test_what_a_pattern_does_not_hold_it_cannot_exclude() -> None:
    with pytest.raises(ConfigurationError, match="leave that out of exclude"):
        HostTable[str]().add("*.example.org", "all", ["www.example.com"])
