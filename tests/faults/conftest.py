"""Runs each fault test as often as `FAULTS_ROUNDS` says."""

from __future__ import annotations

import pytest

from tests.faults.full import ROUNDS


@pytest.fixture(autouse=True)
def faults_round(request: pytest.FixtureRequest) -> int:
    return getattr(request, "param", 1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if ROUNDS > 1:
        metafunc.parametrize("faults_round", range(1, ROUNDS + 1), indirect=True, ids="round{}".format)
