"""What all requests of one `WSGIToASGI` share."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from bridge._protocol.limits import Limits
from bridge._runtime.errors_stream import ErrorsStream
from bridge._runtime.observing import Meter, Observing, Tally
from bridge._runtime.sendfile import FileWrapper
from bridge._runtime.stall import PeerTimeouts
from bridge._runtime.thread_pool import ThreadPool
from bridge._runtime.wsgi_host import WSGIHost
from bridge.types import Environ

__all__ = ["WSGISettings", "environ_template"]


@dataclass(frozen=True, slots=True)
class WSGISettings:
    """What all requests of an adapter share; most are its arguments.

    Attributes:
        host: of the app.
        pool: whose threads run the app.
        template: the keys of the environ that are the same for each request.
        limits: what of a request is refused.
        refuse_underscores: see `WSGIToASGI`.
        queue_timeout: how long a request waits for a thread, in seconds; None for as long as it takes.
        request_timeout: how long the app may take to begin its response, or to accept a WebSocket, in
            seconds; None for as long as it likes.
        peer_timeouts: how long the client may make no progress.
        tally: counts the requests that do not end as they should.
        meter: counts bytes and durations; None where nobody asked for it.
        observing: tells observers of each request; None where there are none.
    """

    host: WSGIHost
    pool: ThreadPool
    template: Environ
    limits: Limits
    refuse_underscores: bool
    queue_timeout: float | None
    request_timeout: float | None
    peer_timeouts: PeerTimeouts
    tally: Tally
    meter: Meter | None
    observing: Observing | None


def environ_template(errors: ErrorsStream, multithread: bool, multiprocess: bool | None) -> Environ:
    """Build the part of the environ that is the same for each request (W-10, W-12, E-07)."""
    if multiprocess is None:
        # Looked up, not imported: a child of multiprocessing has it, and the import costs 6 ms.
        process = sys.modules.get("multiprocessing.process")
        multiprocess = process is not None and process.parent_process() is not None
    return {
        "wsgi.version": (1, 0),
        "wsgi.errors": errors,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "SERVER_SOFTWARE": "asgi-wsgi-bridge",
    }
