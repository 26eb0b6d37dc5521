"""A process of the fleet: its agents, with the clusters that it leads and the sectors that it coordinates.

    f.<process> --Relay--> coordinators --> leads --> agents that live here, or another process's
                <--Fold--  coordinators <-- leads <-- their acks

An operation is known by its id: an agent is asked once, however often the message comes. What agents answered is kept
until the operation is stored, and told again to whoever takes a role over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument, OhmeshError
from ohmesh.model.fleet_context import AskContext, GiveContext
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, decode_fleet_frame, sift
from ohmesh.model.fleet_message import Circuit, ClockEcho
from ohmesh.model.fleet_operation import (
    Beat,
    CallOff,
    ConflictNotice,
    FleetView,
    Fold,
    Forget,
    JoinColumns,
    Member,
    Recall,
    Rejoin,
    Relay,
    Tier,
)
from ohmesh.model.fleet_table import AckTable, HeartbeatTable, pack_acks, pack_heartbeats, read_coordinate
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.subject import FleetPart
from ohmesh.ports.bus import Message
from ohmesh.ports.population import ComesAndGoes, Population, Rows
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.roles.fleet.agent_states import AgentStates
from ohmesh.roles.fleet.alarm import Alarm, Ring
from ohmesh.roles.fleet.commitments import Commitments
from ohmesh.roles.fleet.config import FleetHostConfig, FleetPorts, Seat
from ohmesh.roles.fleet.conflict_orders import ConflictOrders
from ohmesh.roles.fleet.coordinators import Coordinators
from ohmesh.roles.fleet.leads import Leads, part_of
from ohmesh.roles.fleet.mesh_time import MeshTime
from ohmesh.roles.fleet.orders_here import OrdersHere, Witness
from ohmesh.roles.fleet.outbox import Outbox
from ohmesh.roles.fleet.places import places_of, spans_of
from ohmesh.roles.fleet.state_orders import StateOrders
from ohmesh.roles.fleet.state_records import StateRecords
from ohmesh.roles.fleet.surroundings import Surroundings

NOBODY_THERE = np.zeros(0, np.int64)
After = Callable[[NDArray[np.float32], Ring], None]
"""Call back with the places of delays (milliseconds) as they have passed."""


class FleetHost:
    """A process with the agents of `population`, which is handed what calls it back after delays."""

    def __init__(
        self,
        ports: FleetPorts,
        population: Callable[[After], Population],
        seat: Seat,
        *,
        config: FleetHostConfig | None = None,
    ) -> None:
        self.name = name = seat.name
        subjects, topology = seat.subjects, seat.topology
        self.config = config or FleetHostConfig()
        self.refused = self.expired = self.altered = 0
        self._ports = ports
        self._subjects = subjects
        self._topology = topology
        self._incarnation = ports.clock.now_ms()
        self.time = MeshTime(ports.clock, incarnation=self._incarnation)
        self._outbox = Outbox(ports.bus, sender=name, term=self._incarnation, stamp=self._stamp)
        self.here = Surroundings(name, subjects, topology, time=self.time, outbox=self._outbox)
        self.here.deliver_here = self._take_own
        self._coordinators = Coordinators(self.here)
        self._leads = Leads(self.here)
        self._alarm = Alarm(self.time.local_us)
        records = StateRecords(ports.blobs, name) if ports.blobs is not None else None
        self._source = population(self._after)
        self._population = AgentStates(self._source, records)
        self._state_orders = StateOrders(self._population, name=name, life=self._incarnation, say=self._say)
        self._population.obey = self._state_orders.obey
        self._population.settle = ConflictOrders(self._population, self._state_orders).obey
        self._population.changed = self._tell_changed
        self._residents = self._population.residents()
        self._commitments = Commitments(self._population, time=self.time, alarm=self._alarm)
        self._orders = OrdersHere(
            self._commitments, topology, time=self.time, alarm=self._alarm, config=self.config
        )
        self._orders.tell = self._tell_leads
        self._leads.deliver_here = self._orders.deliver
        self._leads.coordinators = self._coordinators
        if isinstance(self._source, ComesAndGoes):
            self._source.changed = self._join
        self._is_in_view = asyncio.Event()
        self._era = 0
        self._notice = self._population.notice = self._commitments.notice = logging.getLogger(
            "ohmesh.fleet"
        ).warning

    def watch_readiness(self, witness: Witness) -> None:
        """`witness` is called as agents become ready (operation, rows): for who measures from outside."""
        self._orders.witness = witness

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._population.load()
        bus = self._ports.bus
        subscriptions = [
            await bus.subscribe(self._subjects.fleet_process(self.name), self._receive),
            await bus.subscribe(self._subjects.every_fleet_process(), self._receive),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for work in (
                    self._outbox.run,
                    self._alarm.run,
                    self._leads.run,
                    self._beat,
                    self._heartbeats,
                    self._clock,
                    self._state_orders.run,
                    self._population.keep,
                ):
                    group.create_task(work(), name=f"fleet {work.__qualname__}")
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(OhmeshError):
                    await subscription.unsubscribe()

    def _after(self, delays_ms: NDArray[np.float32], ring: Ring) -> None:
        whole_ms = np.ceil(delays_ms).astype(np.int64)  # so that many are rung for together
        self._alarm.add(self.time.local_us() + 1000 * whole_ms, ring)

    async def joined(self) -> None:
        """Return once the orchestrator's view names this process."""
        await self._is_in_view.wait()

    # What arrives

    def _receive(self, message: Message) -> None:
        try:
            frame = decode_fleet_frame(message.data)
        except InvalidArgument:
            self.refused += 1
            return
        lead = NOBODY
        for body in self._worth_hearing(frame):
            if isinstance(body, Fold) and body.to is Tier.SECTOR:
                if lead == NOBODY:
                    lead = self.here.roles.place_of(frame.sender)
                self._guard(partial(self._coordinators.fold, body, lead))
            else:
                self._guard(partial(self._take, body))

    def _worth_hearing(self, frame: FleetFrame) -> list[FleetBody]:
        """Orders that are past their time are too late to be obeyed, and altered ones nobody's: they are dropped,
        counted and said, and who waits for them finds their agents silent."""
        reading = self.time.read()
        heard = sift(frame, reading.time_us, reading.error_us)
        if heard.expired or heard.altered:
            self.expired += heard.expired
            self.altered += heard.altered
            why = ", ".join(
                f"{count} {what}"
                for count, what in (
                    (heard.expired, "past their time"),
                    (heard.altered, "other than what was hashed"),
                )
                if count
            )
            self._notice(f"Orders of {frame.sender} to {self.name} were dropped: {why}.")
        return heard.bodies

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except InvalidArgument as error:
            self.refused += 1
            self._notice(f"A message to {self.name} was refused: {error}")

    def _take_own(self, body: FleetBody) -> None:
        if isinstance(body, Fold) and body.to is Tier.SECTOR:
            self._coordinators.fold(body, self.here.me)
        else:
            self._take(body)

    def _take(self, body: FleetBody) -> None:
        match body:
            case Relay(to=Tier.SECTOR):
                self._coordinators.take(body)
            case Relay(to=Tier.CLUSTER):
                self._leads.take(body)
            case Relay():
                self._deliver(body)
            case Fold():
                self._leads.fold(body)
            case FleetView():
                self._see(body)
            case Rejoin():
                self._join(self._present())
            case ClockEcho():
                self.time.hear(body)
            case CallOff(to=Tier.SECTOR):
                self._coordinators.call_off(body)
            case CallOff():
                self._leads.call_off(body)
            case Recall():
                self._recall(body)
            case Forget():
                self._forget(body)
            case ConflictNotice():
                self._hear_of_conflict(body)
            case Circuit():
                pass  # the orchestrator routes, and has said so
            case AskContext():
                self._state_orders.give(body)
            case GiveContext():
                self._state_orders.take(body)
            case _:
                raise InvalidArgument(f"A process of the fleet does not take {type(body).__name__}.")

    def _see(self, view: FleetView) -> None:
        if view.era > self.here.view.era and self.here.view.era:
            self.time.link.begin_anew()
        before = self.here.roles
        if not self.here.believe(view):
            return
        ours = next((member for member in view.members if member.process == self.name), None)
        if ours is None or ours.incarnation != self._incarnation or ours.spans != self._spans():
            self.here.tell_orchestrator(self._member())
            return
        if not self._is_in_view.is_set() or view.era != self._era:
            self._era = view.era
            self._join(self._present())
        self._is_in_view.set()
        if before is not self.here.roles:
            self._orders.tell_again()  # roles are others' now; they know nothing of what was said before

    # Orders to the agents that live here

    def _deliver(self, relay: Relay) -> None:
        table = read_coordinate(relay.body)
        self._orders.deliver(table.message, table.places.rows(self._topology))

    def _tell_leads(self, operation: str, table: AckTable) -> None:
        """What is known of agents of one sector goes to who leads their clusters."""
        topology, sector = self._topology, table.places.sector
        leads = self.here.roles.leads[sector * topology.clusters + table.places.clusters.astype(np.intp)]
        if (leads == leads[0]).all():
            self._tell_lead(int(leads[0]), operation, table)
            return
        for lead in np.unique(leads):
            self._tell_lead(int(lead), operation, part_of(table, leads == lead))

    def _tell_lead(self, lead: int, operation: str, table: AckTable) -> None:
        if lead == self.here.me:
            self._leads.pass_up(operation, table)
        else:
            self.here.tell(lead, Fold(Tier.CLUSTER, operation, table.places.sector, 0, pack_acks(table)))

    def _hear_of_conflict(self, told: ConflictNotice) -> None:
        if self._coordinators.hear(told):
            sectors = ", ".join(f"s{sector:03}" for sector in told.sectors)
            how = f"has ended: {told.outcome}" if told.is_ended else f"is open, {', '.join(told.agents)}"
            self._notice(
                f"Sector {sectors}: conflict {told.conflict} ({told.kind}, priority {told.priority}) {how}"
            )

    @property
    def conflicts(self) -> tuple[ConflictNotice, ...]:
        """Open ones of the sectors that this process coordinates, as it was told."""
        return tuple(self._coordinators.conflicts.values())

    def _recall(self, order: Recall) -> None:
        self._coordinators.recall(order)
        self._orders.tell_again(order.operation, frozenset(order.sectors))

    def _forget(self, order: Forget) -> None:
        self._orders.forget(frozenset(order.operations))
        self._coordinators.forget(order)

    # Signs of life

    async def _beat(self) -> None:
        self.here.tell_orchestrator(self._member())
        rounds = 0
        while True:
            await asyncio.sleep(self.config.beat_ms / 1000)
            view = self.here.view.revision
            rounds += 1
            if not self._is_in_view.is_set():
                self.here.tell_orchestrator(self._member())
            self.here.tell_orchestrator(Beat(self.name, self._incarnation, view))

    def _member(self) -> Member:
        simulated = self._residents.is_simulated
        return Member(self.name, self._incarnation, self._spans(), simulated=simulated)

    def _present(self) -> Rows:
        """Who is there now, of those that have a place here."""
        return self._source.present() if isinstance(self._source, ComesAndGoes) else self._residents.rows

    def _join(self, rows: Rows) -> None:
        """Let these agents join, and tell at once how they are, so that the registry is whole."""
        if not len(rows):
            return
        residents = self._source.residents()
        at = np.searchsorted(residents.rows, rows)
        held = [residents.capabilities[place] for place in at.tolist()] if residents.capabilities else []
        sets = tuple(dict.fromkeys(held))
        codes = {each: code for code, each in enumerate(sets)}
        joining = JoinColumns(
            self.name,
            self._incarnation,
            spans_of(rows),
            residents.class_codes[at].astype(np.uint8).tobytes(),
            capability_sets=sets,
            set_of=np.array([codes[each] for each in held], "<u2").tobytes() if sets else b"",
            names=tuple((row, residents.names[row]) for row in rows.tolist() if row in residents.names),
        )
        self.here.tell_orchestrator(joining)
        self._tell_changed(rows)

    def _tell_changed(self, rows: Rows) -> None:
        for part in self._by_sector(rows):
            self._tell_vitals(part)

    def _by_sector(self, rows: Rows) -> list[Rows]:
        cuts = np.flatnonzero(np.diff(rows // self._topology.sector_size)) + 1
        return [part for part in np.split(rows, cuts) if len(part)]

    def _spans(self) -> tuple[tuple[int, int], ...]:
        return spans_of(self._residents.rows)

    async def _clock(self) -> None:
        while True:
            await asyncio.sleep(self.time.next_probe_s())
            await self._outbox.now(self._subjects.orchestrator(FleetPart.HEARTBEATS), self.time.probe())

    async def _heartbeats(self) -> None:
        await self._is_in_view.wait()
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            parts = self._by_sector(self._present())
            pause_s = self.config.heartbeat_ms / 1000 / max(1, len(parts))
            for part in parts or [NOBODY_THERE]:
                due_s = max(due_s + pause_s, loop.time() - pause_s)
                await asyncio.sleep(due_s - loop.time())
                if len(part):
                    self._tell_vitals(part)

    def _tell_vitals(self, rows: Rows) -> None:
        vitals = self._population.vitals(rows)
        count = len(rows)
        trip_us = self.time.link.trip_us
        table = HeartbeatTable(
            places_of(rows, self._topology),
            np.full(count, np.nan if trip_us is None else trip_us / 1000, np.float32),
            vitals.processing_ms,
            vitals.queue_depth,
            vitals.reliability,
            vitals.drift,
            np.ones(count, np.uint8),
            vitals.duty,
            vitals.context_hash,
        )
        self.here.tell_orchestrator(pack_heartbeats(table))

    def _say(self, process: str, body: FleetBody) -> None:
        self._outbox.put(self._subjects.fleet_process(process), body)

    def _stamp(self) -> int:
        return pack_stamp(max(0, self.time.now_us() // 1000), 0)
