"""A Django project with apps mounted in it; each test runs it in a process of its own."""
