"""A Flask site with an ASGI app in it: FastAPI, beside httpbin and Django.

`python -m examples.demo wsgi` runs it under gunicorn, over a fresh database for Django.
"""

from __future__ import annotations

from flask import Flask, render_template, url_for
from httpbin import app as httpbin
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bridge import ASGIToWSGI
from examples.demo import PASSWORD, USERNAME
from examples.demo.api import api
from examples.demo.django_project.wsgi import application as django

home = Flask(__name__)


@home.get("/")
def show_landing_page() -> str:
    root = url_for("show_landing_page")
    mounts = {name: f"{root}{name}/" for name in ("api", "httpbin", "django")}
    return render_template("landing.html", kind="wsgi", username=USERNAME, password=PASSWORD, **mounts)


site = DispatcherMiddleware(home, {"/api": ASGIToWSGI(api), "/httpbin": httpbin, "/django": django})
