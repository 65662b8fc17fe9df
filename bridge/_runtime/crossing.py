"""The border between threads and an event loop, and how far one side may run ahead of the other.

A bridge costs what its crossings cost: waking a loop from a thread is a write to its self-pipe, waking a
thread is a futex and a fight for the GIL. So many posts share one wake-up (`Mailbox`), and nobody is woken
who is already awake (`Outlet`, from a thread to a task; `Inlet`, from a loop to a thread).
"""

from __future__ import annotations

__all__ = ["BLOCK_OVERHEAD_BYTES", "HIGH_WATER_BYTES", "LOOK_UP_SECONDS"]

HIGH_WATER_BYTES = 256 * 1024
"""What a stream may run ahead of its reader, in either direction and in bytes; one block may exceed it.

Four blocks of 64 KiB. With room for one, the two sides wait for each other at every block: a download ran at
half the speed. With 1 MiB it ran a third faster still, but that is no "block by block" any more (W-45).
"""

BLOCK_OVERHEAD_BYTES = 512
"""What a block in flight counts beside its bytes: of the smallest no more than some 500 are ahead."""

LOOK_UP_SECONDS = 0.5
"""How often a waiting thread makes sure that there is something to wait for."""
