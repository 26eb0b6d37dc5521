"""What a power cut takes: changes since the last time the disk was told to keep them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable


class Journal:
    """Changes of one store that are not durable yet, each with the way back. Durable at multiples of `every_s`."""

    def __init__(self) -> None:
        self._changes: deque[tuple[float, Callable[[], None]]] = deque()

    def record(self, now: float, every_s: float, undo: Callable[[], None]) -> None:
        """Note a change; forget those that have become durable. `every_s` 0: each is durable at once."""
        if every_s <= 0.0:
            self._changes.clear()
            return
        kept_before = last_sync(now, every_s)
        while self._changes and self._changes[0][0] < kept_before:
            self._changes.popleft()
        self._changes.append((now, undo))

    def cut(self, since: float) -> int:
        """Undo, newest first, what was written at `since` or later; return how many changes that were."""
        undone = 0
        while self._changes and self._changes[-1][0] >= since:
            self._changes.pop()[1]()
            undone += 1
        self._changes.clear()
        return undone


def last_sync(now: float, every_s: float) -> float:
    """When what had been written before became durable; `now` itself where everything is at once."""
    return math.floor(now / every_s) * every_s if every_s > 0.0 else math.inf
