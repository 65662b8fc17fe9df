"""The session of a Starlette app's `SessionMiddleware`, in the views of Django."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

__all__ = ["StarletteSessionMiddleware"]


class StarletteSessionMiddleware(MiddlewareMixin):  # type: ignore[misc]  # Django has no types
    """Gives Django's views the session of a Starlette app as `request.starlette_session`, a dict.

    The setting BRIDGE_STARLETTE_APP names the app, as in "project.api.app"; the key and the cookie's name
    are those of its `SessionMiddleware`. What a view changes is saved. Django's own session stays as it is.
    """

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        from bridge.integrations._starlette_session import StarletteCookie  # needs Starlette

        name = getattr(settings, "BRIDGE_STARLETTE_APP", None)
        if name is None:
            raise ImproperlyConfigured('BRIDGE_STARLETTE_APP is not set: expected such as "project.api.app"')
        self._cookie = StarletteCookie.of(import_string(name))

    def process_request(self, request: HttpRequest) -> None:
        """Make the session known; it is read when a view asks for it."""

        def load() -> Any:
            request._starlette_session = self._cookie.load(request.COOKIES)
            return request._starlette_session

        request.starlette_session = SimpleLazyObject(load)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save what has changed."""
        session = getattr(request, "_starlette_session", None)
        if session is not None:
            patch_vary_headers(response, ("Cookie",))
            self._cookie.save(session, response)
        return response
