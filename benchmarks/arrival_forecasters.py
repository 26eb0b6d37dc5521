"""Forecasters of the next delay, for benchmarks/arrival.py: what others do, each for all links at once, and ours.

Each is asked for a lead (with which 95 % arrive) and for a point forecast before it is told the slice. Those that give
one figure give it for both. A link's first value has no forecast but a prior's; warm-up is longer than that.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.agent_class import AgentClass, AgentClasses
from ohmesh.protocols.arrival import prior
from ohmesh.protocols.arrival.estimator import ArrivalEstimator, EstimatorConfig

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

WANTED = 0.95
LINKS = AgentClasses((AgentClass("link", "a way between two devices", 50.0, 0),))


class Forecaster(Protocol):
    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        """Lead and point forecast of each row, ms."""

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        """One delay of each row, no row twice."""


class Window:
    """The latest values of each link, sorted when they are asked for."""

    def __init__(self, links: int, length: int) -> None:
        self.values = np.full((links, length), np.nan, np.float32)
        self.counts = np.zeros(links, np.int64)

    def quantiles(self, rows: Rows, *shares: Floats | float) -> list[Floats]:
        """Linear between order statistics, as numpy.quantile; NaN where there is no value."""
        ordered = np.sort(self.values[rows], axis=1)  # NaN comes last
        held = np.minimum(self.counts[rows], ordered.shape[1])
        places = np.arange(len(rows))
        found = []
        for share in shares:
            exact = np.clip(share, 0.0, 1.0) * np.maximum(held - 1, 0)
            lower = np.floor(exact).astype(np.int64)
            upper = np.minimum(lower + 1, np.maximum(held - 1, 0))
            below, above = (
                ordered[places, lower].astype(np.float64),
                ordered[places, upper].astype(np.float64),
            )
            found.append(below + (above - below) * (exact - lower))
        return found

    def add(self, rows: Rows, delays_ms: Floats) -> None:
        self.values[rows, self.counts[rows] % self.values.shape[1]] = delays_ms
        self.counts[rows] += 1


class LastValue:
    def __init__(self, links: int) -> None:
        self.last_ms = np.full(links, np.nan)

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        return self.last_ms[rows], self.last_ms[rows]

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        self.last_ms[rows] = delays_ms


class RollingQuantile:
    """The empirical quantile of the last `length` values; their median as point forecast."""

    def __init__(self, links: int, length: int) -> None:
        self.window = Window(links, length)

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        lead_ms, median_ms = self.window.quantiles(rows, WANTED, 0.5)
        return lead_ms, median_ms

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        self.window.add(rows, delays_ms)


class PublishedPrior(RollingQuantile):
    """Median of the last 100 round trips / 2, plus drift (their coefficient of variation) times the round trip."""

    def __init__(self, links: int) -> None:
        super().__init__(links, 100)

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        (median_ms,) = self.window.quantiles(rows, 0.5)
        values = self.window.values[rows].astype(np.float64)
        held = np.maximum(np.minimum(self.window.counts[rows], values.shape[1]), 1)
        mean = np.nansum(values, axis=1) / held
        deviation = np.sqrt(np.nansum((values - mean[:, None]) ** 2, axis=1) / held)
        lead_ms = prior.lead_ms(0.0, 2 * median_ms, deviation / np.maximum(mean, 1e-9))
        return np.where(np.isnan(median_ms), np.nan, lead_ms), median_ms

    # A link without a value has no round trip, so the prior has nothing to say of it either.


class RetransmissionTimer:
    """srtt + 4 rttvar, alpha 1/8, beta 1/4, begun as RFC 6298 section 2 says; srtt as point forecast."""

    def __init__(self, links: int) -> None:
        self.smoothed_ms = np.full(links, np.nan)
        self.variation_ms = np.full(links, np.nan)

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        return self.smoothed_ms[rows] + 4 * self.variation_ms[rows], self.smoothed_ms[rows]

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        smoothed, variation = self.smoothed_ms[rows], self.variation_ms[rows]
        is_first = np.isnan(smoothed)
        later = 0.75 * variation + 0.25 * np.abs(smoothed - delays_ms)
        self.variation_ms[rows] = np.where(is_first, delays_ms / 2, later)
        self.smoothed_ms[rows] = np.where(is_first, delays_ms, 0.875 * smoothed + 0.125 * delays_ms)


class AdaptiveConformal:
    """The quantile of the last 50 values at a share that moves by 0.02 times the miss of each link (Gibbs and Candes,
    2021). It moves once a link has 20 values: moved from the first one it does worse (26.9 instead of 25.2 on the
    Seattle trace), since a quantile of few values cannot be bought by asking for more."""

    def __init__(self, links: int, length: int = 50, step: float = 0.02, least: int = 20) -> None:
        self.window = Window(links, length)
        self.shares = np.full(links, WANTED)
        self.step, self.least = step, least
        self.lead_ms = np.full(links, np.nan)

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        lead_ms, median_ms = self.window.quantiles(rows, self.shares[rows], 0.5)
        self.lead_ms[rows] = lead_ms
        return lead_ms, median_ms

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        moves = self.step * (WANTED - (delays_ms <= self.lead_ms[rows]))
        is_moved = self.window.counts[rows] >= self.least
        self.shares[rows] = np.clip(self.shares[rows] + np.where(is_moved, moves, 0.0), 0.0, 1.0)
        self.window.add(rows, delays_ms)


class Ohmesh:
    """The estimator that the roles use: a link is an agent, its two devices are its neighbourhoods."""

    def __init__(self, nodes: int, config: EstimatorConfig | None = None, *, is_alone: bool = False) -> None:
        rows = np.arange(nodes * nodes)
        ends = np.stack(np.divmod(rows, nodes), axis=1)
        kinds = () if is_alone else (nodes, nodes)
        self.estimator = ArrivalEstimator(nodes * nodes, LINKS, neighbourhoods=kinds, config=config)
        self.estimator.enrol(rows, 0, neighbourhoods=ends[:, : len(kinds)])

    def forecast(self, rows: Rows) -> tuple[Floats, Floats]:
        return self.estimator.lead_ms(rows, WANTED), self.estimator.lead_ms(rows, 0.5)

    def observe(self, rows: Rows, delays_ms: Floats) -> None:
        self.estimator.observe(rows, delays_ms)
