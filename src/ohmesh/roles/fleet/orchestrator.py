"""The orchestrator: it knows who is there, begins operations, and decides them by what is folded up to it.

    client --StartOperation--> orchestrator --Relay--> coordinators ... agents
           <--OperationView--               <--Fold--

One process of the mesh holds the role, with a term (its era). Its registry is memory, rebuilt from what processes say;
what must not be lost (the view, operations that are under way and how they ended) is in `state` and `blobs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import msgspec
import numpy as np

from ohmesh.errors import (
    EngineError,
    Fenced,
    InvalidArgument,
    PayloadTooLarge,
    RevisionConflict,
)
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_columns import HeartbeatColumns
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, decode_fleet_frame
from ohmesh.model.fleet_message import ClockEcho, ClockProbe
from ohmesh.model.fleet_operation import (
    Beat,
    FleetView,
    Fold,
    JoinColumns,
    Member,
    Rejoin,
)
from ohmesh.model.fleet_replica import Follow
from ohmesh.model.fleet_request import encode_answer
from ohmesh.model.fleet_table import read_heartbeats
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.message import Problem
from ohmesh.model.subject import FleetPart
from ohmesh.policies.degradation import Mode, ModeKeeper
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.protocols.clock.mesh_line import root_line
from ohmesh.protocols.membership.fleet_roles import FleetRoles, fleet_roles
from ohmesh.registry.fleet.joining import Joining
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.roles.fleet.arrivals import Arrivals
from ohmesh.roles.fleet.caretaker import Caretaker
from ohmesh.roles.fleet.conductor import Conductor
from ohmesh.roles.fleet.config import OrchestratorConfig, Seat
from ohmesh.roles.fleet.conflict_desk import ConflictDesk
from ohmesh.roles.fleet.conflict_log import ConflictLog
from ohmesh.roles.fleet.conflict_work import ConflictWork
from ohmesh.roles.fleet.failure_watch import FailureWatch
from ohmesh.roles.fleet.fleet_states import FleetStates
from ohmesh.roles.fleet.lead_keeper import LeadKeeper
from ohmesh.roles.fleet.operation_store import OperationStore
from ohmesh.roles.fleet.origins import Origins
from ohmesh.roles.fleet.outbox import Outbox
from ohmesh.roles.fleet.places import rows_of_spans
from ohmesh.roles.fleet.question_desk import QuestionDesk
from ohmesh.roles.fleet.questions import Questions
from ohmesh.roles.fleet.reads import is_on_duty
from ohmesh.roles.fleet.region_guard import RegionGuard
from ohmesh.roles.fleet.register import Register
from ohmesh.roles.fleet.replica_feed import ReplicaFeed, inherit
from ohmesh.roles.fleet.trend_keeper import TrendKeeper
from ohmesh.trust.key_ring import KeyRing

Notice = Callable[[str], None]
Inherited = Callable[[], FleetTable | None]


@dataclass(frozen=True, slots=True)
class OrchestratorPorts:
    bus: Bus
    state: State
    blobs: Blobs
    clock: Clock
    entropy: Entropy
    log: Log


class Orchestrator:
    def __init__(
        self,
        ports: OrchestratorPorts,
        seat: Seat,
        *,
        classes: AgentClasses | None = None,
        config: OrchestratorConfig | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        """keys: of those whose signed facts count in a conflict, beside the origins that `state` names. Set `inherited`
        where the process keeps a replica of the registry: what the predecessor knew is known at once."""
        self.config = config or OrchestratorConfig()
        self.inherited: Inherited = lambda: None
        self.notice: Notice = logging.getLogger("ohmesh.orchestrator").warning
        topology = seat.topology
        self.registry = FleetRegistry(topology, classes)
        self.arrivals = Arrivals(self.registry)
        self.heartbeats = 0
        self.era = 0
        self._ports = ports
        self.subjects = seat.subjects
        self._topology = topology
        self._owner = seat.name
        self._line = root_line(ports.clock.monotonic_us(), ports.clock.now_ms() * 1000)
        self._register: Register
        self._roles: FleetRoles = fleet_roles(topology, ())
        self.states = FleetStates(self.registry, ports.state, ports.blobs)
        self.store = OperationStore(ports.state, ports.blobs, topology)
        self._changed = asyncio.Event()
        self.simulated: frozenset[str] = frozenset()
        self.questions = Questions(self)
        self.conductor = Conductor(self, ports.state)
        self.guard = RegionGuard(self, ports.state)
        self.failures = FailureWatch(self, self.guard)
        say: Notice = lambda text: self.notice(text)  # noqa: E731, PLW0108 -- another `notice` may be set later
        log = ConflictLog(ports.log, ports.state, seat.subjects.conflict_log(), say, ports.blobs)
        work = ConflictWork(self, Origins(ports.state, keys or KeyRing()), self.new_conflict_id)
        self.conflicts = ConflictDesk(self, log, work)
        self._modes = ModeKeeper()
        self._feed = ReplicaFeed(self)
        self._history = TrendKeeper(self, ports.log)
        self._desk = QuestionDesk(self, Caretaker(self, ports.state), self._history)
        self._leads = LeadKeeper(self, ports.blobs)
        self._awaited: set[str] = set()

    async def run(self, term: int) -> None:
        """Until it is cancelled. Raises Fenced once another has taken over."""
        self.era = term
        ports = self._ports
        self._register = Register(ports.state, ports.clock, self._topology, owner=self._owner, era=term)
        self._outbox = Outbox(ports.bus, sender=self._owner, term=term, stamp=self._stamp)
        try:
            await self._register.load()
        except RevisionConflict as conflict:
            raise Fenced("Another orchestrator has stored a view of the fleet.") from conflict
        await self.states.load()
        await self.guard.load()
        await self._leads.load()
        self._follow_view()
        if (before := self.inherited()) is not None:
            self.arrivals.enrol(inherit(self.registry, before, term))
        members = {member.process for member in self._register.view.members}
        self._awaited = {one for one in members if not len(self.registry.rows_of_host(one))}
        subscriptions = [
            await ports.bus.subscribe(self.subjects.orchestrator(), self._receive),
            await ports.bus.subscribe(self.subjects.orchestrator(FleetPart.HEARTBEATS), self._receive),
            await ports.bus.subscribe(self.subjects.fleet_questions(), self._desk.receive),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for work in (
                    self._outbox.run,
                    self._keep_view,
                    self.conductor.drive,
                    self._sweep,
                    self.conductor.keep,
                    self.conflicts.run,
                    self.states.keep,
                    self.guard.run,
                    self.failures.run,
                    self.arrivals.learn,
                    self._leads.run,
                    self._feed.run,
                    self._history.run,
                ):
                    group.create_task(work(), name=f"orchestrator {work.__qualname__}")
                self._tell_view()
                await self.conductor.resume()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(EngineError):
                    await subscription.unsubscribe()
            if isinstance(sys.exception(), asyncio.CancelledError):
                await self._leads.end()

    # Time

    def now_us(self) -> int:
        return self._line.read(self._ports.clock.monotonic_us()).time_us

    def now_ms(self) -> float:
        return self.now_us() / 1000

    def _stamp(self) -> int:
        return pack_stamp(self.now_us() // 1000, 0)

    # What arrives

    def _receive(self, message: Message) -> None:
        try:
            frame = decode_fleet_frame(message.data)
            for body in frame.bodies:
                self._take(frame, body)
        except InvalidArgument as error:
            self.notice(f"A frame of the fleet was dropped: {error}")

    def _take(self, frame: FleetFrame, body: object) -> None:
        match body:
            case Fold():
                self.conductor.fold(body)
            case HeartbeatColumns():
                self._heartbeat(frame.sender, body)
            case ClockProbe():
                self._echo(frame.sender, body)
            case Beat():
                self._beat(body)
            case Member():
                if self._register.heard(body):
                    self._changed.set()
                else:
                    self._outbox.put(self.subjects.fleet_process(body.process), self._register.view)
            case JoinColumns():
                self._join(body)
            case Follow():
                self._feed.follow(body)
            case _:
                raise InvalidArgument(f"the orchestrator does not take {type(body).__name__}")

    def _echo(self, sender: str, probe: ClockProbe) -> None:
        received_us = self.now_us()
        subject = self.subjects.fleet_process(sender)
        echo = ClockEcho(probe.sent_us, received_us, self.now_us(), self.era, self.era)
        self._group.create_task(self._outbox.now(subject, echo))

    def _heartbeat(self, sender: str, body: HeartbeatColumns) -> None:
        table = read_heartbeats(body)
        heard = self.registry.heartbeat(sender, self.now_us() // 1000, table)
        self.heartbeats += len(table.places)
        if len(heard.refused):
            self._outbox.put(self.subjects.fleet_process(sender), Rejoin(sender))

    def _beat(self, beat: Beat) -> None:
        self._register.heard(beat)
        if self._register.is_current(beat):
            self._awaited.discard(beat.process)  # its agents, if it has any, joined when it saw this view
        else:
            self._outbox.put(self.subjects.fleet_process(beat.process), self._register.view)

    def _join(self, body: JoinColumns) -> None:
        rows = rows_of_spans(body.spans, self._topology)
        joining = Joining(
            host=body.process,
            at_ms=self.now_us() // 1000,
            rows=rows,
            class_codes=np.frombuffer(body.class_codes, np.uint8),
            profile=body.profile,
            capability_sets=body.capability_sets,
            set_of=np.frombuffer(body.set_of, "<u2") if body.set_of else None,
            names=dict(body.names),
        )
        refused = self.registry.insert(joining)
        self._awaited.discard(body.process)
        taken = np.setdiff1d(rows, refused, assume_unique=True)
        self.arrivals.enrol(taken)
        self.states.impose(taken)
        self.conflicts.impose(taken)
        if len(refused):
            self.notice(f"{len(refused)} agents of {body.process} live elsewhere and were not taken.")

    async def reply(self, subject: str, answer: msgspec.Struct) -> None:
        with contextlib.suppress(EngineError):  # it is asked again
            try:
                await self._ports.bus.publish(subject, encode_answer(answer))
            except PayloadTooLarge as error:
                await self._ports.bus.publish(subject, encode_answer(Problem(error.code, str(error))))

    # Who is there

    def _follow_view(self) -> None:
        members = self._register.view.members
        self._roles = fleet_roles(self._topology, members)
        self.simulated = frozenset(member.process for member in members if member.simulated)
        self.conflicts.notices.tell_again(self.conflicts.queue.open())

    def _tell_view(self) -> None:
        self._outbox.put(self.subjects.every_fleet_process(), self._register.view)

    async def _keep_view(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.config.view_ms / 1000):
                    await self._changed.wait()
            except TimeoutError:
                self._tell_view()
                continue
            self._changed.clear()
            try:
                await self._register.publishable()
            except RevisionConflict as conflict:
                raise Fenced("Another orchestrator has stored a view of the fleet.") from conflict
            except EngineError as error:
                self.notice(f"The view of the fleet could not be stored, it is tried again: {error}")
                self._changed.set()
                await asyncio.sleep(self.config.look_ms / 1000)
                continue
            self._follow_view()
            self._tell_view()

    async def _sweep(self) -> None:
        await asyncio.sleep(self.config.settle_ms / 1000)
        clock, looked_ms = self._ports.clock, self._ports.clock.monotonic_ms()
        while True:
            now_ms = clock.monotonic_ms()
            if (
                now_ms - looked_ms > 2 * self.config.look_ms
            ):  # we stood still: what was said meanwhile is not read yet
                self._register.excuse(now_ms - looked_ms)
            looked_ms = now_ms
            gone = self._register.sweep(self.config.dead_ms)
            for member in gone:
                self.notice(f"Process {member.process} of the fleet is gone.")
                self._lose(member)
            if gone:
                self._changed.set()
            self._awaited.clear()
            self.registry.sweep(self.now_us() // 1000)
            self._judge_mode()
            await asyncio.sleep(self.config.look_ms / 1000)

    def _judge_mode(self) -> None:
        columns = self.registry.columns
        active = int(np.count_nonzero(is_on_duty(columns.liveness, columns.duty)))
        total = int(np.count_nonzero(columns.liveness != VACANT))
        change = self._modes.observe(active, total, self.now_us() // 1000)
        if change is not None:
            self.notice(
                f"The fleet is in mode {change.after.name} now, {active} of {total} agents are on duty; before it was "
                f"{change.before.name}."
            )

    def _lose(self, member: Member) -> None:
        rows = self.registry.rows_of_host(member.process)
        if not len(rows):
            return
        self.registry.give_up(rows)
        self.conductor.lose(rows)

    # What its parts ask of it

    def view(self) -> FleetView:
        return self._register.view

    def dismiss(self, process: str) -> bool:
        """Its roles are others' from the next view on; whether it was in the view. If it lives it joins again."""
        gone = self._register.leave(process)
        for member in gone:
            self._lose(member)
            self._changed.set()
        return bool(gone)

    @property
    def knows_the_fleet(self) -> bool:
        """Not before all who are in the view have presented themselves, or have had their time."""
        return not self._awaited

    @property
    def roles(self) -> FleetRoles:
        return self._roles

    @property
    def mode(self) -> Mode:
        """What the fleet may do while so many of its agents are on duty."""
        return self._modes.mode

    def new_conflict_id(self, now_ms: int) -> str:
        """Ids rise with time."""
        return f"cf{now_ms:012x}{self._ports.entropy.bits(32):08x}"

    def tell(self, subject: str, body: FleetBody) -> None:
        self._outbox.put(subject, body)

    def begin_task(self, work: Coroutine[object, object, None], name: str) -> None:
        self._group.create_task(work, name=name)
