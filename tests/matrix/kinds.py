"""The servers of the matrix; their commands are those of docs/how-to/deploy.md."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.servers import ROOT

PAGE: Final = ROOT / "docs/how-to/deploy.md"
_ROW: Final = re.compile(
    r"^\| (?P<name>[^|]+) \| (?P<interface>WSGI|ASGI) \| `(?P<command>[^`]+)` \|$", re.MULTILINE
)


@dataclass(frozen=True)
class Kind:
    """A server as it is run.

    Attributes:
        name: for the page.
        row: its name in deploy.md; empty for the same name.
        http2: whether the client speaks HTTP/2, without TLS.
        end: the signal that ends it.
    """

    name: str
    row: str = ""
    http2: bool = False
    end: signal.Signals = signal.SIGTERM

    @property
    def interface(self) -> str:
        """What it serves: "wsgi" or "asgi"."""
        return ROWS[self.row or self.name]["interface"].lower()

    def command(self, port: int) -> list[str]:
        """Give the command of deploy.md, with another port, and with the programs that run this test."""
        program, *arguments = shlex.split(ROWS[self.row or self.name]["command"].replace("8000", str(port)))
        if program == "gunicorn":  # of several at once only one can have it
            arguments.append("--no-control-socket")
        return [str(Path(sys.prefix, "bin", program)), *arguments]


def rows_of(page: str) -> dict[str, dict[str, str]]:
    """Give the servers of the table in a page: interface and command, by name."""
    return {row["name"]: row.groupdict() for row in _ROW.finditer(page)}


ROWS: Final = rows_of(PAGE.read_text("utf-8"))
KINDS: Final = [
    Kind("Werkzeug"),
    Kind("Werkzeug, SIGINT", "Werkzeug", end=signal.SIGINT),
    Kind("gunicorn sync"),
    Kind("gunicorn gthread"),
    Kind("gunicorn --preload"),
    Kind("gunicorn gevent"),
    Kind("uWSGI"),
    Kind("waitress"),
    Kind("waitress, SIGINT", "waitress", end=signal.SIGINT),
    Kind("granian WSGI"),
    Kind("gunicorn asgi"),
    Kind("uvicorn h11"),
    Kind("uvicorn httptools"),
    Kind("hypercorn"),
    Kind("hypercorn HTTP/2", "hypercorn", http2=True),
    Kind("daphne"),
    Kind("granian ASGI"),
]
