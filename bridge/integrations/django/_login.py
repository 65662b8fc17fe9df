"""Who Django says is logged in, and its CSRF rule, for a request that another app serves."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict

__all__ = ["csrf_failure", "load_user"]


def load_user(request: HttpRequest) -> Any:
    """Read the user of a request from the database, in the thread whose connection Django has opened.

    Without a session cookie there is nothing to read.

    Returns:
        The user; None for an anonymous one, or where no middleware sets one.
    """
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None


class _HeaderOnly(CsrfViewMiddleware):  # type: ignore[misc]  # Django has no types
    """Django's rule by the header alone: the form in the body is for the app to read."""


def csrf_failure(request: HttpRequest) -> HttpResponse | None:
    """Check the CSRF token of an unsafe request; give the response that refuses it, or None.

    Blocks: with CSRF_USE_SESSIONS the session is read.
    """
    check = _HeaderOnly(_no_response)
    check.process_request(request)
    had_form = hasattr(request, "_post")
    if not had_form:
        request._post, request._files = QueryDict(), MultiValueDict()
    try:
        refusal: HttpResponse | None = check.process_view(request, _no_response, (), {})
    finally:
        if not had_form:
            del request._post, request._files
    return refusal


def _no_response(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  # what middleware wraps
    return HttpResponse()
