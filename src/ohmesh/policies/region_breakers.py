"""Circuit breakers of many regions of one size (all clusters, or all sectors of a fleet), as columns.

    CLOSED --n failures within a window--> OPEN --a probe, due after a time, succeeds--> HALF_OPEN --watched--> CLOSED
                                            ^ |                                             |
                                            | `--it fails: the next one is due later        |
                                            `------------------ failures -------------------'

A region has one timer: failures while it is OPEN do not set it anew. HALF_OPEN lets a quota through; when it was
watched long enough without failing it closes and forgets its failures. The window is exact: the times of the last n
failures are kept, and the n-th last one is within it or is not.
Source: M. Nygard, Release It!, 2007, "Circuit Breaker"; for one agent see breaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.policies.breaker import BreakerState

STATES = (
    BreakerState.CLOSED,
    BreakerState.OPEN,
    BreakerState.HALF_OPEN,
)  # a code in a column is the place here
CLOSED, OPEN, HALF_OPEN = range(3)
NEVER_MS = -(1 << 62)

Regions = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionConfig:
    """failures: within window_ms, until it opens. probe_ms: from then to the first probe; reprobe_ms: from one that
    failed to the next. quota: how many messages HALF_OPEN lets through while it is watched for watch_ms;
    half_open_failures: so many of them open it again."""

    failures: int
    quota: int
    half_open_failures: int
    window_ms: int = 60_000
    probe_ms: int = 30_000
    reprobe_ms: int = 60_000
    watch_ms: int = 60_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"RegionConfig.{name} is {getattr(self, name)}.", hint="Give at least 1."
                )


CLUSTER_BREAKERS = RegionConfig(failures=6, quota=10, half_open_failures=1)
SECTOR_BREAKERS = RegionConfig(failures=51, quota=100, half_open_failures=5)


class Transition(NamedTuple):
    """`failures`: within the window, as far as they are kept; of a HALF_OPEN those in it."""

    region: int
    before: BreakerState
    after: BreakerState
    at_ms: int
    failures: int


class RegionBreakers:
    """`now_ms` of every call is monotonic and never falls. Columns have the shape (count,)."""

    def __init__(self, count: int, config: RegionConfig) -> None:
        self.config = config
        self.state = np.zeros(count, np.uint8)
        self._since_ms = np.zeros(count, np.int64)
        self._probe_ms = np.zeros(count, np.int64)
        self._is_probing = np.zeros(count, bool)
        self._admitted = np.zeros(count, np.int64)  # of this HALF_OPEN
        self._failed = np.zeros(count, np.int64)  # in this HALF_OPEN
        self._times_ms = np.full(
            (count, config.failures), NEVER_MS, np.int64
        )  # of the last failures, ascending

    def failed(self, regions: Regions, now_ms: int) -> list[Transition]:
        """One failure for each entry; a region may stand there many times."""
        hit, counts = np.unique(regions, return_counts=True)
        half = self.state[hit] == HALF_OPEN
        self._failed[hit[half]] += counts[half]
        again = hit[half & (self._failed[hit] >= self.config.half_open_failures)]
        transitions = self._become(again, OPEN, now_ms, self._failed)
        shut = self.state[hit] == CLOSED
        self._push(hit[shut], counts[shut], now_ms)
        within = self._times_ms[hit[shut], 0] > now_ms - self.config.window_ms
        return transitions + self._become(hit[shut][within], OPEN, now_ms, self.failures(now_ms))

    def look(self, now_ms: int) -> list[Transition]:
        """HALF_OPEN that was watched long enough closes."""
        is_over = (self.state == HALF_OPEN) & (now_ms - self._since_ms >= self.config.watch_ms)
        return self._become(np.flatnonzero(is_over), CLOSED, now_ms, self._failed)

    def due_probes(self, now_ms: int) -> Regions:
        """Regions to be probed now. One whose probe is not answered is named again after reprobe_ms."""
        due = np.flatnonzero((self.state == OPEN) & (self._probe_ms <= now_ms))
        self._probe_ms[due] = now_ms + self.config.reprobe_ms
        self._is_probing[due] = True
        return due

    def probed(self, region: int, *, is_healthy: bool, now_ms: int) -> list[Transition]:
        """The answer to a probe; one that nobody waits for any more changes nothing."""
        if self.state[region] != OPEN or not self._is_probing[region]:
            return []
        self._is_probing[region] = False
        if is_healthy:
            return self._become(np.array([region]), HALF_OPEN, now_ms, self.failures(now_ms))
        self._probe_ms[region] = now_ms + self.config.reprobe_ms
        return []

    def admit(self, regions: Regions) -> NDArray[np.bool_]:
        """Which of these messages may go, one for each entry; those that may count against the quota."""
        states = self.state[regions]
        admitted: NDArray[np.bool_] = states == CLOSED
        half = np.flatnonzero(states == HALF_OPEN)
        if len(half):
            into = regions[half]
            admitted[half] = self._admitted[into] + _nth(into) < self.config.quota
            np.add.at(self._admitted, into[admitted[half]], 1)
        return admitted

    def force(self, region: int, state: int, now_ms: int) -> list[Transition]:
        """By hand."""
        wanted = np.array([region] if self.state[region] != state else [], np.intp)
        return self._become(wanted, state, now_ms, self.failures(now_ms))

    def next_ms(self) -> int | None:
        """When `look` or `due_probes` has something to do next, if nothing happens before."""
        times = (
            self._probe_ms[self.state == OPEN],
            self._since_ms[self.state == HALF_OPEN] + self.config.watch_ms,
        )
        return min((int(part.min()) for part in times if len(part)), default=None)

    def failures(self, now_ms: int) -> NDArray[np.int64]:
        """Of each region within the window, at most as many as open it."""
        counts: NDArray[np.int64] = (self._times_ms > now_ms - self.config.window_ms).sum(axis=1)
        return counts

    def _push(self, regions: Regions, counts: NDArray[np.intp], now_ms: int) -> None:
        """The last failures of each, moved on by so many that happened now."""
        width = self.config.failures
        source = np.arange(width) + np.minimum(counts, width)[:, None]
        kept = np.take_along_axis(self._times_ms[regions], np.minimum(source, width - 1), axis=1)
        self._times_ms[regions] = np.where(source < width, kept, now_ms)

    def _become(
        self, regions: Regions, state: int, now_ms: int, failures: NDArray[np.int64]
    ) -> list[Transition]:
        if not len(regions):
            return []
        before, counted = self.state[regions], failures[regions]
        first = np.where(before == HALF_OPEN, self.config.reprobe_ms, self.config.probe_ms)
        self.state[regions] = state
        self._since_ms[regions] = now_ms
        self._probe_ms[regions] = now_ms + first
        self._is_probing[regions] = False
        self._admitted[regions] = 0
        self._failed[regions] = 0
        if state == CLOSED:
            self._times_ms[regions] = NEVER_MS
        columns: Any = (regions.tolist(), before.tolist(), counted.tolist())
        return [
            Transition(region, STATES[old], STATES[state], now_ms, number)
            for region, old, number in zip(*columns, strict=True)
        ]


def _nth(values: Regions) -> Regions:
    """For each entry how many equal ones stand before it."""
    sorting = np.argsort(values, kind="stable")
    ordered = values[sorting]
    first = np.searchsorted(ordered, ordered, side="left")
    found = np.empty(len(values), np.intp)
    found[sorting] = np.arange(len(values)) - first
    return found
