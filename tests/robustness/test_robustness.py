"""The bridge holds in every case that is tried with the peers, and a case can tell who does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bridge.types import Environ, Receive, Scope, Send
from robustness import bad_inputs, page
from robustness.bad_inputs import ASGI_APP, INPUTS, WSGI_APP
from robustness.contestants import US
from robustness.over_servers import ask, no_response, serving, system_exit, truncated_upload


@pytest.mark.parametrize("case", WSGI_APP)
def test_a_bad_input_to_a_wsgi_app_is_held(case: str) -> None:
    seen = WSGI_APP[case](US)

    assert seen.held, seen.said


@pytest.mark.parametrize("case", ASGI_APP)
def test_a_bad_input_to_an_asgi_app_is_held(case: str) -> None:
    seen = ASGI_APP[case](US)

    assert seen.held, seen.said


def naive(direction: str, name: str, app: Any) -> Any:
    """Bridge a WSGI app without any care."""

    async def bridge(scope: Scope, receive: Receive, send: Send) -> None:
        environ: Environ = {"PATH_INFO": scope["path"].removeprefix(scope["root_path"])}
        for field, value in scope["headers"]:
            key = "HTTP_" + field.decode("latin-1").upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        environ["CONTENT_LENGTH"] = environ.get("HTTP_CONTENT_LENGTH")
        environ["wsgi.input"] = Empty()
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            answer.update(status=int(status[:3]), headers=[(k.encode(), v.encode()) for k, v in headers])

        blocks: Iterable[bytes] = app(environ, start_response)
        await send({"type": "http.response.start", **answer})
        await send({"type": "http.response.body", "body": b"".join(blocks)})
        await asyncio.sleep(0)

    return bridge


class Empty:
    """A body that is always at its end."""

    def read(self, size: int = -1) -> bytes:
        return b""


BLAMELESS = {"a query that is no ASCII", "20 000 equal header fields"}


@pytest.mark.parametrize("case", sorted(set(WSGI_APP) - BLAMELESS))
def test_a_careless_bridge_is_found_out(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_inputs, "bridged", naive)

    assert not WSGI_APP[case]("naive").held


@pytest.mark.parametrize("direction", ["wsgi_to_asgi", "asgi_to_wsgi"])
def test_a_server_survives_the_faults(direction: str) -> None:
    with serving(direction, US) as server:
        ask(server, "/quick", timeout=30)  # gunicorn listens before its worker has imported the app
        found = [case(server) for case in (system_exit, no_response, truncated_upload)]

    assert all(seen.held for seen in found), found


def test_the_page_shows_who_held() -> None:
    results = [
        {
            "direction": direction,
            "group": group,
            "case": "a case",
            "contestant": name,
            "held": name == US,
            "said": "x",
        }
        for direction, (_, contestants) in page._DIRECTIONS.items()
        for group in page._GROUPS
        for name in contestants
    ]

    text = page.page({"date": "2026-01-01", "python": "3.11", "versions": {"a": "1"}, "results": results})

    assert "| a case | ✓ | ✗ | ✗ | ✗ | ✗ |" in text
    assert "| A WSGI app under uvicorn: bridge | 1 of 1 | 1 of 1 | 1 of 1 |" in text
    assert "| An ASGI app under gunicorn: a2wsgi | 0 of 1 | 0 of 1 | 0 of 1 |" in text


def test_the_page_shows_what_the_soak_and_the_fuzzers_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trends = {"rss": {"growth": 2.0, "allowed": 1.0}, "fds": {"growth": 0.0, "allowed": 1.0}}
    server = {
        "server": "Flask under uvicorn",
        "seconds": 300.0,
        "requests": 123_456,
        "counts": {"wrong_answers": 1, "lost_requests": 2},
        "trends": trends,
        "left": {"in_flight": 3, "websockets": 0},
    }
    (tmp_path / "soak.json").write_text(json.dumps({"date": "2026-01-01", "servers": [server]}))
    (tmp_path / "fuzz.json").write_text(json.dumps({"seconds": 300, "frames": {"runs": 7, "crashes": 0}}))
    for name, file in {"SOAK": "soak.json", "FUZZ": "fuzz.json"}.items():
        monkeypatch.setattr(page, name, tmp_path / file)

    text = page.page({"date": "2026-01-01", "python": "3.11", "versions": {}, "results": []})

    assert "| Flask under uvicorn | 300 | 123 456 | 1 | 2 | rss | 3 in_flight |" in text
    assert "- seconds: 300" in text
    assert "| frames | 7 | 0 |" in text


def test_each_case_has_a_name_of_its_own() -> None:
    assert all(len(cases) > 10 for cases in INPUTS.values())
