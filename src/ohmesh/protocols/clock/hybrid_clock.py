"""Hybrid logical clock: stamps near to real time in which a cause always comes before its effect.

The physical part is the highest millisecond that was seen, of the own clock or in a stamp; the counter orders what
shares it. Invariants: each stamp is higher than every earlier one and than every stamp that was received; the physical
part is never ahead of the fastest clock of all by more than what a full counter borrows.
A stamp from too far in the future would drag every clock of the mesh there, so it is refused and its frame with it.
Source: Kulkarni and others, Logical Physical Clocks (2014), figure 5.
"""

from __future__ import annotations

from ohmesh.model.hybrid_time import MAX_COUNTER, pack_stamp, unpack_stamp

MAX_OFFSET_MS = 500


class HybridClock:
    """max_offset_ms: how far a stamp may be ahead of the own clock: more than clocks that work can differ."""

    def __init__(self, max_offset_ms: int = MAX_OFFSET_MS) -> None:
        self.max_offset_ms = max_offset_ms
        self.refused = 0
        self._physical_ms = 0
        self._counter = -1

    @property
    def last(self) -> int:
        """The highest stamp that was given or received; 0 before the first."""
        return pack_stamp(self._physical_ms, max(self._counter, 0))

    def stamp(self, now_ms: int) -> int:
        """For what happens here now, and for what is sent."""
        self._rise_above(self._physical_ms, self._counter, now_ms)
        return self.last

    def receive(self, stamp: int, now_ms: int) -> bool:
        """Rise above a stamp that came. False, and nothing else: it is too far ahead of the own clock.

        Raises InvalidArgument: it is none."""
        physical_ms, counter = unpack_stamp(stamp)
        if physical_ms > now_ms + self.max_offset_ms:
            self.refused += 1
            return False
        self._rise_above(*max((physical_ms, counter), (self._physical_ms, self._counter)), now_ms)
        return True

    def _rise_above(self, physical_ms: int, counter: int, now_ms: int) -> None:
        if now_ms > physical_ms:
            self._physical_ms, self._counter = now_ms, 0
        elif counter < MAX_COUNTER:
            self._physical_ms, self._counter = physical_ms, counter + 1
        else:
            self._physical_ms, self._counter = physical_ms + 1, 0
