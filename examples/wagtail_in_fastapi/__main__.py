"""Make the database, then serve the site."""

import os
import sys

import django
import uvicorn
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.wagtail_in_fastapi.settings")
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402  # needs the set-up

if not User.objects.exists():
    User.objects.create_superuser("admin", password="admin")
uvicorn.run("examples.wagtail_in_fastapi.site:site", port=int((sys.argv[1:] or ["8000"])[0]))
