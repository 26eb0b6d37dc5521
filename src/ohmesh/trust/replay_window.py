"""Which counters have been seen: each is taken once, late ones within a window, older ones never.

Source: RFC 6479, IPsec Anti-Replay Algorithm without Bit Shifting, for the idea; here one integer holds the bits.
"""

from __future__ import annotations


class ReplayWindow:
    """`size`: a counter that is so much below the highest one is too old."""

    def __init__(self, size: int = 1_024) -> None:
        self.highest = -1
        self._size = size
        self._mask = (1 << size) - 1
        self._seen = 0  # bit n: the counter `highest - n` was taken

    def is_new(self, counter: int) -> bool:
        behind = self.highest - counter
        return behind < 0 or (behind < self._size and not self._seen >> behind & 1)

    def take(self, counter: int) -> None:
        """Only what is new, and only once it has proven itself."""
        behind = self.highest - counter
        if behind >= 0:
            self._seen |= 1 << behind
        else:
            self._seen = (self._seen << min(-behind, self._size) | 1) & self._mask
            self.highest = counter
