"""The tests on each CPython that the machine has: `make test-all`."""

from __future__ import annotations

import nox

nox.needs_version = ">=2024.4"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    session.install("-r", "requirements/dev.txt")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    session.run("python", "-X", "dev", "-m", "pytest", *session.posargs)
