"""What is asked of an app, natively and mounted: each probe gives answers that can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Ask = Callable[..., httpx.Response]

# What belongs to the server or to the connection, or follows from the length of the prefix.
_NOT_COMPARED = frozenset(
    {"connection", "content-length", "date", "keep-alive", "last-modified", "server", "transfer-encoding"}
)
# What Django's middleware adds to whatever passes through it.
_ADDED_BY_DJANGO = frozenset(
    {"cross-origin-opener-policy", "referrer-policy", "vary", "x-content-type-options", "x-frame-options"}
)
_COOKIE_VALUE = re.compile(r"^(csrftoken|session|sessionid)=[^;]+")
_EXPIRES = re.compile(r"expires=[^;]+", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer without what may differ."""

    status: int
    headers: dict[str, list[str]]
    body: str

    def differences(self, mounted: Answer, *, added: frozenset[str]) -> list[str]:
        """Say in what a mounted answer differs from this native one."""
        found = []
        if mounted.status != self.status:
            found.append(f"status {mounted.status} instead of {self.status}")
        if mounted.body != self.body:
            found.append(f"body {mounted.body[:200]!r} instead of {self.body[:200]!r}")
        for name in sorted(self.headers.keys() | mounted.headers.keys()):
            ours, native = mounted.headers.get(name, []), self.headers.get(name, [])
            if ours != native and not (name in added and _covers(ours, native)):
                found.append(f"{name} {ours} instead of {native}")
        return found


def _covers(ours: list[str], native: list[str]) -> bool:
    tokens = {token.strip().lower() for value in ours for token in value.split(",")}
    return {token.strip().lower() for value in native for token in value.split(",")} <= tokens


@dataclass
class Visit:
    """A client at the place of an app.

    Attributes:
        base: the address of the server.
        prefix: where the app is: "" natively.
        answers: what came so far.
    """

    base: str
    prefix: str
    child: str
    client: httpx.Client
    answers: list[Answer] = field(default_factory=list)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request below the prefix, and keep its answer."""
        response = self.client.request(method, self.base + self.prefix + path, **options)
        self.keep(response.status_code, response.headers, response.text)
        return response

    def keep(self, status: int, headers: httpx.Headers, body: str) -> None:
        """Keep an answer without what may differ."""
        kept: dict[str, list[str]] = {}
        for name, value in headers.multi_items():
            if name not in _NOT_COMPARED:
                if name == "allow":  # Werkzeug writes a set
                    value = ", ".join(sorted(value.split(", ")))
                value = _EXPIRES.sub("expires=…", _COOKIE_VALUE.sub(r"\1=…", value))
                kept.setdefault(name, []).append(self._unprefixed(value))
        self.answers.append(Answer(status, kept, self._unprefixed(body)))

    def _unprefixed(self, text: str) -> str:
        text = text.replace(self.base, "http://server").replace(self.base.removeprefix("http://"), "server")
        if self.prefix:
            text = text.replace(f',"servers":[{{"url":"{self.prefix}"}}]', "")  # how OpenAPI says a prefix
            text = text.replace(f"{self.prefix}/", "/").replace(self.prefix, "")
        return text


def routing(visit: Visit) -> None:
    """The root, a route with a converter, HEAD."""
    visit.ask("GET", "/")
    visit.ask("GET", "/items/3")
    visit.ask("HEAD", "/items/3")


def query_strings(visit: Visit) -> None:
    """Repeats, blanks, UTF-8."""
    visit.ask("GET", "/items/3?q=a%20b&q=c+d&q=%C3%A9&q=")


def urls(visit: Visit) -> None:
    """`url_for` and `reverse`, and the app's idea of its own address."""
    visit.ask("GET", "/url?x=1")


def redirects(visit: Visit) -> None:
    """A redirect to a named route."""
    visit.ask("GET", "/go")


def trailing_slashes(visit: Visit) -> None:
    """The framework's own redirect to the address with a slash."""
    visit.ask("GET", "/slash/")
    visit.ask("GET", "/slash")
    visit.ask("GET", "/slash?x=1")


def utf8_paths(visit: Visit) -> None:
    """Percent-encoded UTF-8, and blanks."""
    visit.ask("GET", "/path/caf%C3%A9/%E2%82%AC%20x")


