"""Acknowledgements in columns, as the record takes them."""

from __future__ import annotations

import numpy as np

from ohmesh.model.fleet_columns import WHOLE_SECTOR
from ohmesh.model.fleet_message import TargetState
from ohmesh.model.fleet_table import AckTable, Places
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.ack_events import events_of_acks
from ohmesh.protocols.arrival.target_state import Delivery
from tests.unit.protocols.arrival.operation_events import (
    CONFLICT,
    READY,
    SKIPPED,
    TRANSIT,
    UNREACHABLE,
    T,
    record_of,
)

TOPOLOGY = Topology()
T_US = int(T) * 1_000


def table_of(*states: TargetState, needed: bool = True) -> AckTable:
    count = len(states)
    times_us = np.full(count, T_US, np.int64)
    spans = np.full(count, 900, np.float32) if needed else None
    return AckTable(
        "m",
        Places(1, WHOLE_SECTOR, np.zeros(count, np.uint8), np.arange(count, dtype=np.uint16)),
        np.array(states, np.int8),
        arrived_us=times_us - 250_000,
        ready_us=np.where(np.array(states) == READY, times_us + 1_500, 0),
        processing_ms=np.zeros(count, np.float32),
        needed_ms=spans,
        available_ms=spans,
    )


def test_each_state_becomes_what_the_record_knows() -> None:
    states = (READY, CONFLICT, TRANSIT, SKIPPED, UNREACHABLE)
    record = record_of()
    for event in events_of_acks(table_of(*states), TOPOLOGY, delivery=Delivery.HOLD):
        record.take(event)
    assert record.states.tolist()[:5] == list(states)
    assert record.offsets_ms[:2].tolist() == [1.5, -250]
    assert record.needed_ms[3] == 900
    assert record.counts().hold == 3


def test_a_time_that_was_not_told_is_not_known() -> None:
    table = table_of(READY, SKIPPED, needed=False)
    table.ready_us[:] = 0
    record = record_of()
    for event in events_of_acks(table, TOPOLOGY):
        record.take(event)
    assert record.states[0] == READY
    assert not np.isfinite(record.offsets_ms[0])
    assert record.needed_ms[1] == 0


def test_a_skip_whose_times_are_not_numbers_leaves_them_unknown() -> None:
    table = table_of(SKIPPED, SKIPPED)
    assert table.needed_ms is not None
    table.needed_ms[0] = np.nan  # both columns are one array here
    record = record_of()
    for event in events_of_acks(table, TOPOLOGY):
        record.take(event)
    assert record.needed_ms[:2].tolist() == [0, 900]
    assert record.available_ms[:2].tolist() == [np.inf, 900]


def test_no_rows_are_no_events() -> None:
    assert events_of_acks(table_of(), TOPOLOGY) == []
