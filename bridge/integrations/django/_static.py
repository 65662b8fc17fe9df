"""Static files of a Django project that does not know its prefix."""

from __future__ import annotations

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix

__all__ = ["PrefixedStaticFilesStorage", "PrefixedUrls"]


class PrefixedUrls:
    """Makes a static files storage build its URLs with the SCRIPT_NAME of each request.

    For a relative STATIC_URL, such as "static/". Django puts SCRIPT_NAME in front of it once, when the
    setting is first read (5.2, conf/__init__.py); what reads it at the start, a management command in the
    same process or WhiteNoise, leaves every link without the prefix. Put it before the storage that you use:
    `class Storage(PrefixedUrls, ManifestStaticFilesStorage): ...`.
    """

    @property
    def base_url(self) -> str:
        """The address of the static files: absolute ones as they are."""
        url: str = settings._wrapped.STATIC_URL  # as it was set: settings.STATIC_URL has a prefix by now
        if not url.endswith("/"):
            url += "/"
        if url.startswith(("/", "http://", "https://")):
            return url
        prefix: str = get_script_prefix()
        return prefix + url


class PrefixedStaticFilesStorage(PrefixedUrls, StaticFilesStorage):  # type: ignore[misc]  # Django has no types
    """Django's own storage with the URLs of `PrefixedUrls`."""
