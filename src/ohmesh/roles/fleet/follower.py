"""A node's replica of the fleet's registry: it follows the orchestrator's, and answers reads while that is away.

It is at most as old as it says: `age_ms` counts from when a change, or the word that there was none, last arrived here.
A node that becomes the orchestrator begins with its replica, so nobody is forgotten in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from ohmesh.errors import EngineError, EngineFailed, InvalidArgument, OhmeshError, PayloadTooLarge
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_care import (
    AreYouThere,
    LookAtSector,
    SectorSight,
    Sight,
    encode_process_question,
)
from ohmesh.model.fleet_frame import decode_fleet_frame
from ohmesh.model.fleet_operation import FleetView
from ohmesh.model.fleet_reading import Source
from ohmesh.model.fleet_replica import Changes, Follow
from ohmesh.model.fleet_request import decode_request, encode_answer
from ohmesh.model.hybrid_time import pack_stamp, unpack_stamp
from ohmesh.model.message import Problem
from ohmesh.ports.bus import Bus, Message, Subscription
from ohmesh.ports.clock import Clock
from ohmesh.protocols.membership.fleet_roles import NOBODY, fleet_roles
from ohmesh.registry.fleet.replica import EVERYTHING, Replica, Taken, decode_changes
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.roles.fleet.config import OrchestratorConfig, Seat
from ohmesh.roles.fleet.outbox import Outbox
from ohmesh.roles.fleet.reads import READS, Reading

GROUP = "replicas"
LOOK_S = 1.0


class Follower:
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        seat: Seat,
        *,
        classes: AgentClasses | None = None,
        config: OrchestratorConfig | None = None,
    ) -> None:
        self.replica = Replica(FleetTable(seat.topology, classes or AgentClasses()))
        self.notice: Callable[[str], None] = logging.getLogger("ohmesh.follower").warning
        self._config = config or OrchestratorConfig()
        self._bus = bus
        self._clock = clock
        self.seat = seat
        self._view = FleetView(
            0, 0, "", (seat.topology.sectors, seat.topology.clusters, seat.topology.agents)
        )
        self._roles = fleet_roles(seat.topology, ())
        self._mode = ""
        self._heard_ms = 0
        self._mesh_ms = 0
        self._has_gap = True
        self._filled = asyncio.Event()
        self._outbox = Outbox(bus, sender=seat.name, term=0, stamp=lambda: pack_stamp(clock.now_ms(), 0))

    def known(self) -> FleetTable | None:
        """None before anything was heard."""
        return self.replica.fleet if self.replica.position is not None else None

    async def run(self) -> None:
        """Until it is cancelled."""
        subjects, bus = self.seat.subjects, self._bus
        subscriptions: list[Subscription] = [
            await bus.subscribe(subject, self._receive)
            for subject in (
                subjects.fleet_changes(),
                subjects.fleet_changes(self.seat.name),
                subjects.every_fleet_process(),
            )
        ]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._keep_up())
                await self._filled.wait()  # who knows nothing must not be asked
                self._group = group
                subscriptions.append(
                    await bus.subscribe(subjects.fleet_reads(), self._receive_question, group=GROUP)
                )
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(EngineError):
                    await subscription.unsubscribe()

    async def _keep_up(self) -> None:
        """Ask for what is lacking, once in a while until it has come."""
        while True:
            if self._has_gap:
                self._ask()
            await asyncio.sleep(self._config.replica_ms / 1000)

    def _ask(self) -> None:
        position = self.replica.position
        wish = Follow(self.seat.name, *position) if position is not None else Follow(self.seat.name)
        self._outbox.put(self.seat.subjects.orchestrator(), wish)

    def _receive(self, message: Message) -> None:
        try:
            frame = decode_fleet_frame(message.data)
            for body in frame.bodies:
                if isinstance(body, Changes):
                    self._take(body, unpack_stamp(frame.stamp)[0])
                elif isinstance(body, FleetView):
                    self._see(body)
        except InvalidArgument as error:
            self.notice(f"Changes of the fleet were dropped: {error}")

    def _take(self, changes: Changes, at_ms: int) -> None:
        frame = decode_changes(changes.data)
        taken = self.replica.take(frame)
        if taken is Taken.FENCED:
            return
        if taken is Taken.GAP:
            if not self._has_gap:
                self._has_gap = True
                self._ask()
            return
        if taken is Taken.APPLIED or (frame.since != EVERYTHING and taken is Taken.KNOWN):
            self._has_gap = False
            self._heard_ms, self._mesh_ms = self._clock.monotonic_ms(), at_ms
            self._mode = changes.mode
            self._filled.set()

    def _see(self, view: FleetView) -> None:
        if (view.era, view.revision) <= (self._view.era, self._view.revision):
            return
        if view.shape != self.seat.topology:
            return
        self._view, self._roles = view, fleet_roles(self.seat.topology, view.members)

    # Reads

    def reading(self) -> Reading:
        age_ms = self._clock.monotonic_ms() - self._heard_ms
        source = Source(self.seat.name, float(age_ms))
        fleet = self.replica.fleet
        return Reading(fleet, self._view, self._roles, self._mode, float(self._mesh_ms + age_ms), source)

    def _receive_question(self, message: Message) -> None:
        if message.reply:
            self._group.create_task(self._answer(message), name="follower's answer")

    async def _answer(self, message: Message) -> None:
        answer: msgspec.Struct
        try:
            question = decode_request(message.data).question
            if isinstance(question, LookAtSector):
                answer = await self._look(question.sector)
            elif isinstance(question, READS):
                answer = self.reading().answer(question)
            else:
                raise InvalidArgument(f"A replica does not answer {type(question).__name__}.")
        except OhmeshError as error:
            answer = Problem(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- a question that shows a defect must not end the replica for all
            self.notice(f"A question about the fleet could not be answered: {error!r}")
            answer = Problem(EngineFailed.code, f"The replica could not answer: {error!r}.")
        with contextlib.suppress(EngineError):  # it is asked again
            try:
                await self._bus.publish(message.reply, encode_answer(answer))
            except PayloadTooLarge as error:
                await self._bus.publish(message.reply, encode_answer(Problem(error.code, str(error))))

    # A second vantage point

    async def _look(self, sector: int) -> SectorSight:
        """Ask each process that has to do with a sector by itself, past the roles of the fleet."""
        topology, roles = self.seat.topology, self._roles
        if sector >= topology.sectors:
            raise InvalidArgument(f"There is no sector {sector} in a fleet of {topology.sectors}.")
        homes = roles.homes[topology.rows_of_sector(sector)]
        leads = roles.leads[sector * topology.clusters : (sector + 1) * topology.clusters]
        coordinator = int(roles.coordinators[sector])
        places = sorted({*homes.tolist(), *leads.tolist(), coordinator} - {NOBODY})
        answers = await asyncio.gather(*(self._ask_process(roles.processes[place]) for place in places))
        sights = tuple(
            Sight(
                roles.processes[place],
                place == coordinator,
                int((leads == place).sum()),
                int((homes == place).sum()),
                answered_ms,
            )
            for place, answered_ms in zip(places, answers, strict=True)
        )
        return SectorSight(self.seat.name, self.seat.name != self._view.orchestrator, sights)

    async def _ask_process(self, process: str) -> float | None:
        begun_us = self._clock.monotonic_us()
        try:
            subject, question = self.seat.subjects.fleet_door(process), encode_process_question(AreYouThere())
            await self._bus.request(subject, question, timeout_s=LOOK_S)
        except EngineError:
            return None
        return (self._clock.monotonic_us() - begun_us) / 1000
