"""System checks of a mounted app's route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.urls import get_resolver

__all__ = ["problems_of"]

_CSRF = "django.middleware.csrf.CsrfViewMiddleware"
_AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"


def problems_of(pattern: Any) -> list[CheckMessage]:
    """Find what is wrong with where a `MountPattern` stands in the URLconf, and with what is around it."""
    way = _way_to(pattern, get_resolver().url_patterns)
    route = "".join(str(entry.pattern) for entry, _ in way[:-1])
    found: list[CheckMessage] = []
    if route and not route.endswith("/"):
        found.append(
            Error(
                f"The route {route!r} of a mounted app does not end with a slash.",
                hint=f'A mount takes whole segments: path("{route}/", include_asgi(...)).',
                obj=pattern,
                id="bridge.E001",
            )
        )
    if any(later and not str(entry.pattern) for entry, later in way[:-1]):
        found.append(
            Caution(
                "The routes after a mounted app are never reached: it is mounted on an empty route, which "
                "takes every path.",
                hint="Move it to the end of urlpatterns, or give it a route.",
                obj=pattern,
                id="bridge.W002",
            )
        )
    if pattern.mounted.csrf and _AUTH in settings.MIDDLEWARE and _CSRF not in settings.MIDDLEWARE:
        found.append(
            Caution(
                "A mounted app asks for CSRF tokens, but CsrfViewMiddleware, which hands them out, is not in "
                "MIDDLEWARE.",
                hint=f"Add {_CSRF}, or say include_asgi(..., csrf=False).",
                obj=pattern,
                id="bridge.W003",
            )
        )
    return found


def _way_to(pattern: Any, entries: Sequence[Any]) -> list[tuple[Any, bool]]:
    """Give the entries of the URLconf that lead to a pattern, each with whether others come after it."""
    for number, entry in enumerate(entries, start=1):
        later = number < len(entries)
        if entry is pattern:
            return [(entry, later)]
        below = _way_to(pattern, getattr(entry, "url_patterns", ()))
        if below:
            return [(entry, later), *below]
    return []
