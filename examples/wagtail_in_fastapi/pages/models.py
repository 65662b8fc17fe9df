"""A page with a text, and links to the pages below it."""

from django.db import models
from wagtail.admin.panels import FieldPanel
from wagtail.models import Page


class TextPage(Page):
    """A title and a text."""

    text = models.TextField(blank=True)
    content_panels = [*Page.content_panels, FieldPanel("text")]  # noqa: RUF012
    template = "pages/text_page.html"

    class Meta:
        app_label = "pages"
