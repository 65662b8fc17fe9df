"""The site of one cell, for a server: `asgi` and `wsgi` are built when they are asked for.

MOUNT_HOSTS names the hosts from the outside in, MOUNT_CHILD the child; no host is the child natively.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from flask import Flask

from bridge import as_asgi, as_wsgi
from bridge.integrations import fastapi as in_fastapi
from bridge.integrations import flask as in_flask

PREFIX = "mounted-here"
CHILD_URLS = "tests.mounting.django_project.child_urls"
HOST_URLS = "tests.mounting.django_project.host_urls"


def hosts() -> list[str]:
    """Give the hosts of this cell, the outermost first."""
    return [name for name in os.environ.get("MOUNT_HOSTS", "").split(",") if name]


def child() -> Any:
    """Build what Django's host mounts: the child, or the hosts inside Django with the child in them."""
    return _build(hosts()[1:], os.environ["MOUNT_CHILD"])


def inner_prefix() -> str:
    """Give the prefix under which the outermost host mounts."""
    return PREFIX if len(hosts()) == 1 else "outer"


def build(face: str) -> Any:
    """Build the whole site for a kind of server."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.mounting.django_project.settings"
    os.environ["MOUNT_URLS"] = HOST_URLS if hosts()[:1] == ["django"] else CHILD_URLS
    if hosts()[:1] != ["django"]:
        return _build(hosts(), os.environ["MOUNT_CHILD"])
    if face == "asgi":
        from bridge.integrations.django import get_asgi_application

        return get_asgi_application()
    return _django()


def _build(outer: list[str], child: str) -> Any:
    if not outer:
        return _CHILDREN[child]()
    prefix = PREFIX if len(outer) == 1 else "outer"
    inner = _build(outer[1:], child)
    if outer[0] == "fastapi":
        host = FastAPI()
        in_fastapi.mount(host, f"/{prefix}", inner)
        return host
    flask_host = Flask("host")
    in_flask.mount(flask_host, f"/{prefix}", inner)
    return flask_host


def _flask() -> Any:
    from tests.mounting.flask_child import make_app

    return make_app()


def _fastapi() -> Any:
    from tests.mounting.fastapi_child import make_app

    return make_app()


def _django() -> Any:
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def _django_child() -> Any:
    if hosts()[:1] != ["django"]:
        return _django()
    from django.core.handlers.wsgi import WSGIHandler

    class ChildHandler(WSGIHandler):  # a process has one set of settings, but may have two URLconfs
        def get_response(self, request: Any) -> Any:
            request.urlconf = CHILD_URLS
            return super().get_response(request)

    return ChildHandler()


_CHILDREN = {"flask": _flask, "fastapi": _fastapi, "django": _django_child}


def __getattr__(name: str) -> Any:
    if name == "asgi":
        return as_asgi(build("asgi"))
    if name == "wsgi":
        return as_wsgi(build("wsgi"))
    raise AttributeError(name)
