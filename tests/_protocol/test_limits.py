from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from bridge._protocol.limits import Limits
from bridge.errors import ConfigurationError

NAMES = [field.name for field in fields(Limits) if field.name != "server"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, 1.5, "10", True, b"1"], ids=repr)
def test_a_limit_that_is_no_count_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{name: value})

    assert f"{name}={value!r}" in str(caught.value)
    assert "0 or more" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_a_limit(name: str) -> None:
    assert getattr(Limits(**{name: 0}), name) == 0  # type: ignore[arg-type]


def test_only_the_body_may_be_without_limit() -> None:
    assert Limits(max_body_bytes=None).max_body_bytes is None
    for name in set(NAMES) - {"max_body_bytes"}:
        with pytest.raises(ConfigurationError, match=name):
            Limits(**{name: None})  # type: ignore[arg-type]


@pytest.mark.spec("SEC-17", "SEC-18")
def test_every_limit_is_finite_by_default() -> None:
    limits = Limits()

    assert (limits.max_body_bytes, limits.max_message_bytes) == (1 << 30, 16 << 20)
    assert (limits.max_headers, limits.max_header_bytes, limits.max_path_bytes) == (1_000, 262_144, 65_536)


def test_limits_cannot_be_changed_while_requests_are_served() -> None:
    limits = Limits()

    with pytest.raises(FrozenInstanceError):
        limits.max_headers = 5  # type: ignore[misc]
