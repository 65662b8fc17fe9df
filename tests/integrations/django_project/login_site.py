"""Django inside FastAPI, with one login; and Starlette's session, which Django reads."""

import os
from typing import Annotated, Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integrations.django_project.settings")
os.environ["DJANGO_STARLETTE_APP"] = "tests.integrations.django_project.login_site.site"

from django.contrib.auth import aauthenticate, alogin, alogout
from django.core.wsgi import get_wsgi_application
from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from bridge.integrations.fastapi import django_request, django_session, django_user, mount

CurrentUser = Annotated[Any, Depends(django_user())]
CurrentSession = Annotated[Any, Depends(django_session())]
CurrentRequest = Annotated[Any, Depends(django_request())]

site = FastAPI()
site.add_middleware(SessionMiddleware, secret_key="starlette's", session_cookie="api_session")


@site.get("/me")
async def me(user: CurrentUser) -> dict[str, Any]:
    return {"user": user.get_username(), "known": user.is_authenticated}


@site.post("/me")
async def change_me(user: CurrentUser) -> dict[str, Any]:
    return {"user": user.get_username()}


@site.get("/count-up")
async def count_up(session: CurrentSession) -> RedirectResponse:
    session["count"] = session.get("count", 0) + 1
    return RedirectResponse("/count", 303)


@site.get("/count")
async def count(session: CurrentSession) -> dict[str, Any]:
    return {"count": session.get("count")}


@site.get("/log-in")
async def log_in(request: CurrentRequest) -> None:
    user = await aauthenticate(request, username="ada", password="engine")
    await alogin(request, user)


@site.get("/log-out")
async def log_out(request: CurrentRequest) -> None:
    await alogout(request)


@site.get("/starlette/{value}")
async def set_starlette(request: Request, value: str) -> None:
    request.session["value"] = value


@site.get("/starlette")
async def show_starlette(request: Request) -> dict[str, Any]:
    return dict(request.session)


mount(site, "/site", get_wsgi_application())
