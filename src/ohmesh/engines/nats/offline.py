"""What was published while there was no connection: the oldest of it, up to a bound, in order and without holes."""

from __future__ import annotations

from collections import deque


class OfflineMessages:
    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._messages: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self.dropped = 0

    @property
    def is_wanted(self) -> bool:
        return self._limit_bytes > 0

    def keep(self, subject: str, data: bytes) -> None:
        """Keep it, or drop it when there is no room; from the first dropped one on all are."""
        if self.dropped or self._bytes + len(data) > self._limit_bytes:
            self.dropped += 1
            return
        self._messages.append((subject, data))
        self._bytes += len(data)

    def take(self) -> deque[tuple[str, bytes]]:
        """All of it as (subject, data), and begin anew."""
        taken, self._messages = self._messages, deque()
        self._bytes = 0
        self.dropped = 0
        return taken
