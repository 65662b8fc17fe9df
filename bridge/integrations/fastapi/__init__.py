"""FastAPI: WSGI apps mounted with their routes in the schema, and the logins of Flask and Django."""

from __future__ import annotations

try:
    import fastapi  # noqa: F401  # to say what to install
except ImportError as exc:
    raise ImportError(
        'bridge.integrations.fastapi needs FastAPI: pip install "asgi-wsgi-bridge[fastapi]"'
    ) from exc

from bridge.integrations.fastapi._cookies import LoginCookies
from bridge.integrations.fastapi._django_login import django_request, django_session, django_user
from bridge.integrations.fastapi._flask_login import (
    FlaskVisit,
    flask_login_user,
    flask_session,
    flask_visit,
)
from bridge.integrations.fastapi._mount import mount

__all__ = [
    "FlaskVisit",
    "LoginCookies",
    "django_request",
    "django_session",
    "django_user",
    "flask_login_user",
    "flask_session",
    "flask_visit",
    "mount",
]
