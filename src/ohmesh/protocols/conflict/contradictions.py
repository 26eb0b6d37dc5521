"""Who contradicts whom: an agent that contradicts three others or more is not one of two that differ, it is wrong.

A report names the fact that it received and who holds it; that holder is then contradicted by the reporter, once
however often it is said. An agent cannot accuse itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MAX_ACCUSED = 10_000


class Contradictions:
    """The longest untouched are forgotten above `limit`; each holds at most 64 that contradict it."""

    def __init__(self, limit: int = MAX_ACCUSED) -> None:
        self._limit = limit
        self._by_accused: OrderedDict[str, set[str]] = OrderedDict()

    def take(self, reporters: Iterable[str], accused: str) -> int:
        """By how many distinct agents it is contradicted now."""
        known = self._by_accused.setdefault(accused, set())
        self._by_accused.move_to_end(accused)
        for reporter in reporters:
            if reporter != accused and len(known) < 64:
                known.add(reporter)
        if len(self._by_accused) > self._limit:
            self._by_accused.popitem(last=False)
        return len(known)

    def forget(self, accused: Iterable[str]) -> None:
        """They were cleared."""
        for agent in accused:
            self._by_accused.pop(agent, None)
