"""Real apps of both kinds on one site: httpbin (Flask), the Django admin and a FastAPI app."""

USERNAME = "demo"
PASSWORD = "demo"
