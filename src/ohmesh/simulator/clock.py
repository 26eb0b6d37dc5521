"""The port Clock over virtual time, with a wall clock that may be wrong: an offset, a drift, a step."""

from __future__ import annotations

import asyncio

EPOCH_MS = 1_800_000_000_000  # where every run begins, in January 2027


class SimulatedClock:
    """`offset_ms` is the wall clock's error at the start, `drift_ppm` how fast it and the monotonic clock gain.

    `zero_ms` is where this process's monotonic clock began; asyncio's timers keep true time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        offset_ms: float = 0.0,
        drift_ppm: float = 0.0,
        zero_ms: float = 0.0,
    ) -> None:
        self._loop = loop
        self._offset_ms = offset_ms
        self._rate = 1.0 + drift_ppm / 1e6
        self._zero_ms = zero_ms

    def now_ms(self) -> int:
        return int(EPOCH_MS + self._offset_ms + self._elapsed_ms())

    def monotonic_ms(self) -> int:
        return int(self._zero_ms + self._elapsed_ms())

    def monotonic_us(self) -> int:
        return int((self._zero_ms + self._elapsed_ms()) * 1000)

    def step(self, by_ms: float) -> None:
        """What an administrator or NTP does: the wall clock jumps, the monotonic one does not."""
        self._offset_ms += by_ms

    def lose(self, span_ms: float) -> None:
        """What a suspended machine does: the monotonic clock has not counted this span, the wall clock has."""
        self._zero_ms -= span_ms * self._rate

    def _elapsed_ms(self) -> float:
        return round(self._loop.time() * 1000.0 * self._rate, 3)
