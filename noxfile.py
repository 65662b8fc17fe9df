"""The tests on each CPython that the machine has: `make test-all`."""

from __future__ import annotations

import os
from pathlib import Path

import nox

VERSIONS = ["3.11", "3.12", "3.13"]

# pyenv puts its versions where only its own shims find them, and the shims refuse what is not selected.
_pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
_found = [str(folder) for version in VERSIONS for folder in sorted(_pyenv.glob(f"{version}.*/bin"))]
os.environ["PATH"] = os.pathsep.join([*_found, os.environ["PATH"]])

nox.needs_version = ">=2024.4"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"


@nox.session(python=VERSIONS)
def tests(session: nox.Session) -> None:
    session.install("--no-deps", "-r", "requirements/dev.txt")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    session.run("python", "-X", "dev", "-m", "pytest", *session.posargs)
