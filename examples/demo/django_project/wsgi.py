"""The WSGI app of the Django project."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.demo.django_project.settings")

application = get_wsgi_application()
