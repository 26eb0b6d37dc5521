"""The clusters that this process leads: next to the agents, so it does the timing of the last hop.

A message for now goes to the agents' processes at once. One for an instant T is released at T minus each agent's lead
(LEAD), or early, to agents that wait until T themselves (HOLD, PREPARE); who cannot be on time any more is skipped, and
what was needed and what was left is told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import Backpressure
from ohmesh.model.fleet_columns import WHOLE_SECTOR
from ohmesh.model.fleet_message import Coordinate, TargetState, Timing
from ohmesh.model.fleet_operation import CallOff, Fold, Relay, Tier
from ohmesh.model.fleet_table import (
    AckTable,
    CoordinateTable,
    Places,
    pack_acks,
    pack_coordinate,
    read_coordinate,
)
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival.release import Sleeper
from ohmesh.protocols.arrival.schedule import ScheduleConfig, Unasked, plan_releases
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.roles.fleet.coordinators import Coordinators
from ohmesh.roles.fleet.places import places_of
from ohmesh.roles.fleet.surroundings import Surroundings

DEFAULT_LEAD_MS = 1.0
LEAST_WAIT_S = 0.000_2
REMEMBERED = 128  # operations


Scalar = TypeVar("Scalar", bound=np.generic)


class _Meant(NamedTuple):
    rows: Rows
    lead_ms: NDArray[np.float32]


class _Waiting(NamedTuple):
    message: Coordinate
    rows: Rows


class Leads:
    """`deliver_here` takes orders for agents that live in this process, `coordinators` what is known of sectors that
    are coordinated here."""

    def __init__(self, here: Surroundings, *, config: ScheduleConfig | None = None) -> None:
        self.deliver_here: Callable[[Coordinate, Rows], None]
        self.coordinators: Coordinators
        self._here = here
        self._config = config or ScheduleConfig()
        self._sleeper = Sleeper()
        self._waiting: dict[str, _Waiting] = {}
        self._arrived: dict[str, list[_Meant]] = {}
        self._parts = count()
        self._begun: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._wake = asyncio.Event()

    def take(self, relay: Relay) -> None:
        """Raises InvalidArgument: columns that cannot be read."""
        table = read_coordinate(relay.body)
        meant = self._meant(table)
        rows, topology = meant.rows, self._here.topology
        operation, sector = table.message.head.id, table.places.sector
        taken = len(np.unique(rows // topology.agents)) if len(rows) else 0
        self._tell_coordinator(Fold(Tier.SECTOR, operation, sector, taken))
        if relay.depth == Tier.AGENT and len(rows):
            if operation not in self._arrived:  # the sectors of one frame are released together
                self._arrived[operation] = []
                asyncio.get_running_loop().call_soon(self._begin, table.message)
            self._arrived[operation].append(meant)

    def call_off(self, order: CallOff) -> None:
        for key in [key for key, each in self._waiting.items() if each.message.head.id == order.operation]:
            waiting = self._waiting.pop(key)
            rows = np.sort(waiting.rows[self._sleeper.cancel(key)])
            is_meant = np.isin(rows // self._here.topology.sector_size, order.sectors)
            self._tell_states(waiting.message, rows[is_meant], TargetState.SKIPPED)

    def fold(self, fold: Fold) -> None:
        """What agents' processes tell goes on to the coordinator."""
        self._tell_coordinator(Fold(Tier.SECTOR, fold.operation, fold.sector, fold.clusters, fold.acks))

    def pass_up(self, operation: str, table: AckTable) -> None:
        """What is known of agents whose clusters are led here."""
        sector = table.places.sector
        if self._here.roles.coordinators[sector] == self._here.me:
            self.coordinators.take_acks(operation, table)
        else:
            self._tell_coordinator(Fold(Tier.SECTOR, operation, sector, 0, pack_acks(table)))

    async def run(self) -> None:
        """Sleep until the next release is due, for ever."""
        while True:
            self._wake.clear()
            self._release_due()
            wake_ms = self._sleeper.wake_ms
            if wake_ms is None:
                await self._wake.wait()
                continue
            time = self._here.time
            wait_s = (time.local_time_of(int(wake_ms * 1000)) - time.local_us()) / 1e6
            try:
                async with asyncio.timeout(max(wait_s, LEAST_WAIT_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _meant(self, table: CoordinateTable) -> _Meant:
        """Rows of clusters that are led here, and the lead of each where it was given."""
        topology, roles, me = self._here.topology, self._here.roles, self._here.me
        sector = table.places.sector
        if table.is_for_all:
            span = topology.rows_of_sector(sector)
            if table.places.cluster != WHOLE_SECTOR:
                span = topology.rows_of_cluster(sector, table.places.cluster)
            rows = np.arange(span.start, span.stop)
            rows = rows[roles.homes[span] != NOBODY]
        else:
            rows = table.places.rows(topology)
        lead_ms = np.full(len(rows), DEFAULT_LEAD_MS, np.float32)
        if table.compensation_ms is not None:
            lead_ms = table.compensation_ms
        ours = roles.leads[rows // topology.agents] == me
        return _Meant(rows, lead_ms) if ours.all() else _Meant(rows[ours], lead_ms[ours])

    def _begin(self, message: Coordinate) -> None:
        parts = self._arrived.pop(message.head.id)
        rows = np.concatenate([part.rows for part in parts])
        lead_ms = np.concatenate([part.lead_ms for part in parts])
        if len(parts) > 1 and (rows[1:] <= rows[:-1]).any():
            rows, first = np.unique(rows, return_index=True)
            lead_ms = lead_ms[first]
        begun = self._begun_of(message.head.id)
        if begun[rows].any():  # the message came again: who has been planned for keeps that plan
            fresh = ~begun[rows]
            rows, lead_ms = rows[fresh], lead_ms[fresh]
        if not len(rows):
            return
        begun[rows] = True
        if message.timing is Timing.NOW:
            self._release(message, rows)
            return
        now_ms, target_ms = self._here.time.now_us() / 1000, message.target_us / 1000
        holds = np.full(len(rows), message.timing is not Timing.LEAD)
        schedule = plan_releases(lead_ms, target_ms, now_ms, config=self._config, may_hold=holds)
        self._skip(message, rows, schedule.skipped)
        if message.timing is not Timing.LEAD:
            self._release(message, np.sort(rows[schedule.order]))
            return
        key = f"{message.head.id}/{next(self._parts)}"
        try:
            self._sleeper.add(key, schedule)
        except Backpressure:
            self._tell_states(message, np.sort(rows[schedule.order]), TargetState.SKIPPED)
            return
        self._waiting[key] = _Waiting(message, rows)
        self._wake.set()

    def _begun_of(self, operation: str) -> NDArray[np.bool_]:
        begun = self._begun.get(operation)
        if begun is None:
            begun = self._begun[operation] = np.zeros(self._here.topology.size, bool)
            while len(self._begun) > REMEMBERED:
                self._begun.popitem(last=False)
        return begun

    def _release_due(self) -> None:
        for due in self._sleeper.due(self._here.time.now_us() / 1000):
            waiting = self._waiting[due.operation]
            self._skip(waiting.message, waiting.rows, due.expired)
            if len(due.lead):
                self._release(waiting.message, np.sort(waiting.rows[due.lead]))
            if due.operation not in self._sleeper:
                del self._waiting[due.operation]

    def _release(self, message: Coordinate, rows: Rows) -> None:
        """To the agents' processes; who has none is unreachable."""
        if not len(rows):
            return
        homes = self._here.roles.homes[rows]
        for home in np.unique(homes):
            part = rows if (homes == home).all() else rows[homes == home]
            if home == NOBODY:
                self._tell_states(message, part, TargetState.UNREACHABLE)
            elif home == self._here.me:
                self.deliver_here(message, part)
            else:
                for sector in self._by_sector(part):
                    body = pack_coordinate(CoordinateTable(message, places_of(sector, self._here.topology)))
                    self._here.tell(int(home), Relay(Tier.AGENT, Tier.AGENT, self._here.view.era, body))

    def _skip(self, message: Coordinate, rows: Rows, skipped: Unasked) -> None:
        if len(skipped):
            order = np.argsort(rows[skipped.places])
            times = skipped.needed_ms[order], skipped.available_ms[order]
            self._tell_states(message, rows[skipped.places][order], TargetState.SKIPPED, times)

    def _tell_states(
        self,
        message: Coordinate,
        rows: Rows,
        state: TargetState,
        times: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    ) -> None:
        first = 0
        for part in self._by_sector(rows):
            end = first + len(part)
            none = np.zeros(len(part), np.int64)
            table = AckTable(
                message.head.id,
                places_of(part, self._here.topology),
                np.full(len(part), state, np.int8),
                none,
                none,
                np.zeros(len(part), np.float32),
                needed_ms=times[0][first:end].astype(np.float32) if times else None,
                available_ms=times[1][first:end].astype(np.float32) if times else None,
            )
            self.pass_up(message.head.id, table)
            first = end

    def _by_sector(self, rows: Rows) -> list[Rows]:
        cuts = np.flatnonzero(np.diff(rows // self._here.topology.sector_size)) + 1
        return [part for part in np.split(rows, cuts) if len(part)]

    def _tell_coordinator(self, fold: Fold) -> None:
        self._here.tell_coordinator(fold.sector, fold)


def part_of(table: AckTable, chosen: NDArray[np.bool_]) -> AckTable:
    """The rows that are chosen."""
    places = table.places
    kept = np.cumsum(chosen) - 1

    def cut(column: NDArray[Scalar] | None) -> NDArray[Scalar] | None:
        return None if column is None else column[chosen]

    return AckTable(
        table.message_id,
        Places(places.sector, places.cluster, places.clusters[chosen], places.numbers[chosen]),
        table.state[chosen],
        table.arrived_us[chosen],
        table.ready_us[chosen],
        table.processing_ms[chosen],
        tuple((int(kept[row]), why) for row, why in table.conflicts if chosen[row]),
        table.answers,
        cut(table.answer),
        cut(table.needed_ms),
        cut(table.available_ms),
    )
