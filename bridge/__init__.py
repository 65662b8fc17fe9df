"""Serve WSGI apps as ASGI, and ASGI apps as WSGI."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge._protocol.limits import Limits
    from bridge._protocol.server_limits import ServerLimits
    from bridge._runtime.loop import LoopThread
    from bridge._runtime.thread_pool import ThreadPool
    from bridge.adapt import as_asgi, as_wsgi, detect
    from bridge.asgi_to_wsgi import ASGIToWSGI
    from bridge.lifespan import compose_lifespan
    from bridge.observation import stats
    from bridge.site import Site
    from bridge.stack import Stack, asgi, wsgi
    from bridge.wsgi_to_asgi import WSGIToASGI

__version__ = "0.1.0.dev0"
__all__ = [
    "ASGIToWSGI",
    "Limits",
    "LoopThread",
    "ServerLimits",
    "Site",
    "Stack",
    "ThreadPool",
    "WSGIToASGI",
    "as_asgi",
    "as_wsgi",
    "asgi",
    "compose_lifespan",
    "detect",
    "stats",
    "wsgi",
]

# Each name is imported when it is asked for (PEP 562): who mounts one app does not wait for Site and Stack.
_HOMES = {
    "ASGIToWSGI": "bridge.asgi_to_wsgi",
    "Limits": "bridge._protocol.limits",
    "LoopThread": "bridge._runtime.loop",
    "ServerLimits": "bridge._protocol.server_limits",
    "Site": "bridge.site",
    "Stack": "bridge.stack",
    "ThreadPool": "bridge._runtime.thread_pool",
    "WSGIToASGI": "bridge.wsgi_to_asgi",
    "as_asgi": "bridge.adapt",
    "as_wsgi": "bridge.adapt",
    "asgi": "bridge.stack",
    "compose_lifespan": "bridge.lifespan",
    "detect": "bridge.adapt",
    "stats": "bridge.observation",
    "wsgi": "bridge.stack",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found  # asked for once only
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
