"""The answer where nothing is mounted, in the form that the client would like best."""

from __future__ import annotations

from typing import Final

__all__ = ["not_found"]

_FORMS: Final = {
    "text/plain": ("text/plain; charset=utf-8", b"Not Found"),
    "application/json": ("application/json", b'{"detail":"Not Found"}'),
    "text/html": (
        "text/html; charset=utf-8",
        b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n",
    ),
}


def not_found(accept: str) -> tuple[str, bytes]:
    """Choose the form of a 404 (RFC 9110 section 12.5.1).

    Args:
        accept: the Accept field, native; empty for none.

    Returns:
        Content-Type and body: plain text where the client does not care, or cannot be given what it wants.
    """
    ranges = [_parse(part) for part in accept.split(",")[:64]]
    best = max(_FORMS, key=lambda form: _quality(form, ranges))  # the first of equals
    return _FORMS[best]


def _parse(part: str) -> tuple[str, float]:
    media, _, parameters = part.partition(";")
    quality = 1.0
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return media.strip().lower(), quality


def _quality(form: str, ranges: list[tuple[str, float]]) -> float:
    """Give the quality that the most specific range gives to a media type."""
    for wanted in (form, form.partition("/")[0] + "/*", "*/*"):
        found = [quality for media, quality in ranges if media == wanted]
        if found:
            return max(found)
    return 0.0
