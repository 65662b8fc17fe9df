"""The addresses of the child."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import get_script_prefix, path, reverse
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

gate = threading.Event()


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("index")


@require_GET
def show_item(request: HttpRequest, item: int) -> JsonResponse:
    return JsonResponse({"item": item, "q": request.GET.getlist("q")})


def show_url(request: HttpRequest) -> JsonResponse:
    url = reverse("show_item", args=[3])
    here = request.build_absolute_uri()
    return JsonResponse({"self": here, "path": url, "absolute": request.build_absolute_uri(url)})


def go(request: HttpRequest) -> HttpResponse:
    return redirect("show_item", item=3)


def slash(request: HttpRequest) -> HttpResponse:
    return HttpResponse("slash")


def show_path(request: HttpRequest, rest: str) -> JsonResponse:
    return JsonResponse({"rest": rest})


def set_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("set")
    response.set_cookie("a", "1", path=f"{get_script_prefix()}cookie/show", httponly=True)
    response.set_cookie("b", "2", path=f"{get_script_prefix()}elsewhere")
    return response


def show_cookies(request: HttpRequest) -> JsonResponse:
    return JsonResponse({name: value for name, value in request.COOKIES.items() if name in "ab"})


@csrf_exempt
@require_POST
def form(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"name": request.POST.getlist("name")})


@csrf_exempt
@require_POST
def upload(request: HttpRequest) -> JsonResponse:
    file = request.FILES["file"]
    content = file.read()
    return JsonResponse({"name": file.name, "size": len(content), "sha256": sha256(content).hexdigest()})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    gate.clear()

    def blocks() -> Iterator[str]:
        yield "first\n"
        gate.wait(20)
        yield "last\n"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


def release(request: HttpRequest) -> HttpResponse:
    gate.set()
    return HttpResponse("released")


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def count(request: HttpRequest) -> JsonResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


def forget(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("forgotten")


@ensure_csrf_cookie
def csrf(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.method)


urlpatterns = [
    path("", index),
    path("items/<int:item>", show_item, name="show_item"),
    path("url", show_url),
    path("go", go),
    path("slash/", slash),
    path("path/<path:rest>", show_path),
    path("cookie/set", set_cookie),
    path("cookie/show", show_cookies),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("release", release),
    path("boom", boom),
    path("count", count),
    path("forget", forget),
    path("csrf", csrf),
]
