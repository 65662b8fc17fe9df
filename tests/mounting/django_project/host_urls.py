"""The addresses of the host: the child of this cell, under its prefix."""

from django.urls import path

from bridge import detect
from bridge.integrations.django import include_asgi, include_wsgi
from tests.mounting.site import child, inner_prefix

app = child()
included = include_wsgi(app) if detect(app) == "wsgi" else include_asgi(app)
urlpatterns = [path(f"{inner_prefix()}/", included)]
