"""The sites of the matrix for a server behind a proxy."""

from __future__ import annotations

from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from tests.mounting import site


def __getattr__(name: str) -> Any:
    if name == "proxy_fixed":
        return ProxyFix(site.wsgi, x_for=1, x_proto=1, x_host=1, x_prefix=1)
    return getattr(site, name)
