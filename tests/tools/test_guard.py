from __future__ import annotations

import pytest

from benchmarks.guard import compared


@pytest.mark.parametrize(
    ("count", "slower"),
    [
        pytest.param(90, [], id="faster"),
        pytest.param(110, [], id="a-tenth"),
        pytest.param(111, ["x"], id="more"),
    ],
)
def test_a_mix_may_take_a_tenth_more_than_the_stored_figure(count: int, slower: list[str]) -> None:
    assert compared({"x": count}, {"x": 100}) == slower


def test_a_mix_without_a_stored_figure_is_not_passed_over() -> None:
    """A renamed mix would be guarded by nothing."""
    assert compared({"new": 1}, {"old": 1}) == ["new"]
