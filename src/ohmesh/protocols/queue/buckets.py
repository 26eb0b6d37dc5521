"""What the limits of kinds allow now: the part of them that is not in the log.

How full a bucket is dies with its dispatcher; the successor's begin empty. They are emptied too when time leaps (the
wall clock was set, this process stood still): how much of that time has passed for others nobody knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from ohmesh.model.limit import CONCURRENCY, RATE, KindLimit, LimitStanding
from ohmesh.protocols.queue.kind_limits import KindLimits

UNLIMITED = sys.maxsize


class Bucket(Protocol):
    """See ohmesh.policies.rate_limit."""

    def tokens(self, now_ms: int) -> int: ...

    def take(self, tokens: int) -> None: ...

    def empty(self, now_ms: int) -> None: ...

    def wait_ms(self, now_ms: int) -> int: ...


MakeBucket = Callable[[int, int, int, int], Bucket]


class Buckets:
    """`make(count, per_ms, burst, now_ms)`. leap_ms: when nobody has looked for longer, time has leapt."""

    def __init__(self, limits: KindLimits, make: MakeBucket, leap_ms: int) -> None:
        self._limits = limits
        self._make = make
        self._leap_ms = leap_ms
        self._buckets: dict[str, Bucket] = {}
        self._looked_ms = 0

    def begin(self, at_ms: int) -> None:
        """A dispatcher begins."""
        self._looked_ms = at_ms
        for kind, limit in self._limits.of.items():
            self.begin_kind(kind, limit, at_ms)

    def begin_kind(self, kind: str, limit: KindLimit | None, at_ms: int) -> None:
        """It has this limit from now on."""
        self._buckets.pop(kind, None)
        if limit is not None and limit.count:
            self._buckets[kind] = self._make(limit.count, limit.per_ms, limit.burst, at_ms)

    def look(self, at_ms: int) -> None:
        """Call often, and before anything is allowed."""
        if at_ms - self._looked_ms > self._leap_ms:
            for bucket in self._buckets.values():
                bucket.empty(at_ms)
        self._looked_ms = at_ms

    def allowance(self, kind: str, at_ms: int) -> int:
        """How many tasks of this kind may start now."""
        limit = self._limits.of.get(kind)
        if limit is None:
            return UNLIMITED
        allowed = limit.concurrency - len(self._limits.held[kind]) if limit.concurrency else UNLIMITED
        if kind in self._buckets and allowed > 0:
            allowed = min(allowed, self._buckets[kind].tokens(at_ms))
        return max(0, allowed)

    def spend(self, kind: str, started: int) -> None:
        """So many of what was allowed have started."""
        if started and kind in self._buckets:
            self._buckets[kind].take(started)

    def standing(self, kind: str, at_ms: int, *, waits: bool) -> LimitStanding | None:
        """None without a limit. `waits`: something is ready to start, else nothing is held back."""
        limit = self._limits.of.get(kind)
        if limit is None:
            return None
        running = len(self._limits.held[kind])
        wait_ms = self._buckets[kind].wait_ms(at_ms) if kind in self._buckets else 0
        held_back = ""
        if waits:
            is_full = limit.concurrency and running >= limit.concurrency
            held_back = CONCURRENCY if is_full else RATE if wait_ms else ""
        return LimitStanding(limit, running, held_back, wait_ms)
