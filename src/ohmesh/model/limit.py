"""How many tasks of a kind may start in a time, and run at a time."""

from __future__ import annotations

from msgspec import Struct


class KindLimit(Struct, array_like=True, frozen=True, gc=False):
    """At most `burst` starts at once and `count` more in each `per_ms`; at most `concurrency` run. 0: no such bound."""

    count: int = 0
    per_ms: int = 0
    burst: int = 0
    concurrency: int = 0


class LimitStanding(Struct, array_like=True, frozen=True, gc=False):
    """A limit and how it stands. `running`: live leases of the kind.

    held_back: RATE or CONCURRENCY where it is what keeps the next task from starting. wait_ms: until RATE lets one."""

    limit: KindLimit
    running: int = 0
    held_back: str = ""
    wait_ms: int = 0


RATE = "rate"
CONCURRENCY = "concurrency"
