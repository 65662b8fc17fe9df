"""The text that a Prometheus server scrapes, made by the real client library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from bridge import ASGIToWSGI, WSGIToASGI
from bridge.integrations.prometheus import BridgeCollector
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.support.asgi import get, post
from tests.support.wsgi import call

SECONDS = 10


def wsgi_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("of the app")
    environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"hello"]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(registry: CollectorRegistry) -> Series:
    """Give what a scrape reads; a series that stands twice is an error."""
    found: Series = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def closing() -> Iterator[list[WSGIToASGI | ASGIToWSGI]]:
    adapters: list[WSGIToASGI | ASGIToWSGI] = []
    yield adapters
    for adapter in adapters:
        adapter.close()


def test_the_figures_of_both_directions_are_scraped(
    registry: CollectorRegistry, closing: list[WSGIToASGI | ASGIToWSGI]
) -> None:
    shop = WSGIToASGI(wsgi_app, name="shop", measure=True)
    api = ASGIToWSGI(asgi_app, name="api", measure=True, lifespan="off")
    closing += [shop, api]
    registry.register(BridgeCollector([shop, api]))

    async def requests() -> None:
        await post(shop, b"x" * 100)
        await get(shop)
        with pytest.raises(ValueError, match="of the app"):
            await get(shop, "/fail")

    asyncio.run(requests())
    call(api)
    series = scraped(registry)

    to_asgi = {"app": "shop", "direction": "wsgi_to_asgi"}
    to_wsgi = {"app": "api", "direction": "asgi_to_wsgi"}
    assert value(series, "bridge_requests_total", outcome="completed", **to_asgi) == 2
    assert value(series, "bridge_requests_total", outcome="failed", **to_asgi) == 1
    assert value(series, "bridge_requests_total", outcome="completed", **to_wsgi) == 1
    assert value(series, "bridge_received_bytes_total", **to_asgi) == 100
    assert value(series, "bridge_sent_bytes_total", **to_asgi) == 10
    assert value(series, "bridge_sent_bytes_total", **to_wsgi) == 5
    assert value(series, "bridge_request_duration_seconds_count", **to_asgi) == 3
    assert value(series, "bridge_request_duration_seconds_bucket", le="+Inf", **to_asgi) == 3
    assert value(series, "bridge_request_duration_seconds_sum", **to_asgi) > 0
    assert value(series, "bridge_requests_in_flight", **to_asgi) == 0
    assert value(series, "bridge_crossings_total", **to_wsgi) >= value(
        series, "bridge_wakeups_total", **to_wsgi
    )


async def test_a_scrape_shows_what_runs_and_waits_now(registry: CollectorRegistry) -> None:
    running, release = threading.Event(), threading.Event()

    def slow(environ: Environ, start_response: StartResponse) -> list[bytes]:
        running.set()
        release.wait(SECONDS)
        start_response("200 OK", [])
        return []

    adapter = WSGIToASGI(slow, name="slow", threads=1)
    registry.register(BridgeCollector([adapter]))
    serving = [asyncio.ensure_future(get(adapter)) for _ in range(3)]
    await asyncio.to_thread(running.wait, SECONDS)

    series = scraped(registry)
    release.set()
    await asyncio.gather(*serving)
    await asyncio.to_thread(adapter.close)

    labels = {"app": "slow", "direction": "wsgi_to_asgi"}
    assert value(series, "bridge_requests_in_flight", **labels) == 3
    assert value(series, "bridge_requests_waiting", **labels) == 2
    assert value(series, "bridge_threads", state="busy", **labels) == 1


def test_adapters_of_one_name_are_one_series(registry: CollectorRegistry) -> None:
    adapters = [WSGIToASGI(wsgi_app, name="twin", measure=True) for _ in range(2)]
    registry.register(BridgeCollector())  # of all in the process
    asyncio.run(_one_request_each(adapters))

    series = scraped(registry)

    labels = {"app": "twin", "direction": "wsgi_to_asgi"}
    assert value(series, "bridge_requests_total", outcome="completed", **labels) == 2
    assert value(series, "bridge_request_duration_seconds_count", **labels) == 2
    for adapter in adapters:
        adapter.close()


async def _one_request_each(adapters: list[WSGIToASGI]) -> None:
    for adapter in adapters:
        await get(adapter)


def test_without_measuring_nothing_is_claimed_of_bytes_and_durations(registry: CollectorRegistry) -> None:
    adapter = WSGIToASGI(wsgi_app, name="plain")
    registry.register(BridgeCollector([adapter]))

    names = {name for name, _ in scraped(registry)}

    assert "bridge_requests_total" in names
    assert not {name for name in names if "bytes" in name or "seconds" in name}


def test_names_of_apps_are_escaped_and_openmetrics_can_be_made(registry: CollectorRegistry) -> None:
    adapter = WSGIToASGI(wsgi_app, name='a "b"\n\\c', measure=True)
    registry.register(BridgeCollector([adapter]))

    assert (
        value(scraped(registry), "bridge_requests_in_flight", app='a "b"\n\\c', direction="wsgi_to_asgi") == 0
    )
    openmetrics: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
    assert openmetrics.endswith(b"# EOF\n")
