"""The session and the login of the Django project, as dependencies of FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import HTTPException
from fastapi.requests import HTTPConnection
from starlette.concurrency import run_in_threadpool

from bridge.integrations.fastapi._cookies import kept_visit
from bridge.integrations.fastapi._head import environ_of, session_fields
from bridge.types import RawHeaders

__all__ = ["django_request", "django_session", "django_user"]

T = TypeVar("T")


def django_request() -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a dependency that gives Django's request of a connection, with its session and its user.

    Inside Django it is the request itself, and Django saves the session. Elsewhere it is made of the head of
    the connection, and Django's own middleware opens and saves the session, by the project's settings.
    For what needs more than the session or the user: `await alogin(request, user)`.
    """
    return _request_of


async def _request_of(connection: HTTPConnection) -> Any:
    inside = connection.scope.get("django.request")
    if inside is not None:
        return inside
    return await kept_visit(connection.scope, "django", lambda: _in_thread(_open, connection), _save)


def django_session() -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a dependency that gives Django's session, loaded already: readable and writable.

    Any engine of `SESSION_ENGINE` works. It is loaded and saved in a thread.
    """

    async def dependency(connection: HTTPConnection) -> Any:
        request = await _request_of(connection)
        await _in_thread(request.session.get, "")  # loads it, so that reading does not block the loop
        return request.session

    return dependency


def django_user(*, csrf: bool = True) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a dependency that gives Django's user; an `AnonymousUser` where nobody is logged in.

    Sessions are checked as Django does: a changed password ends them, rotated keys (`SECRET_KEY_FALLBACKS`)
    are honoured. The user is read in a thread, outside of which its relations cannot be followed lazily.

    Args:
        csrf: answer 403 to an unsafe request of a user without Django's token in `X-CSRFToken`: browsers send
            the cookie of a login along with what other sites make them ask for.
    """

    async def dependency(connection: HTTPConnection) -> Any:
        request = await _request_of(connection)
        user: Any = connection.scope.get("django.user")
        if user is None:
            user = await _in_thread(_user_of, request)
        if csrf and user.is_authenticated and "method" in connection.scope:
            await _in_thread(_check_csrf, request)
        return user

    return dependency


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    """Call a function in a thread, with the care for its connections that Django takes around a request."""
    return await run_in_threadpool(_with_fresh_connections, work, *args)


def _with_fresh_connections(work: Callable[..., T], *args: Any) -> T:
    from django.db import close_old_connections

    close_old_connections()
    try:
        return work(*args)
    finally:
        close_old_connections()


def _open(connection: HTTPConnection) -> Any:
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.core.handlers.wsgi import WSGIRequest

    request = WSGIRequest(environ_of(connection.scope))
    SessionMiddleware(_no_response).process_request(request)
    AuthenticationMiddleware(_no_response).process_request(request)
    return request


async def _save(request: Any, status: int) -> RawHeaders:
    return await _in_thread(_fields_of, request, status)


def _fields_of(request: Any, status: int) -> RawHeaders:
    from django.contrib.sessions.exceptions import SessionInterrupted
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.http import HttpResponse
    from django.middleware.csrf import CsrfViewMiddleware

    response = HttpResponse(status=status)
    try:
        SessionMiddleware(_no_response).process_response(request, response)
    except SessionInterrupted:  # logged out by another request meanwhile: there is nothing to save
        return []
    CsrfViewMiddleware(_no_response).process_response(request, response)
    cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    return session_fields([*response.items(), *cookies])


def _user_of(request: Any) -> Any:
    _ = request.user.is_authenticated  # loads it
    return request.user


def _check_csrf(request: Any) -> None:
    from bridge.integrations.django._login import csrf_failure

    if csrf_failure(request) is not None:
        raise HTTPException(403, "CSRF token missing or incorrect")


def _no_response(_: Any) -> Any:
    """Stand in for what Django's middleware wraps: only its two hooks are used."""
