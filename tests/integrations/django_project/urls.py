from django.contrib import admin
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path, reverse
from django.views import View
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_POST

from bridge.integrations.django import include_asgi, include_wsgi
from tests.integrations.django_project.children import api, legacy


@ensure_csrf_cookie
def whoami(request: HttpRequest) -> JsonResponse:
    count = request.session.get("count")
    return JsonResponse(
        {"user": request.user.get_username(), "count": count, "api": reverse("api", kwargs={"path": "hello"})}
    )


@csrf_exempt
@require_POST
def log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    login(request, user)
    return HttpResponse("in")


@csrf_exempt
@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


@require_POST
def only_post(request: HttpRequest, number: int, slug: str) -> HttpResponse:
    return HttpResponse(f"{number} {slug}")


def starlette(request: HttpRequest) -> JsonResponse:
    return JsonResponse(dict(request.starlette_session))


def set_starlette(request: HttpRequest, value: str) -> HttpResponse:
    request.starlette_session["value"] = value
    return HttpResponse("set")


class ClassView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")

    def delete(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("deleted")


def anything(request: HttpRequest, **names: str) -> HttpResponse:
    return HttpResponse(f"{request.method} {names}")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("whoami/", whoami),
    path("login/", log_in),
    path("logout/", log_out),
    path("only-post/<int:number>/<slug:slug>/", only_post),
    path("starlette/", starlette),
    path("starlette/<value>/", set_starlette),
    path("class-view/", ClassView.as_view()),
    path("anything/", anything),
    re_path(r"^year/(?P<year>[0-9]{4})/$", anything),
    path("api/", include_asgi(api, name="api")),
    path("<slug:tenant>/api/", include_asgi(api)),
    path("legacy/", include_wsgi(legacy)),
]
