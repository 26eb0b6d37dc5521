"""What is kept of each agent: its usual delay, how far it strays, and the cells of its latest residuals.

    bytes of an agent
      4  prior_ms    what is expected of it without a sample, at rest
      4  centre_ms   its usual delay: a median that moves
      4  spread_ms   its usual distance from it, outliers cut
      4  last_ms     the latest value; 0 before the first
      4  samples     new values so far, repetitions not counted
      1  run         how often the latest was repeated
      1  class_code
     32  window      cells of the residuals of its latest new values, a ring; EMPTY where there are fewer

The centre begins as the first value, then the lesser of two, then the median of three: delays err upwards, and one bad
first value must not be believed for long. From then on it moves towards each new value by 1/(n - 1), at least
`least_rate`, of a distance that is cut at the spread: nearly the median, in two floats. A residual is taken
from the centre before the value moved it, so the window holds what a forecast would really have missed by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmesh.protocols.arrival.repeats import LONGEST_RUN
from ohmesh.protocols.arrival.residual_grid import CELLS, Cells, Floats, Singles

SETTLED = 3
"""An agent with so many new values has a centre that residuals can be taken from."""
EMPTY = CELLS
_SAME = 1e-6  # relative: two values that differ less are one value told twice
_SPREAD_RATE = 0.05
_SPREAD_CUT = 4.0
_SLACK = 0.1  # of a unit: so that a centre moves where the spread is zero

_LEARNT = ("centre_ms", "spread_ms", "last_ms", "samples", "run")
COLUMNS = ("prior_ms", "class_code", "window", *_LEARNT)

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


class AgentDelays:
    """Columns of `agents` rows; `window` agents x ring."""

    def __init__(self, agents: int, *, window: int, least_rate: float) -> None:
        self.least_rate = least_rate
        self.prior_ms = np.zeros(agents, np.float32)
        self.centre_ms = np.zeros(agents, np.float32)
        self.spread_ms = np.zeros(agents, np.float32)
        self.last_ms = np.zeros(agents, np.float32)
        self.samples = np.zeros(agents, np.uint32)
        self.run = np.zeros(agents, np.uint8)
        self.class_code = np.zeros(agents, np.uint8)
        self.window = np.full((agents, window), EMPTY, np.uint8)

    def forget(self, rows: Rows) -> None:
        """All but prior and class."""
        for name in _LEARNT:
            getattr(self, name)[rows] = 0
        self.window[rows] = EMPTY

    def adopt(self, rows: Rows, other: AgentDelays) -> None:
        """All that another keeps of these rows."""
        for name, column in self.columns().items():
            column[rows] = other.columns()[name][rows]

    def columns(self) -> dict[str, NDArray[Any]]:
        """By name, to be read and written."""
        return {name: getattr(self, name) for name in COLUMNS}

    def is_settled(self, rows: Rows) -> Mask:
        return np.asarray(self.samples[rows] >= SETTLED)

    def is_repeat(self, rows: Rows, delays_ms: Floats) -> Mask:
        last_ms = self.last_ms[rows]
        return (last_ms > 0) & (np.abs(delays_ms - last_ms) <= _SAME * delays_ms)

    def windows(self, rows: Rows) -> tuple[Singles, Singles]:
        """How many of its latest residuals lie in each cell, shape (n, CELLS), and their number, shape (n,)."""
        size = CELLS + 1
        places = np.arange(len(rows))[:, None] * size + self.window[rows]
        counts = np.bincount(places.ravel(), minlength=len(rows) * size).reshape(-1, size)[:, :CELLS]
        return counts.astype(np.float32), counts.sum(axis=1).astype(np.float32)

    def learn(self, rows: Rows, delays_ms: Floats, cells: Cells, units_ms: Floats) -> None:
        """One value of each row, no row twice; `cells` are those of its residual."""
        is_new = ~self.is_repeat(rows, delays_ms)
        again = rows[~is_new]
        self.run[again] = np.minimum(self.run[again], LONGEST_RUN - 1) + 1
        rows, delays_ms, cells, units_ms = rows[is_new], delays_ms[is_new], cells[is_new], units_ms[is_new]
        before = self.samples[rows]
        past = before >= SETTLED
        ring = self.window.shape[1]
        self.window[rows[past], (before[past] - SETTLED) % ring] = cells[past]
        self._move(rows, delays_ms, units_ms)
        self.last_ms[rows] = delays_ms
        self.run[rows] = 0
        self.samples[rows] = np.minimum(before, np.iinfo(np.uint32).max - 1) + 1

    def _move(self, rows: Rows, delays_ms: Floats, units_ms: Floats) -> None:
        before = self.samples[rows]
        centre = self.centre_ms[rows].astype(np.float64)
        spread = self.spread_ms[rows].astype(np.float64)
        away = np.abs(delays_ms - centre)
        rate = np.maximum(1.0 / np.maximum(before.astype(np.float64) - 1, 1.0), self.least_rate)
        wider = np.minimum(away, _SPREAD_CUT * spread + units_ms) - spread
        later_spread = spread + np.maximum(rate, _SPREAD_RATE) * wider
        reach = later_spread + _SLACK * units_ms
        later = centre + rate * np.clip(delays_ms - centre, -reach, reach)
        # Of three: their median, and how far the nearer of the others is from it.
        upper = centre + spread
        middle = np.clip(delays_ms, centre, upper)
        others = np.sort(
            np.stack((np.abs(centre - middle), np.abs(upper - middle), np.abs(delays_ms - middle))), axis=0
        )
        stages = [before == 0, before == 1, before == SETTLED - 1]
        self.centre_ms[rows] = np.select(stages, [delays_ms, np.minimum(centre, delays_ms), middle], later)
        self.spread_ms[rows] = np.select(stages, [np.zeros_like(away), away, others[1]], later_spread)
