"""What has been heard of one operation in one sector, as whoever folds acks together keeps it and passes it on.

Dense columns with a place for each agent that the sector may have, so that taking in a frame of acks is indexing. What
is known of an agent only grows (target_state), so acks may come twice, late, in any order and from several sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_columns import WHOLE_SECTOR, AckColumns
from ohmesh.model.fleet_message import ReportedConflict
from ohmesh.model.fleet_table import AckTable, Places, pack_acks
from ohmesh.model.topology import Topology

UNHEARD = np.int8(-128)

# How much a state says, at the place of its value + 1: CONFLICT, TRANSIT, READY, SKIPPED, UNREACHABLE.
_SAYS = np.array([5, 3, 6, 2, 4], np.int8)
_IS_SETTLED = np.array([says in (2, 4, 5, 6) for says in range(7)])

Index = NDArray[np.intp]


class SectorAnswers:
    """Columns of shape (sector_size,). states: values of TargetState, or UNHEARD."""

    def __init__(self, sector: int, topology: Topology) -> None:
        size = topology.sector_size
        self.sector = sector
        self.states = np.full(size, UNHEARD, np.int8)
        self.arrived_us = np.zeros(size, np.int64)
        self.ready_us = np.zeros(size, np.int64)
        self.processing_ms = np.zeros(size, np.float32)
        self.needed_ms = np.full(size, np.nan, np.float32)
        self.available_ms = np.full(size, np.nan, np.float32)
        self.answers: list[bytes] = []
        self.conflicts: dict[int, ReportedConflict] = {}
        self._agents = topology.agents
        self._says = np.zeros(size, np.int8)
        self._answer = np.zeros(size, np.uint16)
        self._codes: dict[bytes, int] = {}

    def take(self, table: AckTable) -> Index:
        """The places of those of whom more is known now. Raises InvalidArgument: outside of this sector's shape."""
        at = self._places(table)
        told = _SAYS[table.state + 1]
        grown = told > self._says[at]
        if not grown.all():
            at, told = at[grown], told[grown]
            chosen: NDArray[np.bool_] | slice = grown
        else:
            chosen = slice(None)
        if not len(at):
            return at
        self._says[at] = told
        self.states[at] = table.state[chosen]
        self.arrived_us[at] = np.where(
            table.arrived_us[chosen] > 0, table.arrived_us[chosen], self.arrived_us[at]
        )
        self.ready_us[at] = table.ready_us[chosen]
        self.processing_ms[at] = table.processing_ms[chosen]
        if table.needed_ms is not None and table.available_ms is not None:
            self.needed_ms[at] = table.needed_ms[chosen]
            self.available_ms[at] = table.available_ms[chosen]
        if table.answer is not None:
            codes = np.array([0, *(self._code(answer) for answer in table.answers)], np.uint16)
            self._answer[at] = codes[table.answer[chosen]]
        if table.conflicts:
            self._keep_conflicts(table)
        return at

    def _places(self, table: AckTable) -> Index:
        clusters, numbers = table.places.clusters.astype(np.intp), table.places.numbers.astype(np.intp)
        return clusters * self._agents + numbers

    @property
    def settled(self) -> int:
        """How many are not waited for any more."""
        return int(np.count_nonzero(_IS_SETTLED[self._says]))

    def pack(self, operation: str, at: Index) -> AckColumns:
        """What is known of these places, which ascend."""
        clusters, numbers = np.divmod(at, self._agents)
        places = Places(self.sector, WHOLE_SECTOR, clusters.astype(np.uint8), numbers.astype(np.uint16))
        has_times = bool(np.isfinite(self.needed_ms[at]).any())
        answer = self._answer[at] if self.answers and self._answer[at].any() else None
        return pack_acks(
            AckTable(
                operation,
                places,
                self.states[at],
                self.arrived_us[at],
                self.ready_us[at],
                self.processing_ms[at],
                self._conflicts_of(at),
                tuple(self.answers) if answer is not None else (),
                answer,
                self.needed_ms[at] if has_times else None,
                self.available_ms[at] if has_times else None,
            )
        )

    def known(self) -> Index:
        """The places of which anything is known, ascending."""
        return np.flatnonzero(self._says)

    def _keep_conflicts(self, table: AckTable) -> None:
        clusters, numbers = table.places.clusters, table.places.numbers
        for row, conflict in table.conflicts:
            self.conflicts.setdefault(int(clusters[row]) * self._agents + int(numbers[row]), conflict)

    def _conflicts_of(self, at: Index) -> tuple[tuple[int, ReportedConflict], ...]:
        if not self.conflicts:
            return ()
        return tuple(
            (row, self.conflicts[place]) for row, place in enumerate(at.tolist()) if place in self.conflicts
        )

    def _code(self, answer: bytes) -> int:
        code = self._codes.get(answer)
        if code is None:
            self.answers.append(answer)
            code = self._codes[answer] = len(self.answers)
        return code
