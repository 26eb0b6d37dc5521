"""The pure half of the one sleeper: of all schedules in this process, what is due now, and when to wake next.

Whoever sleeps calls `due(now)`, sends what it names, and sleeps until `wake_ms`. When the process stood still, what
would be ready too late by then (past T plus the tolerance of its schedule) is named as expired and not released.

Invariants: each target of a schedule is named once, as released or as expired, in the order of the release times;
never before its time.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.protocols.arrival.schedule import Places, Schedule, Unasked
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason

RETRY_AFTER_MS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """Places in the arrays that the operation was planned with, by how they are asked; and those that no more are."""

    operation: str
    lead: Places
    hold: Places
    expired: Unasked


class Sleeper:
    """`operations`: how many may wait at a time."""

    def __init__(self, *, operations: int = 1_024) -> None:
        self._limit = operations
        self._schedules: dict[str, tuple[Schedule, int]] = {}  # and the next slice of each
        self._heap: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._schedules)

    def __contains__(self, operation: str) -> bool:
        """Whether something of it waits still."""
        return operation in self._schedules

    def add(self, operation: str, schedule: Schedule) -> None:
        """Raises InvalidArgument: it waits here already. Backpressure: too many wait."""
        if operation in self._schedules:
            raise InvalidArgument(f"Operation {operation} is being released already.")
        if len(self._schedules) >= self._limit:
            raise Backpressure(
                f"{len(self._schedules)} operations wait to be released here.", retry_after_ms=RETRY_AFTER_MS
            )
        self._put(operation, schedule, 0)

    def cancel(self, operation: str) -> Places:
        """Nothing more of it is released. Returns the places that had still to be."""
        if operation not in self._schedules:
            return np.zeros(0, np.intp)
        schedule, slice_ = self._schedules.pop(operation)
        return schedule.order[schedule.bounds[slice_] :]

    @property
    def wake_ms(self) -> float | None:
        """When the next slice is due; None when nothing waits."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: float) -> list[Due]:
        """One for each operation that has something due, those that were due first before the others."""
        found = []
        while (wake_ms := self.wake_ms) is not None and wake_ms <= now_ms:
            _, operation, first = heapq.heappop(self._heap)
            schedule, _ = self._schedules.pop(operation)
            end = int(np.searchsorted(schedule.slices_ms, now_ms, side="right"))
            found.append(
                _cut(operation, schedule, slice(schedule.bounds[first], schedule.bounds[end]), now_ms)
            )
            self._put(operation, schedule, end)
        return found

    def _put(self, operation: str, schedule: Schedule, slice_: int) -> None:
        if slice_ < len(schedule.slices_ms):
            self._schedules[operation] = (schedule, slice_)
            heapq.heappush(self._heap, (float(schedule.slices_ms[slice_]), operation, slice_))

    def _drop_stale(self) -> None:
        """A cancelled one stays in the heap until it comes up; one of the same name that was added since is another."""
        while self._heap:
            wake_ms, operation, slice_ = self._heap[0]
            entry = self._schedules.get(operation)
            if entry is not None and entry[1] == slice_ and entry[0].slices_ms[slice_] == wake_ms:
                return
            heapq.heappop(self._heap)


def _cut(operation: str, schedule: Schedule, part: slice, now_ms: float) -> Due:
    places, lead_ms = schedule.order[part], schedule.lead_ms[part]
    available_ms = schedule.target_ms - now_ms
    is_expired = lead_ms > available_ms + schedule.tolerance_ms
    holds = schedule.deliveries[part] == Delivery.HOLD
    expired = Unasked(
        places[is_expired],
        np.full(int(is_expired.sum()), SkipReason.INSUFFICIENT_LEAD_TIME, np.uint8),
        lead_ms[is_expired],
        np.full(int(is_expired.sum()), available_ms),
    )
    return Due(operation, places[~holds & ~is_expired], places[holds & ~is_expired], expired)
