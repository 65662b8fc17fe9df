"""Addresses of the Django project, relative to where it is mounted."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from examples.demo.notes.views import show_request

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("request/", show_request),
    path("request/<path:rest>", show_request),
]
