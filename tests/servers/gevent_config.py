"""A configuration of gunicorn that patches before the app is imported."""

from gevent import monkey

monkey.patch_all()
