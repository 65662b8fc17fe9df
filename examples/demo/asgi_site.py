"""A FastAPI site with two WSGI apps mounted in it: httpbin, which is a Flask app, and Django.

`python -m examples.demo asgi` runs it under uvicorn, over a fresh database for Django.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from httpbin import app as httpbin

from bridge import WSGIToASGI
from examples.demo import PASSWORD, USERNAME
from examples.demo.api import books
from examples.demo.django_project.wsgi import application as django

httpbin_as_asgi = WSGIToASGI(httpbin)
django_as_asgi = WSGIToASGI(django)


@asynccontextmanager
async def lifespan(site: FastAPI) -> AsyncIterator[None]:
    """Give the threads back at the end: a server stops the site, not what is mounted in it."""
    yield
    for app in (httpbin_as_asgi, django_as_asgi):
        await asyncio.to_thread(app.close)


site = FastAPI(title="Books", lifespan=lifespan, docs_url="/api/docs", openapi_url="/api/openapi.json")
site.include_router(books, prefix="/api")
site.mount("/httpbin", httpbin_as_asgi, name="httpbin")
site.mount("/django", django_as_asgi, name="django")

templates = Jinja2Templates(Path(__file__).parent / "templates")


@site.get("/", response_class=HTMLResponse, include_in_schema=False)
async def show_landing_page(request: Request) -> Response:
    mounts = {name: request.url_for(name, path="/") for name in ("httpbin", "django")}
    login = {"username": USERNAME, "password": PASSWORD}
    return templates.TemplateResponse(
        request, "landing.html", {"kind": "asgi", "api": request.url_for("show_shelf"), **mounts, **login}
    )
