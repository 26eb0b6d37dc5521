"""How the next delay of each agent is distributed: a repetition of the last value, or a new one.

    P(delay <= x) = again * [last <= x] + (1 - again) * P(residual <= (x - centre) / unit)

Where nothing is known of residuals yet (`is_known` is false), a new delay is guessed as TCP guesses after its first
round trip: with 95 % within three times the centre (RFC 6298, section 2.2), or within the centre and twice the spread
where that is more; the tail exponential. Before the first value there is the prior, and it stands for any share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohmesh.protocols.arrival.agent_delays import Mask
from ohmesh.protocols.arrival.residual_grid import Floats, Singles, quantiles, shares_below

_GUESSED_TAIL = 2.0 / np.log(10.0)  # of the centre: half of it lies below, 95 % below three times the centre
_LEAST_TAIL_MS = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class DelayForecast:
    """Shapes (n,), in ms at rest; `cumulated` is (n, CELLS). last_ms: 0 where there is none, and `again` then too."""

    centre_ms: Floats
    spread_ms: Floats
    unit_ms: Floats
    cumulated: Singles
    is_known: Mask
    last_ms: Floats
    again: Floats

    def quantile_ms(self, shares: Floats) -> Floats:
        """The least delay that is not exceeded with probability `shares`, shape (n,)."""
        below = (1 - self.again) * self._new_share(self.last_ms)
        fresh = np.where(below >= shares, shares, shares - self.again) / (1 - self.again)
        is_last = (below < shares) & (shares <= below + self.again)
        return np.maximum(np.where(is_last, self.last_ms, self._new_quantile(np.clip(fresh, 0.0, 1.0))), 0.0)

    def share(self, delays_ms: Floats, *, below: bool = False) -> Floats:
        """P(delay <= each of `delays_ms`), or with `below` P(delay < it)."""
        has_last = self.last_ms < delays_ms if below else self.last_ms <= delays_ms
        return np.asarray(self.again * has_last + (1 - self.again) * self._new_share(delays_ms))

    def _new_share(self, delays_ms: Floats) -> Floats:
        known = shares_below(self.cumulated, (delays_ms - self.centre_ms) / self.unit_ms)
        late_ms, tail_ms = delays_ms - self.centre_ms, self._guessed_tail_ms()
        missed = np.exp(-np.maximum(late_ms, 0.0) / np.maximum(tail_ms, _LEAST_TAIL_MS))
        guessed = np.where(late_ms < 0, 0.0, 1 - 0.5 * missed * (tail_ms > 0))
        return np.where(self.is_known, known, guessed)

    def _new_quantile(self, shares: Floats) -> Floats:
        known = self.centre_ms + self.unit_ms * quantiles(self.cumulated, shares)
        misses = np.maximum(1 - shares, 1e-6)
        guessed = self.centre_ms + self._guessed_tail_ms() * np.maximum(-np.log(2 * misses), 0.0)
        return np.where(self.is_known, known, guessed)

    def _guessed_tail_ms(self) -> Floats:
        return np.where(self.last_ms > 0, _GUESSED_TAIL * np.maximum(self.centre_ms, self.spread_ms), 0.0)
