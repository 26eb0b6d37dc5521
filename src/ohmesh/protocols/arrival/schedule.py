"""When each target is asked, so that it is ready at T: one sorted array for all of them.

A target that acts on receipt (*lead*) is released at T minus its lead; one that waits until T by itself (*hold*) at
once. Both need their lead: where less than that is left, asking is too late. Releases are cut into slices of
`bucket_ms`, each leaving at the earliest time in it, so a bucket makes nobody late and nobody earlier than its width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason

MAX_BUCKET_MS = 10.0
_RADIX_LIMIT = 1 << 16  # sixteen-bit keys are sorted by counting

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """bucket_ms: width of a slice, above 0 and at most 10. max_lead_ms: a longer lead is not foreseen well enough, so
    such a target is skipped; infinity allows all. tolerance_ms: who would be ready later than T plus this when its
    turn comes late, is not asked any more; the window of the operation."""

    bucket_ms: float = 1.0
    max_lead_ms: float = 1_000.0
    tolerance_ms: float = 500.0

    def __post_init__(self) -> None:
        if not 0 < self.bucket_ms <= MAX_BUCKET_MS:
            raise InvalidArgument(
                f"ScheduleConfig.bucket_ms is {self.bucket_ms}.", hint=f"Above 0, at most {MAX_BUCKET_MS:g}."
            )
        if not (self.max_lead_ms > 0 and self.tolerance_ms >= 0):
            raise InvalidArgument(
                f"ScheduleConfig has max_lead_ms {self.max_lead_ms} and tolerance_ms {self.tolerance_ms}.",
                hint="The first is above 0, the second not below.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Unasked:
    """Targets that are skipped: their places in the given arrays, values of SkipReason, and the times that say why."""

    places: Places
    reasons: NDArray[np.uint8]
    needed_ms: Floats
    available_ms: Floats

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """order: places of the targets in the given arrays, in the order of their release, shape (n,). lead_ms and
    deliveries are in that order. Slice i leaves at `slices_ms[i]` and is `order[bounds[i]:bounds[i + 1]]`."""

    target_ms: float
    tolerance_ms: float
    order: Places
    lead_ms: Floats
    deliveries: NDArray[np.uint8]
    slices_ms: Floats
    bounds: Places
    skipped: Unasked


def plan_releases(
    lead_ms: Floats,
    target_ms: float,
    now_ms: float,
    *,
    config: ScheduleConfig | None = None,
    may_hold: NDArray[np.bool_] | None = None,
) -> Schedule:
    """`lead_ms` of each target, shape (n,), infinity where it can never be on time. `may_hold`: which of them wait
    until T by themselves, none by default. A send time of exactly now is not past.

    Raises InvalidArgument: a lead is below zero or no number."""
    config = config or ScheduleConfig()
    lead_ms = np.asarray(lead_ms, np.float64)
    if not (lead_ms >= 0).all():
        raise InvalidArgument(
            "A lead time is below zero or no number.", hint="Infinity says that it can never be on time."
        )
    available_ms = target_ms - now_ms
    is_late, is_long = lead_ms > available_ms, lead_ms > config.max_lead_ms
    kept = np.flatnonzero(~(is_late | is_long))
    wait_ms = available_ms - lead_ms[kept]
    deliveries = np.full(len(kept), Delivery.LEAD, np.uint8)
    if may_hold is not None:
        holds = may_hold[kept]
        deliveries[holds] = Delivery.HOLD
        wait_ms[holds] = 0.0
    buckets = np.floor(wait_ms / config.bucket_ms).astype(np.int64)
    sorting = _argsort(buckets)
    starts = _starts(buckets[sorting])
    earliest = np.minimum.reduceat(wait_ms[sorting], starts) if len(starts) else wait_ms[:0]
    order = kept[sorting]
    return Schedule(
        target_ms,
        config.tolerance_ms,
        order,
        lead_ms[order],
        deliveries[sorting],
        now_ms + earliest,
        np.append(starts, len(order)),
        _unasked(np.flatnonzero(is_late | is_long), is_late, lead_ms, available_ms),
    )


def _argsort(buckets: NDArray[np.int64]) -> Places:
    if len(buckets) and buckets.max() < _RADIX_LIMIT:
        return np.argsort(buckets.astype(np.uint16), kind="stable")
    return np.argsort(buckets, kind="stable")


def _starts(buckets: NDArray[np.int64]) -> Places:
    if not len(buckets):
        return np.zeros(0, np.intp)
    return np.concatenate(([0], np.flatnonzero(np.diff(buckets)) + 1)).astype(np.intp)


def _unasked(places: Places, is_late: NDArray[np.bool_], lead_ms: Floats, available_ms: float) -> Unasked:
    late, long = np.uint8(SkipReason.INSUFFICIENT_LEAD_TIME), np.uint8(SkipReason.LEAD_ABOVE_LIMIT)
    return Unasked(
        places,
        np.where(is_late[places], late, long),
        lead_ms[places],
        np.full(len(places), available_ms),
    )
