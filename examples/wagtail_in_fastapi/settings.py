"""Settings of the Wagtail project. It does not know its prefix: SCRIPT_NAME tells it."""

import os
from pathlib import Path

SECRET_KEY = "not a secret: the example's"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "examples.wagtail_in_fastapi.pages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("WAGTAIL_DATABASE", Path(__file__).with_name("db.sqlite3")),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "examples.wagtail_in_fastapi.urls"
USE_TZ = True
WAGTAIL_SITE_NAME = "Wagtail in FastAPI"
WAGTAILADMIN_BASE_URL = "http://localhost:8000/cms"

# Relative, so that SCRIPT_NAME goes in front: by the storage, for Django does it once, and here too early.
STATIC_URL = "static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "bridge.integrations.django.PrefixedStaticFilesStorage"},
}
MEDIA_URL = "media/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_STATIC_PREFIX = "/static/"
WHITENOISE_IMMUTABLE_FILE_TEST = "^$"
