"""Measure what the docs state in figures: `python -m tools.figures` writes docs/reference/figures.md.

The figures come from the tests over real servers, which assert the bounds and print what they saw.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "figures.md"
TESTS = [
    "tests/servers/test_streaming.py",
    "tests/servers/test_memory.py",
    "tests/servers/test_overload.py",
    "tests/extensions/test_server_sent_events.py",
]
SERVERS = {
    "uvicorn": "WSGI app, uvicorn (httptools)",
    "uvicorn-h11": "WSGI app, uvicorn (h11)",
    "gunicorn": "ASGI app, gunicorn gthread",
    "gunicorn-sync": "ASGI app, gunicorn sync",
    "waitress": "ASGI app, waitress",
}
# The dots of pytest, for the tests that have printed nothing, stand before the next line.
LINE = re.compile(rf"^[.s]*({'|'.join(SERVERS)}): (.+)$", re.MULTILINE)

TEXT = """\
# Measured behaviour

The tests over real servers assert these bounds on each run, and print what they saw; `make figures` writes this page from them.
Taken on {machine}, CPython {python}, with {versions}.

{lists}

What is asserted:

- 1 GiB up or down grows the memory of the server by less than 32 MiB, in either direction.
  uvicorn's h11 and gunicorn's sync worker are given 256 MiB to save time.
- A client that stops reading stops the producer; what it is ahead then lies in the buffers of two sockets and of the server, and 256 KiB of it in the bridge.
- Blocks of 10 MB are not multiplied: at most four are in memory at once.
- With 200 event streams open each gets its event while it waits for the next; the time from its yield to its client is measured, not asserted.
- The threads of 200 clients that have left an event stream serve the next 200; each stream makes at most ten silent blocks, of half a second, before its end, and how long it takes is measured.
- Beside 80 calls of an app with 10 threads and 20 places, those that are too many are answered 503, the native routes are served meanwhile, and the app serves again when it can; the times are measured, not asserted.
- One that waits for a thread for longer than `queue_timeout` is answered 503, and never before; how late is measured.
- A first block arrives while the app waits for something that happens after its arrival; the time is measured, not asserted.
- Waitress is bound more loosely, by 64 MiB: it keeps up to 16 MiB of a response itself before it stops the app, and an app of its own kind costs it as much.
  It takes the whole request to disk before the app sees it, so its upload says nothing about the bridge.
- 400 requests whose app fails at random points, on each of the five servers: no truncated answer looked whole.
"""


def measure() -> dict[str, list[str]]:
    """Run the tests and collect what they print, by server."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:randomly", *TESTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    seen: dict[str, list[str]] = defaultdict(list)
    for server, words in LINE.findall(done.stdout):
        seen[server].append(words)
    return seen


def page(seen: dict[str, list[str]]) -> str:
    """Write the page."""
    lists = "\n\n".join(
        "\n".join([f"**{title}**", "", *(f"- {words}" for words in seen[server])])
        for server, title in SERVERS.items()
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "gunicorn", "waitress"))
    machine = f"{platform.system()} {platform.machine()}, 2 cores"
    return TEXT.format(lists=lists, machine=machine, python=platform.python_version(), versions=versions)


if __name__ == "__main__":
    PAGE.write_text(page(measure()), "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
