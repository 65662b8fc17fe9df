"""The site: all that the bridge needs to know of Wagtail stands here."""

import os

from django.core.wsgi import get_wsgi_application
from fastapi import FastAPI

from bridge.integrations.fastapi import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.wagtail_in_fastapi.settings")

site = FastAPI()
mount(site, "/cms", get_wsgi_application(), openapi=False)
