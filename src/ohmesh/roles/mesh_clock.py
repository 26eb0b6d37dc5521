"""Mesh time as one dispatcher tells it: the wall clock, which may be set back, made to go on.

While the wall clock is behind what was told already, time goes on at half the speed of the monotonic clock until the
two meet: what is due becomes due, silence is noticed, and an error of an hour is gone after two.
"""

from __future__ import annotations

from ohmesh.ports.clock import Clock


class MeshClock:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_ms = 0
        self._told_at_ms = clock.monotonic_ms()

    def begin(self, least_ms: int) -> None:
        """Never tell less than this: the time of the last row."""
        self._told_ms = max(self._told_ms, least_ms)
        self._told_at_ms = self._clock.monotonic_ms()

    def now_ms(self) -> int:
        wall_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        slow_ms = self._told_ms + (monotonic_ms - self._told_at_ms) // 2
        if wall_ms < slow_ms:
            return slow_ms
        self._told_ms, self._told_at_ms = wall_ms, monotonic_ms
        return wall_ms