def encoded_slashes(visit: Visit) -> None:
    """`%2F`, `%252F` and encoded dots."""
    visit.ask("GET", "/path/a%2Fb")
    visit.ask("GET", "/path/a%252Fb")
    visit.ask("GET", "/path/a/%2e%2e/b")


def cookies(visit: Visit) -> None:
    """Cookies with a path come back to where they belong."""
    visit.ask("GET", "/cookie/set")
    visit.ask("GET", "/cookie/show")


def static_files(visit: Visit) -> None:
    """A file, a range of it where there are ranges, one that is not there."""
    visit.ask("GET", "/static/hello.txt")
    visit.ask("GET", "/static/hello.txt", headers={"Range": "bytes=0-4"})
    visit.ask("GET", "/static/nothing.txt")


def forms(visit: Visit) -> None:
    """A form, URL-encoded and multipart."""
    visit.ask("POST", "/form", data={"name": ["ä b", "c"]})
    visit.ask("POST", "/form", files={"name": (None, "ü")})


def uploads(visit: Visit) -> None:
    """A file of 3 MB, to the disk."""
    visit.ask("POST", "/upload", files={"file": ("naïve.bin", bytes(range(256)) * 12_000)})


def streaming(visit: Visit) -> None:
    """The first line comes before the app goes on."""
    with visit.client.stream("GET", f"{visit.base}{visit.prefix}/stream") as response:
        lines = response.iter_lines()
        first = next(lines)
        visit.ask("GET", "/release")
        visit.keep(response.status_code, response.headers, "\n".join([first, *lines]))


def error_pages(visit: Visit) -> None:
    """An exception of the app."""
    visit.ask("GET", "/boom")


def not_found(visit: Visit) -> None:
    """The 404 of the app."""
    visit.ask("GET", "/nowhere")
    visit.ask("GET", "/items/x")


def wrong_method(visit: Visit) -> None:
    """The 405 of the app, with what it allows."""
    visit.ask("POST", "/items/3")
    visit.ask("GET", "/form")


def sessions(visit: Visit) -> None:
    """A session that is written, read and cleared."""
    visit.ask("GET", "/count")
    visit.ask("GET", "/count")
    visit.ask("GET", "/forget")
    visit.ask("GET", "/count")


def csrf(visit: Visit) -> None:
    """Without a token 403, with it 200."""
    visit.ask("GET", "/csrf")
    token = visit.client.cookies.get("csrftoken") or ""
    visit.ask("POST", "/csrf", headers={"X-CSRFToken": token})
    visit.ask("POST", "/csrf", headers={"X-CSRFToken": "x" * len(token)})


def openapi(visit: Visit) -> None:
    """The schema, and the page that shows it."""
    visit.ask("GET", "/openapi.json")
    visit.ask("GET", "/docs")


def lifespan(visit: Visit) -> None:
    """What the lifespan has put in the state."""
    visit.ask("GET", "/started")


PROBES: dict[str, Callable[[Visit], None]] = {
    "routing": routing,
    "query strings": query_strings,
    "url_for, reverse": urls,
    "redirects": redirects,
    "trailing slashes": trailing_slashes,
    "UTF-8 paths": utf8_paths,
    "%2F in paths": encoded_slashes,
    "cookies with path": cookies,
    "static files": static_files,
    "forms": forms,
    "file upload": uploads,
    "streaming": streaming,
    "error pages": error_pages,
    "404": not_found,
    "405": wrong_method,
    "sessions": sessions,
    "CSRF": csrf,
    "OpenAPI": openapi,
    "lifespan": lifespan,
}

_ONLY = {"CSRF": "django", "OpenAPI": "fastapi", "lifespan": "fastapi"}


def probes_for(child: str) -> list[str]:
    """Give the names of the probes that a child has an answer to."""
    return [name for name in PROBES if _ONLY.get(name, child) == child]


def run_probe(name: str, base: str, prefix: str, child: str) -> list[Answer]:
    """Run one probe with a client of its own."""
    with httpx.Client(timeout=30, verify=False) as client:
        visit = Visit(base, prefix, child, client)
        PROBES[name](visit)
        return visit.answers


def added_by(hosts: tuple[str, ...]) -> frozenset[str]:
    """Give the fields that the hosts may add to an answer."""
    return _ADDED_BY_DJANGO if "django" in hosts else frozenset()
