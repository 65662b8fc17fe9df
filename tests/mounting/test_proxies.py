"""Behind a proxy every framework builds right absolute addresses, and nothing is trusted by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.mounting.site import PREFIX
from tests.support.servers import Server, serve

# What a proxy sends that serves the site as https://shop.example/site/ and takes the prefix off.
FORWARDED = {
    "Host": "shop.example",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Prefix": "/site",
}
MOUNTS = [
    (host, child)
    for host in ("fastapi", "flask", "django")
    for child in ("fastapi", "flask", "django")
    if (host, child) != ("django", "django")
]
RIGHT = f"https://shop.example/site/{PREFIX}/items/3"


@contextmanager
def site(host: str, child: str, kind: str, app: str, *options: str) -> Iterator[Server]:
    env = {"MOUNT_HOSTS": host, "MOUNT_CHILD": child, "FORWARDED_ALLOW_IPS": ""}
    with serve(kind, f"tests.mounting.proxied:{app}", *options, env=env) as server:
        yield server


def addresses(server: Server) -> dict[str, str]:
    with httpx.Client(base_url=server.url, timeout=30, headers=FORWARDED) as client:
        found: dict[str, str] = client.get(f"/{PREFIX}/url").json()
        found["redirect"] = client.get(f"/{PREFIX}/slash").headers["location"]
    return found


@pytest.mark.parametrize(("host", "child"), MOUNTS, ids="-".join)
def test_uvicorn_told_to_trust_the_proxy(host: str, child: str) -> None:
    options = ("--proxy-headers", "--forwarded-allow-ips", "127.0.0.1", "--root-path", "/site")
    with site(host, child, "uvicorn", "asgi", *options) as server:
        found = addresses(server)

    assert found["absolute"] == RIGHT
    assert found["self"] == f"https://shop.example/site/{PREFIX}/url"
    assert found["redirect"] in (
        f"https://shop.example/site/{PREFIX}/slash/",
        f"/site/{PREFIX}/slash/",
    )


@pytest.mark.parametrize(("host", "child"), MOUNTS, ids="-".join)
def test_gunicorn_with_proxy_fix(host: str, child: str) -> None:
    with site(host, child, "gunicorn", "proxy_fixed") as server:
        found = addresses(server)

    assert found["absolute"] == RIGHT
    assert found["self"] == f"https://shop.example/site/{PREFIX}/url"


@pytest.mark.parametrize(
    ("host", "child"), [("fastapi", "flask"), ("flask", "fastapi"), ("django", "fastapi")]
)
@pytest.mark.parametrize(("kind", "app"), [("uvicorn", "asgi"), ("gunicorn", "wsgi")])
def test_nothing_is_trusted_unless_said(host: str, child: str, kind: str, app: str) -> None:
    options = ("--no-proxy-headers",) if kind == "uvicorn" else ("--forwarded-allow-ips", "")
    with site(host, child, kind, app, *options) as server:
        found = addresses(server)

    assert found["absolute"] == f"http://shop.example/{PREFIX}/items/3"  # the Host is the client's own
    assert found["self"] == f"http://shop.example/{PREFIX}/url"
