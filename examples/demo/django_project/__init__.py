"""A small Django project with its admin. It does not know its prefix: SCRIPT_NAME tells it."""
