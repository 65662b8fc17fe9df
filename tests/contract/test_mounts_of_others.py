"""The bare adapters in the mounts of Starlette and Werkzeug do as in a site."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, redirect, request, url_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

from bridge import ASGIToWSGI, Site, WSGIToASGI

flask_app = Flask("pages")


@flask_app.get("/show/<path:rest>")
def show(rest: str) -> str:
    urls = url_for("show", rest=rest), url_for("show", rest=1, _external=True)
    return f"{request.script_root} {request.path} {urls}"


@flask_app.get("/away")
def away() -> Any:
    return redirect(url_for("show", rest="x"))


def show_asgi(request: Request) -> PlainTextResponse:
    url = request.url_for("show", rest="a")
    return PlainTextResponse(f"{request.scope['root_path']} {request.url.path} {url}")


star = Starlette(routes=[Route("/show/{rest:path}", show_asgi, name="show")])

PATHS = ["/pages/show/x", "/pages/show/a%2Fb/%C3%A9", "/pages/show/", "/pages/away", "/pages/nowhere"]


def essence(response: Any) -> tuple[int, str, str]:
    return response.status_code, response.headers.get("location", ""), response.text


@pytest.mark.parametrize("path", PATHS)
def test_starlettes_mount_and_host_give_a_flask_app_what_a_site_gives(path: str) -> None:
    site, hosted = Site(), Site()
    site.mount("/pages", flask_app)
    hosted.host("a.test", site)
    adapter = WSGIToASGI(flask_app)
    native = Starlette(routes=[Host("a.test", app=Starlette(routes=[Mount("/pages", app=adapter)]))])

    answers = [
        essence(TestClient(app, base_url="http://a.test", follow_redirects=False).get(path))
        for app in (native, hosted.asgi)
    ]

    missing = path in ("/pages/nowhere", "/pages/show/")
    assert answers[0] == answers[1]
    assert answers[0][0] == (404 if missing else 302 if path == "/pages/away" else 200)


@pytest.mark.parametrize("path", ["/star/show/x", "/star/show/a%2Fb", "/star/nowhere"])
def test_werkzeugs_dispatcher_gives_a_starlette_app_what_a_site_gives(path: str) -> None:
    site = Site()
    site.mount("/star", star)
    site.mount("/", flask_app)
    native = DispatcherMiddleware(flask_app.wsgi_app, {"/star": ASGIToWSGI(star)})

    answers = [essence(Client(app, Response).get(path)) for app in (native, site.wsgi)]
    site.close()

    assert answers[0] == answers[1] and answers[0][0] == (404 if "nowhere" in path else 200)
