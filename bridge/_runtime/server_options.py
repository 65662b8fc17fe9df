"""What the server whose process this is tells of its options."""

from __future__ import annotations

import sys

from bridge._protocol.limits import Limits, check_server
from bridge._protocol.server_limits import ServerLimits, limits_of_uwsgi

__all__ = ["asked_server", "check_asked_server"]


def asked_server() -> ServerLimits | None:
    """Ask the server for its limits; None where there is none that can be asked.

    uWSGI 2.0 has a module in its processes, in no file, with its options. No other server shows its options
    to an app that it loads: their settings are objects that it has no name for.
    """
    uwsgi = sys.modules.get("uwsgi")
    options, buffer_size = getattr(uwsgi, "opt", None), getattr(uwsgi, "buffer_size", None)
    if not isinstance(options, dict) or not isinstance(buffer_size, int):
        return None
    return limits_of_uwsgi(options, buffer_size)


def check_asked_server(limits: Limits) -> None:
    """Check limits against a server that can be asked, unless they name theirs.

    Raises:
        ConfigurationError: one that was said exceeds what the server lets through.
    """
    if limits.server is None and (server := asked_server()) is not None:
        check_server(limits, server)
