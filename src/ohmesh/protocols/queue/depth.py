"""How many tasks of a kind have not ended."""

from __future__ import annotations

from msgspec import Struct


class Depth(Struct, array_like=True):
    """Tasks of one kind that have not ended."""

    queued: int = 0
    running: int = 0
    retrying: int = 0

    def total(self) -> int:
        return self.queued + self.running + self.retrying
