"""Log lines about one request: they name the app, the request and how far it was, and tell nothing else.

A method and a path are what the client chose, so they are shown as Python shows a string: in ASCII, controls
escaped (RFC 9110 section 17.4, SEC-27). A query, a header value or a body never stands in a log line.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["log_request"]

_MOST: Final = 200  # characters of a path


def log_request(
    log: logging.Logger,
    level: int,
    what: str,
    *,
    app: str,
    method: str,
    path: str,
    state: str,
    error: BaseException | None = None,
) -> None:
    """Log what happened to a request; its parts are fields of the record too.

    They are `bridge_app`, `bridge_method`, `bridge_path`, escaped as in the message, and `bridge_state`.

    Args:
        log: the logger.
        level: of the record.
        what: a fixed text that follows the name of the app.
        app: the name of the app or the adapter.
        method: of the request, as it came.
        path: of the request, decoded or not.
        state: how far the response was: "idle", "held", "streaming", "done".
        error: its traceback follows.
    """
    shown_method, shown_path = _shown(method), _shown(path)
    log.log(
        level,
        "%s %s (%s %s, %s)",
        app,
        what,
        shown_method,
        shown_path,
        state,
        exc_info=error,
        extra={
            "bridge_app": app,
            "bridge_method": shown_method,
            "bridge_path": shown_path,
            "bridge_state": state,
        },
    )


def _shown(text: str) -> str:
    if len(text) > _MOST:
        return ascii(text[:_MOST])[1:-1] + "..."
    return ascii(text)[1:-1]
