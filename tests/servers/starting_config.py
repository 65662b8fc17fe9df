"""Starts the app in each worker of gunicorn: the recipe of docs/how-to/lifespan.md."""

from __future__ import annotations

from typing import Any


def post_worker_init(worker: Any) -> None:
    worker.app.callable.start()
