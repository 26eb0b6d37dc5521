"""Agents with a connection of their own, in any language: what a process of the fleet is to them.

    agent --Join, Heartbeat, ClockProbe--> s.<sector>.c.<cluster>.hb    this process, which holds places for them
          --Ack--------------------------> s.<sector>.c.<cluster>.ack
          <--Coordinate, ClockEcho-------  s.<sector>.c.<cluster>.a.<number>

They come and go; who has not been heard of for a while is not spoken of in heartbeats any more, and the registry gives
it up. Frames are those of docs/wire.md, MessagePack or JSON.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.model.agent import Liveness
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, decode_fleet_frame, encode_fleet_frame
from ohmesh.model.fleet_message import (
    Ack,
    ClockEcho,
    ClockProbe,
    Coordinate,
    Freeze,
    Heartbeat,
    Join,
    MessageHead,
    Scope,
)
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.subject import FleetPart
from ohmesh.model.topology import AgentPlace, parse_place
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.population import Answered, AnsweredCallback, Residents, Rows, Vitals
from ohmesh.roles.fleet.config import Seat
from ohmesh.roles.fleet.mesh_time import MeshTime

SILENT_MS = 15_000
PENDING = 100_000


@dataclass(slots=True)
class _Remote:
    """One agent that has joined."""

    place: AgentPlace
    incarnation: int
    code: int
    capabilities: tuple[str, ...]
    name: str
    heard_ms: int
    beat: Heartbeat | None = None


@dataclass(frozen=True, slots=True)
class RemoteSeat:
    """Where the process stands. first, count: the rows that are kept for them."""

    of: Seat
    first: int
    count: int
    classes: AgentClasses = field(default_factory=AgentClasses)


class RemoteAgents:
    """A Population whose agents live elsewhere. `time` is that of the process; `changed` hears of rows that joined."""

    def __init__(self, bus: Bus, seat: RemoteSeat) -> None:
        self.time: MeshTime
        self.changed: Callable[[Rows], None] = lambda rows: None
        self._bus = bus
        self._seat = seat
        self._rows = np.arange(seat.first, seat.first + seat.count)
        self._agents: dict[int, _Remote] = {}
        self._pending: OrderedDict[tuple[str, int], AnsweredCallback] = OrderedDict()
        self._frozen: set[int] = set()
        self._freezes = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._notice = logging.getLogger("ohmesh.fleet").warning

    async def run(self) -> None:
        """Listen until it is cancelled."""
        subjects = self._seat.of.subjects
        for part in (FleetPart.HEARTBEATS, FleetPart.ACKS):
            await self._bus.subscribe(subjects.every_cluster(part), self._receive)
        await asyncio.Event().wait()

    # As the process sees them

    def residents(self) -> Residents:
        codes = np.zeros(len(self._rows), np.uint8)
        capabilities: list[tuple[str, ...]] = [()] * len(self._rows)
        names = {}
        for row, agent in self._agents.items():
            codes[row - self._seat.first] = agent.code
            capabilities[row - self._seat.first] = agent.capabilities
            if agent.name:
                names[row] = agent.name
        return Residents(self._rows, codes, tuple(capabilities), names)

    def present(self) -> Rows:
        """Rows of those that have joined and been heard of lately."""
        since_ms = self.time.local_us() // 1000 - SILENT_MS
        return np.array(
            sorted(row for row, one in self._agents.items() if one.heard_ms >= since_ms), np.int64
        )

    def vitals(self, rows: Rows) -> Vitals:
        beats = [agent.beat if (agent := self._agents.get(row)) else None for row in rows.tolist()]

        def column(name: str) -> list[float]:
            values = [getattr(beat, name) if beat is not None else None for beat in beats]
            return [np.nan if value is None else value for value in values]

        return Vitals(
            np.array(column("processing_ms"), np.float32),
            np.array([beat.queue_depth if beat else 0 for beat in beats], np.uint32),
            np.array(column("reliability"), np.float32),
            np.array(column("drift"), np.float32),
            np.array([DUTY_CODES.index(beat.duty) if beat else 0 for beat in beats], np.uint8),
            np.array([int.from_bytes(beat.context_hash, "big") if beat else 0 for beat in beats], np.uint64),
        )

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        """Each hears it by itself, and waits for T itself where it is told to."""
        for row in rows.tolist():
            agent = self._agents.get(row)
            if agent is None:
                continue
            self._pending[order.head.id, row] = answered
            while len(self._pending) > PENDING:
                self._pending.popitem(last=False)
            self._say(agent.place, order)

    def freeze(self, rows: Rows, *, thaw: bool) -> None:
        """Who joins later is told then."""
        for row in rows.tolist():
            (self._frozen.discard if thaw else self._frozen.add)(row)
            agent = self._agents.get(row)
            if agent is not None:
                self._say_freeze(agent.place, thaw=thaw)

    def _say_freeze(self, place: AgentPlace, *, thaw: bool) -> None:
        created = pack_stamp(max(0, self.time.now_us() // 1000), 0)
        self._freezes += 1
        head = MessageHead(
            f"{self._seat.of.name}-{self.time.incarnation}-{self._freezes}", self._seat.of.name, created
        )
        self._say(place, Freeze(head, Scope.AGENT, str(place), thaw=thaw))

    # What they say

    def _receive(self, message: Message) -> None:
        received_us = self.time.now_us()
        try:
            frame = decode_fleet_frame(message.data)
            for body in frame.bodies:
                self._take(frame, body, received_us)
        except InvalidArgument as error:
            self._notice(f"A frame on {message.subject} was dropped: {error}")

    def _take(self, frame: FleetFrame, body: FleetBody, received_us: int) -> None:
        match body:
            case Join():
                self._join(body)
            case Heartbeat():
                self._beat(body)
            case ClockProbe():
                self._echo(frame.sender, body, received_us)
            case Ack():
                self._ack(body)
            case _:
                raise InvalidArgument(f"an agent does not say {type(body).__name__}")

    def _join(self, join: Join) -> None:
        place = parse_place(join.agent)
        row = self._row(place)
        known = self._agents.get(row)
        if known is not None and known.incarnation > join.incarnation:
            return
        self._agents[row] = _Remote(
            place,
            join.incarnation,
            self._seat.classes.code(join.agent_class),
            join.capabilities,
            join.name,
            self.time.local_us() // 1000,
        )
        self.changed(np.array([row], np.int64))
        if row in self._frozen:
            self._say_freeze(place, thaw=False)

    def _beat(self, beat: Heartbeat) -> None:
        row = self._row(parse_place(beat.agent))
        agent = self._agents.get(row)
        if agent is None:
            return
        if beat.liveness is Liveness.LEFT:
            del self._agents[row]
            return
        agent.heard_ms, agent.beat = self.time.local_us() // 1000, beat

    def _echo(self, sender: str, probe: ClockProbe, received_us: int) -> None:
        reading = self.time.read()
        echo = ClockEcho(
            probe.sent_us,
            received_us,
            reading.time_us,
            self.time.incarnation,
            self.time.era,
            reading.error_us,
        )
        self._say(parse_place(sender), echo)

    def _ack(self, ack: Ack) -> None:
        row = self._row(parse_place(ack.agent))
        answered = self._pending.pop((ack.message_id, row), None)
        if answered is None:  # told before, or of an operation that nobody remembers
            return
        conflicts = ((0, ack.conflict),) if ack.conflict is not None else ()
        answered(
            Answered(
                np.array([row], np.int64),
                np.array([ack.state], np.int8),
                np.array([ack.processing_ms], np.float32),
                np.ones(1, np.uint16) if ack.answer else None,
                (ack.answer,) if ack.answer else (),
                conflicts,
            )
        )

    def _row(self, place: AgentPlace) -> int:
        row = self._seat.of.topology.row(place)
        if not self._seat.first <= row < self._seat.first + self._seat.count:
            raise InvalidArgument(f"{place} is no place for an agent with a connection of its own.")
        return row

    def _say(self, place: AgentPlace, body: FleetBody) -> None:
        stamp = pack_stamp(max(0, self.time.now_us() // 1000), 0)
        frame = FleetFrame(FRAME_VERSION, self._seat.of.name, self.time.incarnation, stamp, [body])
        task = asyncio.get_running_loop().create_task(self._publish(place, encode_fleet_frame(frame)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, place: AgentPlace, data: bytes) -> None:
        try:
            await self._bus.publish(self._seat.of.subjects.agent(place), data)
        except EngineError:  # who was asked and is silent is told so
            return
