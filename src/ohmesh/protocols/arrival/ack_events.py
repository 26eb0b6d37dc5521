"""What acknowledgements in columns come to, as events of a sector's record."""

from __future__ import annotations

import numpy as np

from ohmesh.model.fleet_message import TargetState
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.operation import Answers, Event, Lost, Skipped
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason


def events_of_acks(table: AckTable, topology: Topology, *, delivery: Delivery = Delivery.LEAD) -> list[Event]:
    """`delivery`: how those were asked that answer. Whoever conflicts was ready at no time: its arrival is its time.
    Of a skip whose times were not told (NaN, or no column) none is known.

    Raises InvalidArgument: rows outside of the fleet."""
    rows, states = table.places.rows(topology), table.state
    found: list[Event] = []
    answered = np.abs(states) <= TargetState.READY
    if answered.any():
        is_conflict = states[answered] == TargetState.CONFLICT
        times_us = np.where(is_conflict, table.arrived_us[answered], table.ready_us[answered])
        times_ms = np.where(times_us > 0, times_us / 1_000, np.nan)
        found.append(Answers(rows[answered], states[answered], times_ms, delivery))
    skipped = states == TargetState.SKIPPED
    if skipped.any():
        count = int(skipped.sum())
        needed = np.zeros(count, np.float32) if table.needed_ms is None else table.needed_ms[skipped]
        available = (
            np.full(count, np.inf, np.float32) if table.available_ms is None else table.available_ms[skipped]
        )
        found.append(
            Skipped(
                rows[skipped],
                np.full(count, SkipReason.INSUFFICIENT_LEAD_TIME, np.uint8),
                np.where(np.isnan(needed), np.float32(0), needed),
                np.where(np.isnan(available), np.float32(np.inf), available),
            )
        )
    gone = states == TargetState.UNREACHABLE
    if gone.any():
        found.append(Lost(rows[gone]))
    return found
