"""Ends the ASGI app as soon as the worker is to stop: the recipe of docs/how-to/lifespan.md."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

bind = "127.0.0.1:0"  # the command line says which


def post_worker_init(worker: Any) -> None:
    from tests.faults.apps import asgi_bridged

    stop_worker = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=asgi_bridged.close).start()
        if callable(stop_worker):
            stop_worker(number, frame)

    signal.signal(signal.SIGTERM, stop)
