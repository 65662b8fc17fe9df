"""Run the demo site until Ctrl-C: `python -m examples.demo asgi`, or `wsgi` for the reverse."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.demo import PASSWORD, USERNAME

SERVERS = {
    "asgi": "uvicorn examples.demo.site:app --host {host} --port {port}",
    "wsgi": "gunicorn examples.demo.site:application --bind {address} --no-control-socket"
    " --worker-class gthread --threads 16",
}


def main() -> int:
    options = parse_options()
    address = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
    values = {"host": options.host, "port": options.port, "address": address}
    command = [sys.executable, "-m", *SERVERS[options.kind].format(**values).split()]

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the demo just as Ctrl-C does
    try:
        with TemporaryDirectory(prefix="bridge-demo-") as folder:
            os.environ["DEMO_DATABASE"] = str(Path(folder) / "db.sqlite3")
            make_database()
            print(f"\n  The demo site:     http://{address}/")
            print(f"  Log in to Django:  {USERNAME} / {PASSWORD}")
            print("  Stop it:           Ctrl-C\n", flush=True)
            return serve(command)
    except KeyboardInterrupt:
        return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="Run the demo site.")
    parser.add_argument(
        "kind", choices=SERVERS, help="asgi: under uvicorn; wsgi: the reverse, under gunicorn"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="the port to listen on (%(default)s)")
    return parser.parse_args()


def make_database() -> None:
    """Create the tables, the demo login and a first note, in a database that lives as long as the demo."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "examples.demo.django_project.settings"

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)

    from django.contrib.auth.models import User

    from examples.demo.notes.models import Note

    User.objects.create_superuser(USERNAME, password=PASSWORD)
    Note.objects.create(title="Welcome", text="Django wrote this before the first request came.")


def serve(command: list[str]) -> int:
    """Run a server until it ends, or until this process is asked to."""
    server = subprocess.Popen(command)
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())
