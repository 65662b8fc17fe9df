"""Starts the app, then serves it: the recipe of docs/how-to/lifespan.md."""

from __future__ import annotations

import sys

from waitress import serve

from tests.servers.lifespans import application

if __name__ == "__main__":
    application.start()
    serve(application, listen=f"127.0.0.1:{sys.argv[1]}", threads=4)
