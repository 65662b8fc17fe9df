"""One site of real apps of both kinds, for a server of either kind.

`python -m examples.demo asgi` runs it under uvicorn, `python -m examples.demo wsgi` under gunicorn, each over
a fresh database for Django.
"""

from __future__ import annotations

from flask import Flask, render_template, request, url_for
from httpbin import app as httpbin

from bridge import Site
from examples.demo import PASSWORD, USERNAME
from examples.demo.api import api
from examples.demo.django_project.wsgi import application as django

home = Flask(__name__)


@home.get("/")
def show_landing_page() -> str:
    root = url_for("show_landing_page")
    mounts = {name: f"{root}{name}/" for name in ("api", "httpbin", "django")}
    kind = "asgi" if "bridge.scope" in request.environ else "wsgi"
    return render_template("landing.html", kind=kind, username=USERNAME, password=PASSWORD, **mounts)


site = Site()
site.mount("/", home)
site.mount("/api", api)
site.mount("/httpbin", httpbin)
site.mount("/django", django)

app = site.asgi  # uvicorn examples.demo.site:app
application = site.wsgi  # gunicorn examples.demo.site:application
