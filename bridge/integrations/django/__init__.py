"""Django: apps of either kind under a route of `urls.py`, inside Django's middleware.

A Django app inside another needs nothing of this: `get_wsgi_application()` goes wherever an app goes.
"""

from __future__ import annotations

try:
    import django  # noqa: F401  # to say what to install
except ImportError as exc:
    raise ImportError(
        'bridge.integrations.django needs Django: pip install "asgi-wsgi-bridge[django]"'
    ) from exc

from bridge.integrations.django._include import include_asgi, include_wsgi
from bridge.integrations.django._lifespan import get_asgi_application
from bridge.integrations.django._starlette import StarletteSessionMiddleware
from bridge.integrations.django._static import PrefixedStaticFilesStorage, PrefixedUrls

__all__ = [
    "PrefixedStaticFilesStorage",
    "PrefixedUrls",
    "StarletteSessionMiddleware",
    "get_asgi_application",
    "include_asgi",
    "include_wsgi",
]
