"""Two people chat in a real browser, through each example."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.servers import Server, serve
from tests.websocket.conftest import until

EXAMPLES = [
    ("uvicorn-websockets", "examples.chat_flask_sock.site:app"),
    ("gunicorn-gthread", "examples.chat_fastapi_gunicorn.site:application"),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: `make chromium` installs it where apt can")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def enter(browser: Browser, server: Server) -> Page:
    page = browser.new_page(viewport={"width": 640, "height": 480})
    page.goto(f"{server.url}/chat/")
    expect(page.get_by_role("status")).to_have_text("connected", timeout=20_000)
    return page


def say(page: Page, name: str, text: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def people(server: Server) -> int:
    with urllib.request.urlopen(f"{server.url}/people", timeout=20) as response:
        count: int = json.load(response)["people"]
    return count


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "app"), EXAMPLES, ids=["flask-sock in FastAPI", "FastAPI under gunicorn"])
def test_two_people_chat(browser: Browser, kind: str, app: str, tmp_path: Path) -> None:
    with serve(kind, app) as server:
        ann, bob = enter(browser, server), enter(browser, server)
        until(lambda: people(server) == 2)

        say(ann, "Ann", "Gr\u00fc\u00dfe \U0001f600")
        expect(bob.get_by_role("listitem")).to_have_text(["Ann: Gr\u00fc\u00dfe \U0001f600"], timeout=20_000)
        say(bob, "Bob", "<b>hello</b>")
        for page in (ann, bob):
            expect(page.get_by_role("listitem").nth(1)).to_have_text("Bob: <b>hello</b>", timeout=20_000)
        ann.screenshot(path=os.environ.get("SCREENSHOT", str(tmp_path / "chat.png")))

        bob.close()
        until(lambda: people(server) == 1)
        say(ann, "Ann", "alone?")
        expect(ann.get_by_role("listitem")).to_have_count(3, timeout=20_000)
        ann.close()
        until(lambda: people(server) == 0)
