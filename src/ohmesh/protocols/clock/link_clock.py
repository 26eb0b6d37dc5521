"""The clock at the other end of a link: mesh time from four timestamps, and how wrong it can be.

A sample is an interval: whatever part of the round trip each way took, the offset at that moment was within half of it
around the middle. Two samples bound the drift between them, many of them narrowly. From all samples in a window, and
the drifts that they leave possible, follows one interval for the offset now; inside it the estimate follows the
sample of the least trip and the median of slopes between good ones. So slow and lopsided trips widen nothing that a
quick one has narrowed, and the bound holds for any delays, as long as the drift keeps to LinkClockConfig.

Samples that contradict each other at any drift show that a clock was set or changed its pace: the older half is
given up until the rest agrees. Another life of the answering side, or another orchestrator behind it, begins anew as
well; until its first sample the old line is believed.

Sources: RFC 5905, sections 8 (offset, round trip) and 10 (least delay); Marzullo and Owicki, Maintaining the Time in a
Distributed System (1983), for intervals; Sen (1968) for the median of slopes.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import ClockEcho
from ohmesh.protocols.clock.mesh_line import MeshLine, MeshReading

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinkClockConfig:
    """burst, burst_interval_us: that many probes at first, and after each new beginning, so close together; then one
    each interval_us.

    max_drift: how fast two clocks part at most; crystals are within 1e-4, so two of them within twice that.
    usual_drift: what is expected before it is measured (a standard deviation). wander: how much the drift changes while
        a sample is in the window; temperature changes it by about 1e-6 in a minute.
    resolution_us: of the clocks that are read. good_trip: samples of at most so many times the least trip draw the
    slope.
    unanswered: probes that are waited for at once. trips: round trips of which the median is told.
    """

    window_samples: int = 32
    window_us: int = 300_000_000
    burst: int = 6
    burst_interval_us: int = 50_000
    interval_us: int = 5_000_000
    max_drift: float = 200e-6
    usual_drift: float = 50e-6
    wander: float = 5e-6
    resolution_us: float = 2.0
    good_trip: float = 1.5
    unanswered: int = 16
    trips: int = 100


class Hearing(Enum):
    """What became of an echo. STRANGE: of no probe that waits (repeated, too late), or of an earlier life of the other
    side. IMPOSSIBLE: an answer before its question. ANEW: only it counts now, a clock was set or the other side is
    new."""

    TAKEN = "taken"
    ANEW = "anew"
    STRANGE = "strange"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class _Sample:
    """At local time `at_us` the offset was within `radius_us` around `offset_us`."""

    at_us: int
    offset_us: int
    trip_us: int
    radius_us: float


class LinkClock:
    """All times are local microseconds of one clock that never steps, except where they are said to be mesh time."""

    def __init__(self, config: LinkClockConfig | None = None) -> None:
        self.config = config or LinkClockConfig()
        self.line: MeshLine | None = None
        self._samples: deque[_Sample] = deque(maxlen=self.config.window_samples)
        self._trips_us: deque[int] = deque(maxlen=self.config.trips)
        self._unanswered: dict[int, None] = {}
        self._life = (-1, -1)
        self._probes = 0
        self._last_probe_us: int | None = None

    @property
    def trip_us(self) -> int | None:
        """Median of the last round trips; None before the first."""
        return round(statistics.median(self._trips_us)) if self._trips_us else None

    def due_us(self) -> int | None:
        """When the next probe is due; None: at once."""
        if self._last_probe_us is None:
            return None
        quick = self._probes < self.config.burst
        return self._last_probe_us + (self.config.burst_interval_us if quick else self.config.interval_us)

    def probe(self, now_us: int) -> None:
        """A ClockProbe is being sent, with `now_us` as its `sent_us`."""
        self._unanswered[now_us] = None
        if len(self._unanswered) > self.config.unanswered:
            del self._unanswered[next(iter(self._unanswered))]
        self._last_probe_us = now_us
        self._probes += 1

    def begin_anew(self) -> None:
        """The other side is another one from now on: its first sample replaces the line."""
        self._samples.clear()
        self._unanswered.clear()
        self._life = (-1, -1)
        self._begin_burst()

    def hear(self, echo: ClockEcho, now_us: int) -> Hearing:
        """`now_us`: when the echo arrived."""
        life = (echo.era, echo.incarnation)
        if echo.sent_us not in self._unanswered or life < self._life:
            return Hearing.STRANGE
        del self._unanswered[echo.sent_us]
        away_us, there_us = now_us - echo.sent_us, echo.answered_us - echo.received_us
        if there_us < 0 or away_us < there_us:
            return Hearing.IMPOSSIBLE
        trip_us = away_us - there_us
        self._trips_us.append(trip_us)
        is_new = life != self._life
        if is_new and self._samples:
            self._begin_burst()
        self._life = life
        sample = _Sample(
            at_us=(echo.sent_us + now_us) // 2,
            offset_us=(echo.received_us - echo.sent_us + echo.answered_us - now_us) // 2,
            trip_us=trip_us,
            radius_us=trip_us / 2 + echo.error_us + self.config.resolution_us,
        )
        return self._take(sample, now_us, is_new)

    def mesh_time(self, now_us: int) -> MeshReading | None:
        """None before anything is known of it."""
        return self.line.read(now_us) if self.line is not None else None

    def _begin_burst(self) -> None:
        self._probes = 0

    def _take(self, sample: _Sample, now_us: int, is_new: bool) -> Hearing:
        if is_new:
            self._samples.clear()
        self._samples.append(sample)
        oldest_us = now_us - self.config.window_us
        kept = sorted((one for one in self._samples if one.at_us >= oldest_us), key=lambda one: one.at_us)
        while (drawn := _draw(kept, now_us, self.config)) is None:
            kept = kept[(len(kept) + 1) // 2 :]
        if len(kept) < len(self._samples):
            is_new = is_new or len(kept) == 1
            self._samples = deque(kept, self.config.window_samples)
        self.line = drawn
        return Hearing.ANEW if is_new else Hearing.TAKEN


def _draw(samples: list[_Sample], now_us: int, config: LinkClockConfig) -> MeshLine | None:
    """The line through `samples`, ascending, at `now_us`; None where no line within the bounds of drift goes through
    all of them."""
    base_us = samples[-1].offset_us  # floats hold the differences exactly, not times since 1970
    at = np.array([one.at_us - now_us for one in samples], np.float64)
    offset = np.array([one.offset_us - base_us for one in samples], np.float64)
    radius = np.array([one.radius_us for one in samples])
    drifts = _possible_drifts(at, offset, radius, config)
    if drifts is None:
        return None
    least, most = drifts
    drift = min(max(_slope(samples, at, offset, config), least), most)
    low = (offset - radius - np.maximum(least * at, most * at)).max()
    high = (offset + radius - np.minimum(least * at, most * at)).min()
    if low > high:
        return None
    growth = max(drift - least, most - drift)
    best = int(np.argmin(radius + growth * np.abs(at)))
    now = min(max(offset[best] - drift * at[best], low), high)
    error_us = max(now - low, high - now) + 1  # of rounding
    return MeshLine(now_us, now_us + base_us + round(now), drift, float(error_us), float(growth))


def _possible_drifts(
    at: Float64, offset: Float64, radius: Float64, config: LinkClockConfig
) -> tuple[float, float] | None:
    """What every pair of samples leaves possible for the drift now."""
    one, other = np.triu_indices(len(at), 1)
    apart = at[other] - at[one]
    apart_enough = apart > 0
    one, other, apart = one[apart_enough], other[apart_enough], apart[apart_enough]
    rise, slack = offset[other] - offset[one], radius[one] + radius[other]
    least = max(((rise - slack) / apart).max(initial=-config.max_drift) - config.wander, -config.max_drift)
    most = min(((rise + slack) / apart).min(initial=config.max_drift) + config.wander, config.max_drift)
    return (float(least), float(most)) if least <= most else None


def _slope(samples: list[_Sample], at: Float64, offset: Float64, config: LinkClockConfig) -> float:
    """Median of the slopes between good samples that lie at least half of their span apart, drawn towards 0 as far as
    what a trip leaves open, over that span, is more than the drift that is usual."""
    trips = np.array([one.trip_us for one in samples])
    good = trips <= trips.min() * config.good_trip + config.resolution_us
    at, offset = at[good], offset[good]
    span = np.ptp(at)
    one, other = np.triu_indices(len(at), 1)
    apart = at[other] - at[one]
    wide = apart >= max(span / 2, 1)
    if not wide.any():
        return 0.0
    median = np.median((offset[other] - offset[one])[wide] / apart[wide])
    noise = (trips.min() / 2 + config.resolution_us) / span
    return float(median / (1 + (noise / config.usual_drift) ** 2))
