"""One site with WebSockets of both kinds, for both kinds of server."""

from __future__ import annotations

from bridge import Site, WSGIToASGI
from tests.websocket.asgi_apps import api
from tests.websocket.wsgi_apps import flask_app

site = Site()
site.mount("/new", api)
site.mount("/old", WSGIToASGI(flask_app, websocket=True))

asgi = site.asgi
wsgi = site.wsgi
