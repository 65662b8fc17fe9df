"""Pytest fixtures that put an app under test behind either face.

In a `conftest.py`:

    pytest_plugins = ["bridge.testing"]

    @pytest.fixture
    def bridge_app():
        return make_site()  # a Site, a Stack, or any app of either kind

Then a test asks for `asgi_client`, for `wsgi_client`, or for `bridge_client`, which runs it once with each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.site import Site
from bridge.stack import Stack

try:
    import httpx
    import pytest
    from starlette.testclient import TestClient
except ImportError as exc:
    raise ImportError(
        "bridge.testing needs pytest, starlette and httpx: pip install 'asgi-wsgi-bridge[testing]'"
    ) from exc

__all__ = [
    "asgi_client",
    "bridge_app",
    "bridge_client",
    "open_asgi_client",
    "open_wsgi_client",
    "wsgi_client",
]

_BASE_URL = "http://testserver"


def open_asgi_client(app: Any, **options: Any) -> TestClient:
    """Make a client of the ASGI face of an app; `with` it, the lifespan runs.

    Args:
        app: of either kind, a `Stack` or a `Site`.
        options: for Starlette's `TestClient`.

    Raises:
        ConfigurationError: the kind of the app cannot be told.
    """
    return TestClient(_two_faced(app).asgi, base_url=_BASE_URL, **options)


def open_wsgi_client(app: Any, **options: Any) -> httpx.Client:
    """Make a client of the WSGI face of an app; the first request, or `with` it, starts the lifespan.

    It follows redirects and keeps cookies, as `TestClient` does. What the app raises is raised. The end of
    the `with` shuts the app down.

    Args:
        app: of either kind, a `Stack` or a `Site`.
        options: for `httpx.Client`.

    Raises:
        ConfigurationError: the kind of the app cannot be told.
    """
    options.setdefault("follow_redirects", True)
    return httpx.Client(transport=_WSGIFaceTransport(_two_faced(app)), base_url=_BASE_URL, **options)


class _WSGIFaceTransport(httpx.WSGITransport):
    """Starts and closes the app with the client."""

    def __init__(self, app: Site | Stack) -> None:
        super().__init__(app=app.wsgi)
        self._face = app

    def __enter__(self) -> _WSGIFaceTransport:
        self._face.start()
        return self

    def close(self) -> None:
        self._face.close()

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _two_faced(app: Any) -> Site | Stack:
    return app if isinstance(app, Site | Stack) else Stack(app)


@pytest.fixture
def bridge_app() -> Any:
    """The app under test: to be overridden.

    Raises:
        NotImplementedError: it was not.
    """
    raise NotImplementedError(
        "define a fixture bridge_app that returns the app, the Stack or the Site to test"
    )


@pytest.fixture
def asgi_client(bridge_app: Any) -> Iterator[TestClient]:
    """A client of the ASGI face, within the lifespan."""
    with open_asgi_client(bridge_app) as client:
        yield client


@pytest.fixture
def wsgi_client(bridge_app: Any) -> Iterator[httpx.Client]:
    """A client of the WSGI face, within the lifespan."""
    with open_wsgi_client(bridge_app) as client:
        yield client


@pytest.fixture(params=["asgi", "wsgi"])
def bridge_client(request: pytest.FixtureRequest) -> Any:
    """Both clients, one after the other: a test that asks for it runs twice."""
    return request.getfixturevalue(f"{request.param}_client")
