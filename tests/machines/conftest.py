from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge._runtime import inlet, outlet


@pytest.fixture(autouse=True, scope="module")
def _nobody_looks_up() -> Iterator[None]:
    """A thread that looks up every half second would find in time what it was not told."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (inlet, outlet):
            patch.setattr(module, "LOOK_UP_SECONDS", 3_600)
        yield
