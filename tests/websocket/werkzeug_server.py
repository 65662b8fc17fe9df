"""Werkzeug's development server in threads: `python -m tests.websocket.werkzeug_server module:name port`."""

from __future__ import annotations

import importlib
import signal
import sys
import threading

from werkzeug.serving import WSGIRequestHandler, make_server

if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server(
        "127.0.0.1", int(sys.argv[2]), getattr(importlib.import_module(module), name), threaded=True
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
