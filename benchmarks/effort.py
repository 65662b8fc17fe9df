"""How much is measured: quick or full."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each contestant has its turn.
        seconds: how long one turn lasts.
        blocks: of a streamed response.
        imports: how many processes are started to time an import.
        server_rounds: as rounds, with servers.
        server_seconds: as seconds, with servers.
        mib: what is sent up and down.
        mib_rounds: how often.
    """

    rounds: int
    seconds: float
    blocks: int
    imports: int
    server_rounds: int
    server_seconds: int
    mib: int
    mib_rounds: int


QUICK = Effort(
    rounds=7, seconds=0.03, blocks=1000, imports=7, server_rounds=2, server_seconds=1, mib=64, mib_rounds=2
)
FULL = Effort(
    rounds=19, seconds=0.1, blocks=2000, imports=21, server_rounds=5, server_seconds=2, mib=256, mib_rounds=5
)
