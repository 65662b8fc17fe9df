"""What an app sees of a request, and what it may see of a hostile one without harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Facts:
    """What the app saw of a request, in either kind of app.

    Attributes:
        fields: names in lower case with dashes; what is repeated is joined by a comma.
        root: the part of the path that belongs to the server.
    """

    path: str
    root: str
    scheme: str
    client: str
    body: str
    fields: Mapping[str, str]


Harm: TypeAlias = "Callable[[Facts], str | None]"
"""Says what is wrong with what the app saw; None if it is one clear request."""


def facts_of(answer: Mapping[str, Any]) -> Facts:
    """Read what the specimen at `/facts` answers."""
    if "headers" in answer:
        fields: dict[str, str] = {}
        for name, value in answer["headers"]:
            fields[name] = f"{fields[name]},{value}" if name in fields else value
        client = answer["client"][0]
        return Facts(answer["path"], answer["root_path"], answer["scheme"], client, answer["body"], fields)
    return Facts(
        answer["PATH_INFO"],
        answer["SCRIPT_NAME"],
        answer["wsgi.url_scheme"],
        answer["REMOTE_ADDR"],
        answer["body"],
        {key[5:].lower().replace("_", "-"): answer[key] for key in answer if key[:5] == "HTTP_"},
    )


def any_of_it(facts: Facts) -> str | None:
    """HTTP has it refused, whatever is made of it."""
    of_all = ("host", "connection", "transfer-encoding")
    own = {name: value for name, value in facts.fields.items() if name not in of_all}
    return f"the app gets it, with the body {_quoted(facts.body)} and the fields {_quoted(own)}"


def none_of_it(facts: Facts) -> str | None:
    """It is a plain request, if it is none of another protocol."""
    return None


def field(name: str, *values: str | None) -> Harm:
    """It has to be one of these values; None if there may be no such field."""

    def harm(facts: Facts) -> str | None:
        found = facts.fields.get(name)
        return None if found in values else f"`{name}` is {_quoted(found)}"

    return harm


def times(name: str, value: str, count: int) -> Harm:
    """The field has to be there so often."""

    def harm(facts: Facts) -> str | None:
        found = facts.fields.get(name, "").replace(" ", "").split(",")
        return None if found == [value] * count else f"`{name}` is there {len(found)} times"

    return harm


def body(expected: str) -> Harm:
    def harm(facts: Facts) -> str | None:
        return None if facts.body == expected else f"the body is {_quoted(facts.body)}"

    return harm


def path(expected: str) -> Harm:
    def harm(facts: Facts) -> str | None:
        return None if facts.path == expected else f"the path is {_quoted(facts.path)}"

    return harm


def folded(facts: Facts) -> str | None:
    """One value, in which the fold is a blank (RFC 9112 section 5.2), and no second field."""
    words = facts.fields.get("x-a", "").split()
    if words == ["a", "X-Admin:", "b"] and "x-admin" not in facts.fields:
        return None
    return f"the fields are {_quoted(dict(facts.fields))}"


def transport(facts: Facts) -> str | None:
    """Client, scheme and mount have to be those of the connection."""
    found = (facts.client, facts.scheme, facts.root)
    return None if found == ("127.0.0.1", "http", "") else f"client, scheme and mount are {_quoted(found)}"


def both(*harms: Harm) -> Harm:
    def harm(facts: Facts) -> str | None:
        return next((found for one in harms if (found := one(facts)) is not None), None)

    return harm


def _quoted(found: object) -> str:
    text = repr(found)
    return f"`{text}`" if len(text) <= 50 else f"`{text[:50]}`…"
