"""The session and the login of a Flask app, as dependencies of FastAPI."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.requests import HTTPConnection
from starlette.concurrency import run_in_threadpool

from bridge.integrations.fastapi._cookies import kept_visit
from bridge.integrations.fastapi._head import environ_of, session_fields
from bridge.types import RawHeaders

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskVisit", "flask_login_user", "flask_session", "flask_visit"]

T = TypeVar("T")


class FlaskVisit:
    """One connection as the Flask app would see it.

    Attributes:
        session: what the app's own `session_interface` has opened: readable and writable.
    """

    def __init__(self, app: Flask, environ: dict[str, Any]) -> None:
        self._app = app
        self._context = app.request_context(environ)
        self.session: Any = None

    async def run(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function in a thread, within the request context of the Flask app.

        So `flask.session`, `current_user`, `login_user()` and `logout_user()` do what they do in a view.
        """
        return await run_in_threadpool(self._call, functools.partial(work, *args, **kwargs))

    def _call(self, work: Callable[[], T]) -> T:
        with self._context:  # opens the session, the first time only
            self.session = self._context.session
            return work()

    async def save(self, _: int) -> RawHeaders:
        """Save the session and the remember-me cookie; give the fields to send."""
        return await self.run(self._save)

    def _save(self) -> RawHeaders:
        app = self._app
        response = app.response_class()
        login_manager = getattr(app, "login_manager", None)
        if login_manager is not None:  # what it does after each request (flask-login 0.6)
            response = login_manager._update_remember_cookie(response)
        interface = app.session_interface
        if not interface.is_null_session(self.session):
            interface.save_session(app, self.session, response)
        return session_fields(list(response.headers))


def flask_visit(app: Flask) -> Callable[[HTTPConnection], Awaitable[FlaskVisit]]:
    """Make a dependency that gives a connection as a Flask app sees it.

    For what needs more than the session: `await visit.run(login_user, user)`.
    """

    async def begin(connection: HTTPConnection) -> FlaskVisit:
        visit = FlaskVisit(app, environ_of(connection.scope))
        await visit.run(lambda: None)
        return visit

    async def dependency(connection: HTTPConnection) -> FlaskVisit:
        return await kept_visit(connection.scope, app, lambda: begin(connection), FlaskVisit.save)

    return dependency


def flask_session(app: Flask) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a dependency that gives the session of a Flask app.

    It is opened and saved by the app's own `session_interface`: signed cookies with rotated keys
    (`SECRET_KEY_FALLBACKS`) as well as sessions on the server, as flask-session keeps them. What a client has
    tampered with is an empty session, as it is to Flask. Opening and saving run in a thread.
    """
    visit_of = flask_visit(app)

    async def dependency(connection: HTTPConnection) -> Any:
        return (await visit_of(connection)).session

    return dependency


def flask_login_user(app: Flask) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Make a dependency that gives flask-login's current user of a Flask app.

    The session and the remember-me cookie count, and the app's `request_loader`; the app's anonymous user is
    given where there is no login. The user is loaded in a thread.
    """
    visit_of = flask_visit(app)

    async def dependency(connection: HTTPConnection) -> Any:
        return await (await visit_of(connection)).run(_current_user)

    return dependency


def _current_user() -> Any:
    from flask_login import current_user

    return current_user._get_current_object()
