"""A Django app: notes, kept by means of the admin."""
