from __future__ import annotations

import json

import pytest

from bridge._protocol.not_found import not_found

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        (BROWSER, "text/html"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "text/plain"),
        ("text/*;q=0.5, application/json", "application/json"),
        ("text/html;q=0.2, application/json;q=0.1", "text/html"),
        ("text/html;q=0, */*", "text/plain"),
        ("text/html;q=x, application/json;q=0.1", "application/json"),
        ("image/png", "text/plain"),
        (";;;,,=", "text/plain"),
    ],
)
def test_the_client_gets_the_form_that_it_likes_best(accept: str, form: str) -> None:
    assert not_found(accept)[0].split(";")[0] == form


def test_json_is_what_fastapi_answers() -> None:
    assert json.loads(not_found("application/json")[1]) == {"detail": "Not Found"}
