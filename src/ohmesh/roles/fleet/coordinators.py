"""The sectors that this process coordinates: messages go down to the leads, what is heard is folded on its way up.

All sectors of a process are kept here together. A fold goes up as soon as a sector has heard of everybody, and
otherwise a little later, so that thousands of acks that come within some milliseconds are one frame.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import numpy as np

from ohmesh.model.fleet_columns import CoordinateColumns
from ohmesh.model.fleet_operation import CallOff, ConflictNotice, Fold, Forget, Recall, Relay, Tier
from ohmesh.model.fleet_table import (
    AckTable,
    CoordinateTable,
    Places,
    pack_coordinate,
    read_acks,
    read_coordinate,
)
from ohmesh.protocols.arrival.sector_answers import Index, SectorAnswers
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.roles.fleet.surroundings import Surroundings

FOLD_S = 0.02
KEPT_CONFLICTS = 1_000
KEPT_OPERATIONS = 20_000


class _SectorOperation:
    """One operation in one sector. meant: how many agents, None while nobody has said. changed: places to be told."""

    def __init__(self, answers: SectorAnswers) -> None:
        self.answers = answers
        self.meant: int | None = None
        self.depth = Tier.SECTOR
        self.clusters: dict[int, int] = {}
        self.is_reached_told = False
        self.changed: list[Index] = []
        self.settled = 0

    @property
    def is_complete(self) -> bool:
        return self.meant is not None and self.settled >= self.meant


class Coordinators:
    def __init__(self, here: Surroundings, *, fold_s: float = FOLD_S) -> None:
        self._here = here
        self._fold_s = fold_s
        self._held: OrderedDict[tuple[str, int], _SectorOperation] = OrderedDict()
        self._dirty: dict[tuple[str, int], None] = {}
        self.conflicts: OrderedDict[str, ConflictNotice] = OrderedDict()
        self._flushing: asyncio.TimerHandle | None = None

    # From above

    def hear(self, notice: ConflictNotice) -> bool:
        """A conflict of the agents here; whether that was not known."""
        if notice.is_ended:
            return self.conflicts.pop(notice.conflict, None) is not None
        is_new = notice.conflict not in self.conflicts
        self.conflicts[notice.conflict] = notice
        while len(self.conflicts) > KEPT_CONFLICTS:
            self.conflicts.popitem(last=False)
        return is_new

    def take(self, relay: Relay) -> None:
        """Raises InvalidArgument: columns that cannot be read."""
        table = read_coordinate(relay.body)
        operation, sector = table.message.head.id, table.places.sector
        held = self._operation(operation, sector)
        held.meant, held.depth = self._count(table), relay.depth
        if relay.depth > Tier.SECTOR:
            self._pass_on(relay, table)
        if relay.depth == Tier.SECTOR or not held.meant:
            self._mark(operation, sector, at_once=True)

    def recall(self, recall: Recall) -> None:
        for sector in recall.sectors:
            held = self._held.get((recall.operation, sector))
            if held is not None:
                held.changed = [held.answers.known()]
                self._mark(recall.operation, sector, at_once=True)

    def call_off(self, order: CallOff) -> None:
        roles, topology = self._here.roles, self._here.topology
        for sector in order.sectors:
            first = sector * topology.clusters
            for lead in _distinct(roles.leads[first : first + topology.clusters]):
                self._here.tell(lead, CallOff(Tier.CLUSTER, order.operation, (sector,)))

    def forget(self, order: Forget) -> None:
        gone = set(order.operations)
        for key in [key for key in self._held if key[0] in gone]:
            del self._held[key]
            self._dirty.pop(key, None)

    # From below

    def fold(self, fold: Fold, lead: int) -> None:
        """Raises InvalidArgument: columns that cannot be read."""
        held = self._operation(fold.operation, fold.sector)
        news = fold.clusters > held.clusters.get(lead, 0)
        if news:
            held.clusters[lead] = fold.clusters
        if news:
            self._mark(fold.operation, fold.sector, at_once=held.depth is Tier.CLUSTER)
        if fold.acks is not None:
            self.take_acks(fold.operation, read_acks(fold.acks))

    def take_acks(self, operation: str, table: AckTable) -> None:
        """Of agents of one sector that is coordinated here."""
        sector = table.places.sector
        held = self._operation(operation, sector)
        changed = held.answers.take(table)
        if len(changed):
            held.changed.append(changed)
            held.settled = held.answers.settled
            self._mark(operation, sector, at_once=held.is_complete)

    def _operation(self, operation: str, sector: int) -> _SectorOperation:
        key = (operation, sector)
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _SectorOperation(SectorAnswers(sector, self._here.topology))
            while len(self._held) > KEPT_OPERATIONS:
                oldest, _ = self._held.popitem(last=False)
                self._dirty.pop(oldest, None)
        return held

    def _count(self, table: CoordinateTable) -> int:
        if not table.is_for_all:
            return len(table.places)
        homes = self._here.roles.homes[self._here.topology.rows_of_sector(table.places.sector)]
        return int(np.count_nonzero(homes != NOBODY))

    def _pass_on(self, relay: Relay, table: CoordinateTable) -> None:
        roles, topology = self._here.roles, self._here.topology
        sector = table.places.sector
        leads = roles.leads[sector * topology.clusters : (sector + 1) * topology.clusters]
        distinct = _distinct(leads)
        if len(distinct) == 1 or table.is_for_all:
            for lead in distinct:
                self._here.tell(lead, Relay(Tier.CLUSTER, relay.depth, relay.era, relay.body))
            return
        of_row = leads[table.places.clusters]
        for lead in distinct:
            part = of_row == lead
            if part.any():
                self._here.tell(lead, Relay(Tier.CLUSTER, relay.depth, relay.era, _part(table, part)))

    # Up

    def _mark(self, operation: str, sector: int, *, at_once: bool) -> None:
        self._dirty[operation, sector] = None
        if at_once:
            self._tell(operation, sector)
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(self._fold_s, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        for operation, sector in list(self._dirty):
            self._tell(operation, sector)

    def _tell(self, operation: str, sector: int) -> None:
        self._dirty.pop((operation, sector), None)
        held = self._held[operation, sector]
        acks = None
        if held.changed:
            at = held.changed[0] if len(held.changed) == 1 else np.unique(np.concatenate(held.changed))
            held.changed = []
            acks = held.answers.pack(operation, at) if len(at) else None
        self._here.tell_orchestrator(
            Fold(
                Tier.MESH,
                operation,
                sector,
                min(sum(held.clusters.values()), self._here.topology.clusters),
                acks,
            )
        )


def _part(table: CoordinateTable, part: np.ndarray) -> CoordinateColumns:
    places = table.places
    chosen = Places(places.sector, places.cluster, places.clusters[part], places.numbers[part])
    compensation_ms = table.compensation_ms[part] if table.compensation_ms is not None else None
    return pack_coordinate(CoordinateTable(table.message, chosen, compensation_ms))


def _distinct(places: np.ndarray) -> list[int]:
    return [int(place) for place in np.unique(places) if place != NOBODY]
