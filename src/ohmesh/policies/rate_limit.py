"""A token bucket: over any stretch of w ms at most `burst` + w * count / per_ms are taken.

It counts in whole units (a token is `per_ms` of them, `count` come in each millisecond), so nothing is lost or won by
rounding. It begins empty: whoever cannot know what was taken before, takes nothing that may be too much.
"""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens; `count` come in each `per_ms`. Times never fall from call to call."""

    def __init__(self, count: int, per_ms: int, burst: int, now_ms: int) -> None:
        self._count = count
        self._token = per_ms
        self._room = burst * per_ms
        self._units = 0
        self._filled_ms = now_ms

    def tokens(self, now_ms: int) -> int:
        """How many may be taken now."""
        elapsed_ms = max(0, now_ms - self._filled_ms)
        self._filled_ms += elapsed_ms
        self._units = min(self._room, self._units + elapsed_ms * self._count)
        return self._units // self._token

    def take(self, tokens: int) -> None:
        """No more than `tokens` said."""
        self._units -= tokens * self._token

    def empty(self, now_ms: int) -> None:
        """Begin anew: what has come since nobody knows when does not count."""
        self._units = 0
        self._filled_ms = now_ms

    def wait_ms(self, now_ms: int) -> int:
        """Until the next token; 0 when there is one."""
        missing = self._token - self._units if not self.tokens(now_ms) else 0
        return -(-missing // self._count)
