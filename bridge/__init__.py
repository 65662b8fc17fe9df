"""Serve WSGI apps as ASGI, and ASGI apps as WSGI."""

from bridge._protocol.limits import Limits
from bridge._runtime.loop import LoopThread
from bridge.adapt import as_asgi, as_wsgi, detect
from bridge.asgi_to_wsgi import ASGIToWSGI
from bridge.lifespan import compose_lifespan
from bridge.site import Site
from bridge.stack import Stack, asgi, wsgi
from bridge.wsgi_to_asgi import WSGIToASGI

__version__ = "0.1.0.dev0"
__all__ = [
    "ASGIToWSGI",
    "Limits",
    "LoopThread",
    "Site",
    "Stack",
    "WSGIToASGI",
    "as_asgi",
    "as_wsgi",
    "asgi",
    "compose_lifespan",
    "detect",
    "wsgi",
]
