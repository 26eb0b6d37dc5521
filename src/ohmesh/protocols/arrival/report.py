"""What came of an operation: its outcome, the counts, every target's state and how far from T the ready ones were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.model.fleet_message import TargetState
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.counts import Counts, sum_counts
from ohmesh.protocols.arrival.operation import Rows, SectorRecord
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason

CLOSE_MS = 50.0  # a prediction within that is a good one
NAMED = 1_000


class Outcome(StrEnum):
    """SUCCEEDED: the rate that was wanted is met. PARTIAL: some are ready, too few. FAILED: nobody is.
    FAILED_AT_SECTOR: too few sectors took it, so no agent was asked. EMPTY: nobody was meant."""

    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    FAILED_AT_SECTOR = "FAILED_AT_SECTOR"
    EMPTY = "EMPTY"


def judge(counts: Counts, rate: float) -> Outcome:
    if not counts.targets:
        return Outcome.EMPTY
    if counts.meets(rate):
        return Outcome.SUCCEEDED
    return Outcome.PARTIAL if counts.ready else Outcome.FAILED


class ArrivalFigures(Struct, frozen=True):
    """Of the targets that were sent to. hit_rate: READY by T plus window. Of those that were ready at a known time:
    close_rate, those within 50 ms of T, and quantiles of the offset from T (below zero is early); None where there are
    none. Quantiles are values that occurred, so one target has all of them."""

    timed: int
    hit_rate: float
    close_rate: float | None = None
    p05_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    last_ms: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A copy of what the records said, all of shape (n,), sectors in the order in which they were given."""

    rows: Rows
    states: NDArray[np.int8]
    deliveries: NDArray[np.uint8]
    offsets_ms: NDArray[np.float32]
    reasons: NDArray[np.uint8]
    needed_ms: NDArray[np.float32]
    available_ms: NDArray[np.float32]
    contradicted: NDArray[np.bool_]

    def rows_in(self, *states: int) -> Rows:
        rows: Rows = self.rows[np.isin(self.states, states)]
        return rows

    def skipped_for(self, reason: SkipReason) -> Rows:
        rows: Rows = self.rows[(self.states == TargetState.SKIPPED) & (self.reasons == reason)]
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class OperationReport:
    """`decided_ms`: mesh time; `elapsed_ms`: since the start. What is told is what had been heard by then."""

    operation: str
    outcome: Outcome
    counts: Counts
    rate_wanted: float
    decided_ms: float
    elapsed_ms: float
    columns: Columns

    @property
    def stragglers(self) -> Rows:
        """Asked and silent."""
        return self.columns.rows_in(TargetState.TRANSIT)


def name_rows(rows: Rows, topology: Topology, *, limit: int = NAMED) -> list[str]:
    """Ids of the first `limit` of them."""
    return [str(topology.place(row)) for row in rows[:limit].tolist()]


def columns_of(records: Iterable[SectorRecord]) -> Columns:
    parts = list(records)

    def joined(name: str, dtype: type) -> NDArray[Any]:
        columns = [getattr(part, name) for part in parts]
        return np.concatenate(columns) if columns else np.zeros(0, dtype)

    return Columns(
        joined("rows", np.int64),
        joined("states", np.int8),
        joined("deliveries", np.uint8),
        joined("offsets_ms", np.float32),
        joined("reasons", np.uint8),
        joined("needed_ms", np.float32),
        joined("available_ms", np.float32),
        joined("contradicted", np.bool_),
    )


def count_all(records: Iterable[SectorRecord]) -> Counts:
    return sum_counts(record.counts() for record in records)


def arrival_figures(
    records: Sequence[SectorRecord], window_ms: float, *, delivery: Delivery | None = None
) -> ArrivalFigures:
    """Of all that were sent to, or of those asked in one way. Late answers count as what they are: who was ready within
    the window and whose answer came later, was in time."""
    columns = columns_of(records)
    meant = columns.states != TargetState.SKIPPED
    if delivery is not None:
        meant &= columns.deliveries == delivery
    sent = int(np.count_nonzero(meant))
    times = columns.offsets_ms[meant & (columns.states == TargetState.READY)]
    times = np.sort(times[np.isfinite(times)])
    hits = int(np.searchsorted(times, np.float32(window_ms), side="right"))
    hit_rate = hits / sent if sent else 0.0
    if not len(times):
        return ArrivalFigures(0, hit_rate)
    within = float(np.count_nonzero(np.abs(times) <= CLOSE_MS)) / len(times)
    quantiles: list[float] = np.quantile(times, (0.05, 0.5, 0.95, 0.99, 1.0), method="inverted_cdf").tolist()
    return ArrivalFigures(len(times), hit_rate, within, *quantiles)
