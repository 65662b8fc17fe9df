"""Every argument of what a user constructs: a bad value fails there, by its name, and says what would do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from bridge import ASGIToWSGI, Limits, LoopThread, ServerLimits, ThreadPool, WSGIToASGI
from bridge.errors import ConfigurationError
from tests.contract.asgi_specimens import hello as asgi_hello
from tests.contract.wsgi_specimens import hello as wsgi_hello


def _name(made: Callable[..., Any]) -> str:
    return getattr(made, "__name__", "?")


BAD: dict[Callable[..., Any], dict[str, list[Any]]] = {
    WSGIToASGI: {
        "app": [None, "site:app", asgi_hello],
        "threads": [0, -1, 1.5, "10", True],
        "backlog": [-1, None, 1.5],
        "queue_timeout": [-1, "5", float("nan"), False, True],
        "pool": [10, "shared"],
        "limits": [5, {"max_headers": 5}],
        "errors": [5, "stderr"],
        "max_websockets": [0, -1, None, 1.5],
        "websocket_origins": ["https://example.org", [5]],
        "on_worker_start": [5, asgi_hello],
        "on_worker_stop": [5, asgi_hello],
        "after_request": [5, asgi_hello],
        "shutdown_timeout": [-1, "5", float("inf"), 1e300],
        "request_timeout": [-1, "5"],
        "send_timeout": [0, -1, "5", True],
        "receive_timeout": [0, -1, "5", float("inf")],
        "observers": [[5], ["notes"]],
    },
    ASGIToWSGI: {
        "app": [None, "site:app", wsgi_hello],
        "lifespan": ["yes", None, True],
        "max_concurrency": [0, -1, 1.5, "4", True],
        "limits": [5, {"max_headers": 5}],
        "loop_thread": ["main", 5],
        "startup_timeout": [-1, "5", float("nan")],
        "task_timeout": [-1, "5"],
        "shutdown_timeout": [-0.1, "5"],
        "cancel_timeout": [-1, "5"],
        "request_timeout": [-1, "5"],
        "max_websockets": [-1, None, 1.5],
        "websocket_ping_interval": [0, -1, "5"],
        "websocket_origins": ["https://example.org", [5]],
        "observers": [[5], ["notes"]],
    },
    ThreadPool: {
        "threads": [0, -1, 1.5, "10", True],
        "backlog": [-1, None, 1.5],
        "name": [5, None],
        "on_worker_start": [5, asgi_hello],
        "on_worker_stop": [5, asgi_hello],
        "shutdown_timeout": [-1, "5"],
    },
    Limits: {
        "max_body_bytes": [-1, "1 GiB", 1.5],
        "max_headers": [-1, None],
        "max_header_bytes": [-1, None],
        "max_path_bytes": [-1, None],
        "max_message_bytes": [-1, None],
        "server": [5, "nginx", "", {"max_headers": 5}],
    },
    ServerLimits: {
        "name": [5, None, ""],
        "max_body_bytes": [0, -1, "1 GiB", 1.5],
        "max_headers": [0, True],
        "max_field_bytes": [0, -1],
        "max_header_bytes": [0, -1],
        "max_path_bytes": [0, -1],
        "max_message_bytes": [0, -1],
        "options": [5, "--limit", {"max_fields": "--limit"}],
    },
    LoopThread: {"loop_factory": ["uvloop", 5]},
}
TRUTH = {"strict", "refuse_underscores", "websocket", "measure", "server_timing", "multiprocess"}
"""What is taken for true or false, whatever it is."""

NAMES: dict[Callable[..., Any], set[str]] = {WSGIToASGI: {"name"}, ASGIToWSGI: {"name"}}
"""What may be anything that can be written."""

CASES = [
    pytest.param(made, name, value, id=f"{_name(made)}-{name}-{value!r:.20}")
    for made, arguments in BAD.items()
    for name, values in arguments.items()
    for value in values
]


@pytest.mark.parametrize(("made", "name", "value"), CASES)
def test_a_bad_argument_fails_at_construction_by_its_name(
    made: Callable[..., Any], name: str, value: Any
) -> None:
    others: dict[str, Any] = {"name": "nginx"} if made is ServerLimits else {}
    if "app" in BAD[made]:
        others["app"] = wsgi_hello if made is WSGIToASGI else asgi_hello
    if made is WSGIToASGI:
        others["websocket"] = True

    with pytest.raises(ConfigurationError) as caught:
        made(**{**others, name: value})

    message = str(caught.value)
    assert name in message
    assert "expected" in message or "takes any kind" in message


@pytest.mark.parametrize("made", BAD, ids=_name)
def test_every_argument_has_a_bad_value_here(made: Callable[..., Any]) -> None:
    arguments = set(inspect.signature(made).parameters) - TRUTH - NAMES.get(made, set())

    assert arguments == set(BAD[made])
