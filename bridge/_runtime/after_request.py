"""The hook after each request of a WSGI app."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

from bridge._runtime.hooks import Hook, call_hook
from bridge._runtime.outlet import Outlet
from bridge._runtime.wsgi_host import WSGIHost
from bridge._runtime.wsgi_run import Part, WSGIRun
from bridge.types import Environ, WSGIApp

__all__ = ["MakeRun", "run_maker"]

MakeRun: TypeAlias = Callable[[WSGIApp, Environ, Outlet[Part], WSGIHost], WSGIRun]
"""Makes the run of a request."""


class _RunWithHook(WSGIRun):
    """A run after which something is called: in the same thread and context, also if it failed."""

    __slots__ = ("_hook",)

    def __init__(
        self,
        app: WSGIApp,
        environ: Environ,
        outlet: Outlet[Part],
        host: WSGIHost,
        *,
        hook: Hook,
    ) -> None:
        super().__init__(app, environ, outlet, host)
        self._hook = hook

    def __call__(self) -> None:
        super().__call__()
        self.context.run(call_hook, self._hook)


def run_maker(after_request: Hook | None) -> MakeRun:
    """Give what makes the runs: without a hook the plain class, so that the hook costs nothing (W-62)."""
    return WSGIRun if after_request is None else functools.partial(_RunWithHook, hook=after_request)
