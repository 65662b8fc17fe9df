"""How the admin shows it."""

from django.contrib import admin

from examples.demo.notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    """Lists, searches and edits notes."""

    list_display = ("title", "text", "written")
    search_fields = ("title", "text")
