"""How long before T a message has to leave so that its agent is READY by T with a wanted probability.

Learnt from every frame of acks, in bulk: no training, no model file, no clock, nothing drawn by chance. The forecast of
an agent is its usual delay plus a residual, and where the residual may lie is a mixture of what was seen lately
of the agent itself, of its neighbourhoods (who shares its host, its cluster, its way) at a short and at a long memory,
and of its class. What the agent itself did counts more the more of it there is. Then the calibration of its class says
which quantile of the mixture has to be asked for. docs/arrival.md has the reasons and the figures.

Invariants: whatever is observed, every lead is finite and not below zero. Without any sample of a class the leads of
its agents are their priors. A frame is judged, counted and learnt from as a whole: nothing of it explains itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent_class import AgentClasses
from ohmesh.protocols.arrival.agent_delays import AgentDelays, Rows
from ohmesh.protocols.arrival.calibration import Calibration, CalibrationConfig
from ohmesh.protocols.arrival.delay_forecast import DelayForecast
from ohmesh.protocols.arrival.fading_histograms import FadingHistograms
from ohmesh.protocols.arrival.newcomers import RatioMeans
from ohmesh.protocols.arrival.repeats import Repeats
from ohmesh.protocols.arrival.residual_grid import Floats, Singles, cells_of

MAX_WINDOW = 255
_UNITS_IN_A_BASE = 100.0
_CHUNK = 2_048  # rows forecast at a time, so that what is in between fits the cache
_LEAST_DELAY_MS = 1e-3
_OVERFLOW = 10.0  # times the longest delay: a budget that all keep
_CLASS_MEMORIES = (16_384.0,)
_NEWCOMER_MEMORIES = (1_024.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorConfig:
    """window: latest values kept of an agent. own_share: what its own window weighs in the mixture once it is full of
    them, and class_share what its class does; neighbourhoods share the rest. own_strength: with so many values its
    window weighs half of that. memories: in samples of a neighbourhood (fading_histograms.py). pool_strength: a
    neighbourhood of so few samples weighs half. least_rate: how fast a centre moves at least. max_delay_ms: longer
    ones are taken for as long. max_samples_of_one: of an agent in a frame, the latest."""

    window: int = 32
    own_share: float = 0.4
    class_share: float = 0.02
    own_strength: float = 5.0
    memories: tuple[float, ...] = (4.0, 1_024.0)
    pool_strength: float = 1.0
    least_rate: float = 0.02
    max_delay_ms: float = 86_400_000.0
    max_samples_of_one: int = 32
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)

    def __post_init__(self) -> None:
        is_sound = (
            0 < self.window <= MAX_WINDOW
            and self.own_share >= 0
            and self.class_share > 0
            and self.own_share + self.class_share < 1
            and min(self.own_strength, self.pool_strength, *self.memories) > 0
            and 0 < self.least_rate <= 1
            and self.max_delay_ms > 0
            and self.max_samples_of_one > 0
        )
        if not is_sound:
            raise InvalidArgument(
                f"{self} makes no sense.",
                hint=f"A window of 1 to {MAX_WINDOW}; shares that leave some for neighbourhoods; all else above 0.",
            )


class Observed(NamedTuple):
    """How many samples were taken, and how many refused: no number, negative, infinite, or too many of one agent."""

    taken: int
    refused: int


class ArrivalEstimator:
    """Of `agents` rows, each of a class and in one neighbourhood of each kind that `neighbourhoods` counts: (1000, 40)
    is a fleet of 1000 clusters on 40 hosts."""

    def __init__(
        self,
        agents: int,
        classes: AgentClasses,
        *,
        neighbourhoods: tuple[int, ...] = (),
        config: EstimatorConfig | None = None,
    ) -> None:
        self.config = config = config or EstimatorConfig()
        self.classes = classes
        self.agents = AgentDelays(agents, window=config.window, least_rate=config.least_rate)
        self.neighbourhoods = neighbourhoods
        self.keys = np.zeros((agents, len(neighbourhoods)), np.int32)
        codes = len(classes.all)
        self._base_ms = np.array([one.base_ms for one in classes.all])
        self._units_ms = self._base_ms / _UNITS_IN_A_BASE
        strength = config.pool_strength
        self.pools = [
            FadingHistograms(count * codes, config.memories, strength=strength) for count in neighbourhoods
        ]
        self.class_pool = FadingHistograms(codes, _CLASS_MEMORIES, strength=strength)
        self.newcomer_pool = FadingHistograms(codes, _NEWCOMER_MEMORIES, strength=strength)
        self.class_ratios = RatioMeans(codes)
        self.ratios = [RatioMeans(count * codes) for count in neighbourhoods]
        self.repeats = Repeats(codes)
        self.calibration = Calibration(codes, config.calibration)
        self.agents.prior_ms[:] = self._base_ms[0]

    def enrol(
        self,
        rows: ArrayLike,
        class_codes: ArrayLike,
        *,
        neighbourhoods: ArrayLike = (),
        prior_ms: ArrayLike | None = None,
    ) -> None:
        """Agents that join: what was known of their rows is forgotten.

        neighbourhoods: shape (n, kinds), where each agent stands. prior_ms: its lead at rest (prior.py), by default the
        base of its class. Raises InvalidArgument: a class or neighbourhood that there is not, a prior that is not above
        zero or not finite."""
        rows = np.asarray(rows, np.intp)
        codes = np.broadcast_to(np.asarray(class_codes, np.int64), rows.shape)
        kinds = len(self.neighbourhoods)
        places = np.asarray(neighbourhoods, np.int64)
        if places.shape != (len(rows), kinds) and (kinds or places.size):
            raise InvalidArgument(
                f"{len(rows)} agents stand in {kinds} kinds of neighbourhood; {places.shape} came."
            )
        places = places.reshape(len(rows), kinds)
        if len(codes) and not (codes.min() >= 0 and codes.max() < len(self._base_ms)):
            raise InvalidArgument(f"There are {len(self._base_ms)} classes; one is {codes.max()}.")
        if not ((places >= 0).all() and (places < np.array(self.neighbourhoods, np.int64)).all()):
            raise InvalidArgument(f"A neighbourhood lies outside of {self.neighbourhoods}.")
        prior = np.broadcast_to(
            self._base_ms[codes] if prior_ms is None else np.asarray(prior_ms), rows.shape
        )
        if not (np.isfinite(prior) & (prior > 0)).all():
            raise InvalidArgument("A prior is not above zero, or not finite.")
        self.agents.forget(rows)
        self.agents.class_code[rows] = codes
        self.agents.prior_ms[rows] = prior
        self.keys[rows] = places * len(self._base_ms) + codes[:, None]

    def observe(self, rows: ArrayLike, delays_ms: ArrayLike, scales: ArrayLike = 1.0) -> Observed:
        """A frame of samples: how long after its release each agent was ready, in ms. All of shape (n,).

        scales: how much longer than at rest the prior expects this work to take (prior.work_scale). A row may stand
        there more than once; its samples are then in the order of time. What is no number, infinite or negative is
        refused and counted; zero counts as a microsecond, and more than max_delay_ms as that."""
        rows = np.asarray(rows, np.intp)
        scales = np.broadcast_to(np.asarray(scales, np.float64), rows.shape)
        with np.errstate(all="ignore"):
            at_rest = np.broadcast_to(np.asarray(delays_ms, np.float64), rows.shape) / scales
            is_sound = np.isfinite(at_rest) & (at_rest >= 0) & np.isfinite(scales) & (scales > 0)
        at_rest = np.clip(at_rest[is_sound], _LEAST_DELAY_MS, self.config.max_delay_ms)
        taken = 0
        for turn in _turns(rows[is_sound], self.config.max_samples_of_one):
            self._learn(rows[is_sound][turn], at_rest[turn])
            taken += len(turn)
        return Observed(taken, len(rows) - taken)

    def lead_ms(self, rows: ArrayLike, hit_rate: float, scales: ArrayLike = 1.0) -> Floats:
        """The lead of each row with which it is READY by T with probability `hit_rate`, shape (n,).

        Of 0.5 it is the forecast of the delay itself. Raises InvalidArgument: a hit rate that is not between 0 and 1, a
        scale that is not above zero."""
        if not 0 < hit_rate < 1:
            raise InvalidArgument(
                f"A hit rate of {hit_rate} cannot be kept.", hint="Between 0 and 1, such as 0.95."
            )
        rows = np.asarray(rows, np.intp)
        asked = self.calibration.to_ask(hit_rate)
        leads = np.empty(len(rows))
        for chunk in _chunks(len(rows)):
            some = rows[chunk]
            leads[chunk] = self._forecast(some).quantile_ms(asked[self.agents.class_code[some]])
        return leads * _checked(scales)

    def probability_within(self, rows: ArrayLike, budget_ms: ArrayLike, scales: ArrayLike = 1.0) -> Floats:
        """How likely each row is READY within `budget_ms` of its release, as often as that came true lately: with its
        lead plus the window as budget, of arriving in the window. Raises InvalidArgument: a scale that is not above
        zero."""
        rows = np.asarray(rows, np.intp)
        budgets = np.broadcast_to(np.asarray(budget_ms, np.float64) / _checked(scales), rows.shape)
        budgets = np.clip(np.nan_to_num(budgets, nan=-1.0), -1.0, _OVERFLOW * self.config.max_delay_ms)
        promised = np.empty(len(rows))
        for chunk in _chunks(len(rows)):
            some = rows[chunk]
            shares = self._forecast(some).share(budgets[chunk])
            promised[chunk] = self.calibration.to_promise(self.agents.class_code[some], shares)
        return promised

    def merge(self, other: ArrivalEstimator) -> None:
        """What another learnt of the same fleet: of each agent the state with more samples stands, what is
        shared adds up. Raises InvalidArgument: it is of another shape."""
        if (self.neighbourhoods, self.config, self.classes.all, len(self.keys)) != (
            other.neighbourhoods,
            other.config,
            other.classes.all,
            len(other.keys),
        ):
            raise InvalidArgument("Estimators of different fleets or settings cannot be merged.")
        wiser = np.flatnonzero(other.agents.samples > self.agents.samples)
        self.agents.adopt(wiser, other.agents)
        self.keys[wiser] = other.keys[wiser]
        for pool, other_pool in zip(self.histograms(), other.histograms(), strict=True):
            pool.merge(other_pool)
        for mean, other_mean in zip(self.means(), other.means(), strict=True):
            mean.merge(other_mean)
        self.repeats.merge(other.repeats)
        self.calibration.merge(other.calibration)

    def histograms(self) -> list[FadingHistograms]:
        """All that it keeps, in one order."""
        return [*self.pools, self.class_pool, self.newcomer_pool]

    def means(self) -> list[RatioMeans]:
        """All that it keeps, in one order."""
        return [self.class_ratios, *self.ratios]

    def _learn(self, rows: Rows, delays_ms: Floats) -> None:
        """No row twice. First the frame is forecast and judged, then learnt from."""
        agents, codes = self.agents, self.agents.class_code[rows]
        is_settled, is_first = agents.is_settled(rows), agents.samples[rows] == 0
        is_repeat = agents.is_repeat(rows, delays_ms)
        known = np.flatnonzero(is_settled)
        shares = np.empty(len(known))
        for chunk in _chunks(len(known)):
            some = known[chunk]
            shares[chunk] = self._forecast(rows[some]).share(delays_ms[some], below=True)
        self.calibration.learn(codes[known], shares)
        units_ms = self._units_ms[codes]
        cells = cells_of((delays_ms - self._centre_ms(rows)) / units_ms)
        heard = ~is_first
        self.repeats.learn(codes[heard], agents.run[rows[heard]], is_repeat[heard])
        fresh = is_settled & ~is_repeat
        for kind, pool in enumerate(self.pools):
            pool.learn(self.keys[rows[fresh], kind], cells[fresh])
        self.class_pool.learn(codes[fresh].astype(np.intp), cells[fresh])
        self._learn_newcomers(rows[is_first], delays_ms[is_first])
        agents.learn(rows, delays_ms, cells, units_ms)

    def _learn_newcomers(self, rows: Rows, delays_ms: Floats) -> None:
        codes = self.agents.class_code[rows].astype(np.intp)
        ratios = delays_ms / self.agents.prior_ms[rows]
        self.class_ratios.learn(codes, ratios)
        for kind, means in enumerate(self.ratios):
            means.learn(self.keys[rows, kind], ratios)
        # From the centre that the next newcomer will have: what they have in common is in the ratio by now.
        self.newcomer_pool.learn(codes, cells_of((delays_ms - self._centre_ms(rows)) / self._units_ms[codes]))

    def _centre_ms(self, rows: Rows) -> Floats:
        centre = self.agents.centre_ms[rows].astype(np.float64)
        unheard = np.flatnonzero(self.agents.samples[rows] == 0)
        if len(unheard):
            strangers = rows[unheard]
            of_class = self.class_ratios.shrunk(self.agents.class_code[strangers].astype(np.intp))
            near = [
                means.shrunk(self.keys[strangers, kind], of_class) for kind, means in enumerate(self.ratios)
            ]
            ratio = np.mean(near, axis=0) if near else of_class
            centre[unheard] = self.agents.prior_ms[strangers] * np.exp(ratio)
        return centre

    def _forecast(self, rows: Rows) -> DelayForecast:
        codes = self.agents.class_code[rows]
        last_ms = self.agents.last_ms[rows].astype(np.float64)
        again = np.where(last_ms > 0, self.repeats.chances(codes, self.agents.run[rows]), 0.0)
        cumulated = np.cumsum(self._mixture(rows, codes), axis=1)
        total = cumulated[:, -1].copy()
        is_known = total > 0
        cumulated /= np.where(is_known, total, np.float32(1))[:, None]
        return DelayForecast(
            centre_ms=self._centre_ms(rows),
            spread_ms=self.agents.spread_ms[rows].astype(np.float64),
            unit_ms=self._units_ms[codes],
            cumulated=cumulated,
            is_known=is_known,
            last_ms=last_ms,
            again=again,
        )

    def _mixture(self, rows: Rows, codes: NDArray[np.uint8]) -> Singles:
        """The weight of each cell, shape (n, CELLS), not yet summing to one."""
        config = self.config
        mixture, counts = self.agents.windows(rows)
        mixture *= (config.own_share / (counts + config.own_strength))[:, None]
        kinds = len(self.pools)
        for kind, pool in enumerate(self.pools):
            share = (1 - config.own_share - config.class_share) / kinds
            mixture += pool.mixture[self.keys[rows, kind]] * np.float32(share)
        mixture += self.class_pool.mixture[codes] * np.float32(
            config.class_share if kinds else 1 - config.own_share
        )
        unheard = np.flatnonzero(self.agents.samples[rows] == 0)
        mixture[unheard] = self.newcomer_pool.mixture[codes[unheard]]
        return mixture


def _chunks(length: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, length, _CHUNK)]


def _checked(scales: ArrayLike) -> Floats:
    scales = np.asarray(scales, np.float64)
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise InvalidArgument(
            "A scale is not above zero, or not finite.", hint="1 is work at rest (prior.work_scale)."
        )
    return scales


def _turns(rows: Rows, most: int) -> list[Rows]:
    """Places of `rows` such that no turn has a row twice and its samples follow in order; the latest `most` of each."""
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    counts = np.diff(starts, append=len(rows))
    if len(starts) == len(rows):
        return [np.arange(len(rows))] if len(rows) else []
    turns = np.arange(len(rows)) - np.repeat(starts, counts)
    turns -= np.repeat(np.maximum(counts - most, 0), counts)
    return [np.sort(order[turns == turn]) for turn in range(min(int(counts.max()), most))]
