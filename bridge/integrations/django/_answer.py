"""The response of a mounted app as a Django response, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterable, Container, Iterable
from http.cookies import CookieError, Morsel, SimpleCookie
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from bridge.types import RawHeaders

__all__ = ["fill_head", "streamed", "whole"]


class _SentCookie(Morsel[str]):
    """A Set-Cookie field that leaves as it came; what Django's test client reads of it is parsed."""

    field: str

    def OutputString(self, attrs: Container[str] | None = None) -> str:  # noqa: ARG002, N802  # http.cookies'
        return self.field


def whole(status: int, headers: RawHeaders, body: bytes) -> HttpResponse:
    """Give a response that is complete."""
    return fill_head(HttpResponse(body, status=status), headers)


def streamed(
    status: int, headers: RawHeaders, blocks: Iterable[bytes] | AsyncIterable[bytes]
) -> StreamingHttpResponse:
    """Give a response whose blocks come later; Django calls `close()` of the blocks if they have one."""
    return fill_head(StreamingHttpResponse(blocks, status=status), headers)


def fill_head(response: Any, headers: RawHeaders) -> Any:
    """Write raw header fields into a Django response.

    Django keeps one value a name: repeats are joined (RFC 9110 section 5.3). Set-Cookie may not be joined,
    and Django keeps cookies by name, while two of one name may differ in their path: the second and later
    ones go under keys of their own.
    """
    del response.headers["Content-Type"]  # Django's guess, where the app may have sent none
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if raw_name == b"set-cookie":
            _add_cookie(response.cookies, value)
        elif name in response.headers:
            response.headers[name] += f", {value}"
        else:
            response.headers[_spelled(name)] = value
    return response


def _spelled(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _add_cookie(cookies: SimpleCookie, field: str) -> None:
    sent = _SentCookie()
    name, _, value = field.partition(";")[0].partition("=")
    try:
        parsed = SimpleCookie(field)
        for key, morsel in parsed.items():
            sent.set(key, morsel.value, morsel.coded_value)
            sent.update(morsel)
        if not parsed:
            sent.set(name.strip(), value, value)
    except CookieError:  # a name that only http.cookies refuses still leaves
        pass
    sent.field = field
    key = name.strip()
    while key in cookies:
        key += ";"
    dict.__setitem__(cookies, key, sent)  # SimpleCookie's own would make another Morsel of it
