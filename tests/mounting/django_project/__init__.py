"""The Django child, and the Django host: a process has one set of settings."""
