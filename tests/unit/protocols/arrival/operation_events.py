"""Events and records for tests, in as few words as tests like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ohmesh.model.fleet_message import TargetState
from ohmesh.protocols.arrival.operation import (
    Answers,
    Event,
    Lost,
    Released,
    Rows,
    SectorRecord,
    Skipped,
    skipped_for,
)
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason

T = 1_700_000_000_000.0
TARGETS = 6
ROWS = tuple(range(300, 300 + TARGETS))
READY, CONFLICT, TRANSIT = TargetState.READY, TargetState.CONFLICT, TargetState.TRANSIT
SKIPPED, UNREACHABLE = TargetState.SKIPPED, TargetState.UNREACHABLE


def rows_of(*rows: int) -> Rows:
    return np.array(rows, np.int64)


def record_of(rows: Sequence[int] = ROWS, *, sector: int = 1, target_ms: float = T) -> SectorRecord:
    return SectorRecord(sector, rows_of(*rows), target_ms)


def answers(
    *rows: int,
    state: TargetState = READY,
    offset_ms: float = 0.0,
    delivery: Delivery = Delivery.LEAD,
    target_ms: float = T,
) -> Answers:
    count = len(rows)
    times: NDArray[np.float64] = np.full(count, target_ms + offset_ms)
    return Answers(rows_of(*rows), np.full(count, state, np.int8), times, delivery)


def released(*rows: int, delivery: Delivery = Delivery.LEAD) -> Released:
    return Released(rows_of(*rows), delivery)


def skipped(*rows: int, needed_ms: float = 60_000.0, available_ms: float = 500.0) -> Skipped:
    count = len(rows)
    reasons = np.full(count, SkipReason.INSUFFICIENT_LEAD_TIME, np.uint8)
    return Skipped(rows_of(*rows), reasons, np.full(count, needed_ms), np.full(count, available_ms))


def lost(*rows: int) -> Lost:
    return Lost(rows_of(*rows))


def picture(record: SectorRecord) -> list[tuple[object, ...]]:
    """All that a record says of its targets, to be compared."""
    is_skipped = record.states == SKIPPED
    columns = (
        record.rows,
        record.knowledge,
        record.deliveries,
        record.offsets_ms,
        record.contradicted,
        np.where(is_skipped, record.reasons, 0),
        np.where(is_skipped, record.needed_ms, 0),
        np.where(is_skipped, record.available_ms, 0),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


_ROWS = st.lists(st.sampled_from([*ROWS, 299, 306]), max_size=8)
_WAYS = st.sampled_from([Delivery.NOW, Delivery.LEAD, Delivery.HOLD])


@st.composite
def _answers(draw: st.DrawFn) -> Event:
    rows = draw(_ROWS)
    states = [draw(st.sampled_from([READY, CONFLICT, TRANSIT])) for _ in rows]
    offsets = [draw(st.sampled_from([-90.5, -1.0, 0.0, 0.25, 3.0, 700.0, np.nan])) for _ in rows]
    return Answers(rows_of(*rows), np.array(states, np.int8), T + np.array(offsets), draw(_WAYS))


EVENTS: st.SearchStrategy[Event] = st.one_of(
    _answers(),
    st.builds(lambda rows, way: released(*sorted(set(rows)), delivery=way), _ROWS, _WAYS),
    st.builds(
        lambda rows, needed, left: skipped(*sorted(set(rows)), needed_ms=needed, available_ms=left),
        _ROWS,
        st.sampled_from([5.0, 60.0]),
        st.sampled_from([-3.0, 4.0]),
    ),
    st.builds(lambda rows: skipped_for(SkipReason.BREAKER_OPEN, rows_of(*sorted(set(rows)))), _ROWS),
    st.builds(lambda rows: lost(*sorted(set(rows))), _ROWS),
)
