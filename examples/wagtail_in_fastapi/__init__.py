"""Wagtail with its admin in FastAPI.

`python -m examples.wagtail_in_fastapi`, then `/cms/` and `/cms/admin/`, with admin / admin.
"""
