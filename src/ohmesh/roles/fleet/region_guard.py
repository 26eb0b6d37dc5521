"""The breakers of clusters, sectors and the mesh, fed by what operations came to.

An agent has failed when an operation asked it and it was silent until the timeout was over. It counts once, until it
answers again: an agent that is known to be silent says nothing new about its region, or 3 % of dead ones would open
every sector with each broadcast. Whose process is gone does not count either: that is the process's failure, its agents
are found offline and are not asked, and they are asked again as soon as they live elsewhere. People take their time.

What is open is left out of operations, and its targets end as skipped. It is probed with a few of its agents, then let
in by a quota, then closed. What the orchestrator decides about contexts, duties and conflicts passes, since that is how
a region is brought back. Kept in `state`; a successor takes over which are open and begins their probes anew.

fleet.breakers    the mesh, the sectors and the clusters that are open or half open
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.model.fleet_breaker import BreakerLine, BreakerQuestion, BreakersPage, MoveBreaker
from ohmesh.model.fleet_message import Circuit, CircuitAction, MessageHead, TargetState, Verb
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import is_state_order
from ohmesh.policies.breaker import BreakerState
from ohmesh.policies.region_breakers import CLOSED, HALF_OPEN, OPEN
from ohmesh.policies.regional_breaker import RegionalBreaker, RegionalEvent
from ohmesh.ports.population import Mask, Rows
from ohmesh.ports.state import State
from ohmesh.protocols.arrival.report import columns_of
from ohmesh.registry.fleet.liveness import ACTIVE, OFFLINE
from ohmesh.registry.fleet.part import MESH, Part, parse_part
from ohmesh.roles.fleet.reads import is_on_duty

if TYPE_CHECKING:
    from ohmesh.roles.fleet.operation import Operation
    from ohmesh.roles.fleet.orchestrator import Orchestrator

KEY = "fleet.breakers"
LOOK_S = 1.0
PROBED = 10  # agents of a region that are asked for it
HEALTHY_RATE = 0.8
PROBE_TIMEOUT_MS = 5_000.0
_ACTIONS = {
    BreakerState.OPEN: CircuitAction.OPEN,
    BreakerState.HALF_OPEN: CircuitAction.HALF_OPEN,
    BreakerState.CLOSED: CircuitAction.CLOSE,
}


class _Kept(Struct, array_like=True, frozen=True):
    """is_by_hand: the mesh was opened by hand. Numbers of regions; clusters are counted through the fleet."""

    is_open: bool
    is_by_hand: bool
    open_sectors: tuple[int, ...]
    half_sectors: tuple[int, ...]
    open_clusters: tuple[int, ...]
    half_clusters: tuple[int, ...]


class RegionGuard:
    """Of one orchestrator."""

    def __init__(self, orchestrator: Orchestrator, state: State) -> None:
        topology = orchestrator.registry.topology
        self.breaker = RegionalBreaker(topology)
        self._of = orchestrator
        self._state = state
        self.timeouts = np.zeros(topology.size, np.int64)  # in a row, until an answer
        self.silent_since_ms = np.zeros(
            topology.size, np.float64
        )  # when the first of them was asked; 0: not silent
        self.failures = np.zeros(topology.sectors, np.int64)  # of each sector, ever
        self._noted: dict[str, None] = {}
        self._dirty = False
        self._probes = 0

    async def load(self) -> None:
        """What the predecessor left. Raises EngineError."""
        entry = await self._state.get(KEY)
        if entry is None or entry.value is None:
            return
        try:
            kept = msgspec.msgpack.decode(entry.value, type=_Kept)
        except msgspec.MsgspecError as error:
            self._of.notice(f"The breakers at state key {KEY} cannot be read, all are closed: {error}.")
            return
        breaker, now_ms = self.breaker, self._now_ms()
        for regions, numbers, state in (
            (breaker.sectors, kept.open_sectors, OPEN),
            (breaker.sectors, kept.half_sectors, HALF_OPEN),
            (breaker.clusters, kept.open_clusters, OPEN),
            (breaker.clusters, kept.half_clusters, HALF_OPEN),
        ):
            for number in numbers:
                if number < len(regions.state):
                    regions.force(number, state, now_ms)
        breaker.restore_mesh(
            BreakerState.OPEN if kept.is_open else BreakerState.CLOSED, by_hand=kept.is_by_hand
        )

    # What operations ask

    def shut(self, request: StartOperation, rows: Rows) -> Mask:
        """Which of these are not to be asked; those that may be use the quota of what is half open."""
        if is_state_order(request.payload):
            return np.zeros(len(rows), bool)
        if request.dry_run:
            return self.breaker.is_open(rows)
        admitted: Mask = ~self.breaker.admit(rows)
        return admitted

    # Time

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            now_ms = self._now_ms()
            for operation in list(self._of.conductor.operations.values()):
                over_ms = operation.started_ms + operation.request.timeout_ms
                if operation.decision is not None and now_ms >= over_ms and operation.id not in self._noted:
                    self._note(operation, now_ms)
            self._tell(self.breaker.look(now_ms))
            due = self.breaker.due_probes(now_ms)
            for sector in due.sectors.tolist():
                self._begin_probe(Part(sector))
            clusters = self._of.registry.topology.clusters
            for cluster in due.clusters.tolist():
                self._begin_probe(Part(cluster // clusters, cluster % clusters))
            await self._keep()
            await asyncio.sleep(LOOK_S)

    def _note(self, operation: Operation, now_ms: int) -> None:
        """Its time is over: who was silent, and who is heard of again. What is ordered about contexts and duties is
        answered by processes, and says nothing of agents."""
        self._noted[operation.id] = None
        while len(self._noted) > self._of.config.operations:
            del self._noted[next(iter(self._noted))]
        if is_state_order(operation.request.payload):
            return
        registry = self._of.registry
        columns = columns_of(list(operation.records))
        for answer in (TargetState.READY, TargetState.CONFLICT):
            self._heard_of(columns.rows_in(answer))
        silent = columns.rows_in(TargetState.TRANSIT)
        is_human = np.array([one.is_human for one in registry.classes.all])
        silent = silent[
            (registry.columns.liveness[silent] != OFFLINE) & ~is_human[registry.columns.class_code[silent]]
        ]
        failed = silent[self.timeouts[silent] == 0]
        self.silent_since_ms[failed] = operation.started_ms
        self.timeouts[silent] += 1
        if len(failed):
            self.failures += np.bincount(
                failed // registry.topology.sector_size, minlength=len(self.failures)
            )
            self._tell(self.breaker.failed(failed, now_ms))

    def _heard_of(self, rows: Rows) -> None:
        self.timeouts[rows] = 0
        self.silent_since_ms[rows] = 0.0

    def isolate(self, sector: int) -> None:
        """Because its failures spread; it is probed like any other that is open."""
        self._tell(self.breaker.isolate(sector, self._now_ms()))

    # Probes

    def _begin_probe(self, part: Part) -> None:
        self._of.begin_task(self._probe(part), f"probe of {part}")

    async def _probe(self, part: Part) -> None:
        rows = self._to_probe(part)
        is_healthy = False
        if len(rows):
            self._probes += 1
            request = StartOperation(
                operation=f"probe-{self._of.era}-{self._probes}",
                what=f"probe {part}",
                verb=Verb.OBSERVE,
                timeout_ms=PROBE_TIMEOUT_MS,
                rate=HEALTHY_RATE,
                priority=Priority.CRITICAL,
            )
            try:
                done = await self._of.conductor.order(request, rows)
            except (EngineError, InvalidArgument) as error:
                self._of.notice(f"{part} could not be probed: {error}")
                return
            ready = columns_of(list(done.records)).rows_in(TargetState.READY)
            is_healthy = len(ready) >= HEALTHY_RATE * len(rows)
        now_ms = self._now_ms()
        if part.cluster is None:
            assert part.sector is not None
            events = self.breaker.sector_probed(part.sector, is_healthy=is_healthy, now_ms=now_ms)
        else:
            number = part.number(self._of.registry.topology) - 1 - self._of.registry.topology.sectors
            events = self.breaker.cluster_probed(number, is_healthy=is_healthy, now_ms=now_ms)
        self._tell(events)

    def _to_probe(self, part: Part) -> Rows:
        """A few of its agents that are heard of, spread over it; people are left in peace."""
        registry = self._of.registry
        span = part.rows(registry.topology)
        rows = np.arange(span.start, span.stop)
        columns = registry.columns
        is_human = np.array([one.is_human for one in registry.classes.all])
        is_fit = (
            (columns.liveness[rows] == ACTIVE)
            & is_on_duty(columns.liveness[rows], columns.duty[rows])
            & ~is_human[columns.class_code[rows]]
        )
        fit: Rows = rows[is_fit]
        if not len(fit):
            return fit
        chosen: Rows = fit[np.linspace(0, len(fit) - 1, min(PROBED, len(fit))).astype(np.intp)]
        return chosen

    # By hand, and what is shown

    async def answer(self, question: BreakerQuestion) -> BreakersPage:
        """Raises InvalidArgument: there is no such part; EngineError."""
        if isinstance(question, MoveBreaker):
            await self._move(parse_part(question.part), is_open=question.is_open)
        return self.page()

    async def _move(self, part: Part, *, is_open: bool) -> None:
        topology, now_ms = self._of.registry.topology, self._now_ms()
        part.rows(topology)
        breaker = self.breaker
        if part == MESH:
            events = breaker.set_mesh(BreakerState.OPEN if is_open else BreakerState.CLOSED, now_ms)
        elif part.cluster is None:
            assert part.sector is not None
            events = breaker.set_sector(part.sector, is_open=is_open, now_ms=now_ms)
        else:
            number = part.number(topology) - 1 - topology.sectors
            events = breaker.set_cluster(number, is_open=is_open, now_ms=now_ms)
        if not is_open:
            self._heard_of(np.arange(part.rows(topology).start, part.rows(topology).stop))
        self._dirty = True
        self._tell(events)
        await self._keep()

    def page(self) -> BreakersPage:
        breaker, topology, now_ms = self.breaker, self._of.registry.topology, self._now_ms()
        lines: list[BreakerLine] = []
        if breaker.mesh is not BreakerState.CLOSED:
            lines.append(
                BreakerLine(
                    part="mesh", state="open", failures=breaker.open_sectors, by_hand=breaker.is_by_hand
                )
            )
        for regions, is_sector in ((breaker.sectors, True), (breaker.clusters, False)):
            failures = regions.failures(now_ms)
            for number in np.flatnonzero(regions.state != CLOSED).tolist():
                part = (
                    Part(number)
                    if is_sector
                    else Part(number // topology.clusters, number % topology.clusters)
                )
                state = "open" if regions.state[number] == OPEN else "half_open"
                lines.append(BreakerLine(part=str(part), state=state, failures=int(failures[number])))
        return BreakersPage(breakers=tuple(lines), is_open=breaker.mesh is BreakerState.OPEN)

    # Telling and keeping

    def _tell(self, events: Sequence[RegionalEvent]) -> None:
        for event in events:
            self._dirty = True
            part = event.target or "mesh"
            why = (
                "by hand"
                if event.by_hand
                else f"{event.failures} {'open sectors' if part == 'mesh' else 'failures'}"
            )
            self._of.notice(f"Breaker of {part}: {event.before.value} > {event.after.value} ({why}).")
            head = MessageHead(
                f"circuit-{self._of.era}-{event.at_ms}-{part}-{event.after.value}",
                self._of.subjects.mesh,
                pack_stamp(self._now_ms(), 0),
            )
            circuit = Circuit(head, _ACTIONS[event.after], event.scope, event.target, why)
            self._of.tell(self._of.subjects.every_fleet_process(), circuit)

    async def _keep(self) -> None:
        """A store that fails is tried again at the next look."""
        if not self._dirty:
            return
        breaker = self.breaker
        kept = _Kept(
            breaker.mesh is BreakerState.OPEN,
            breaker.is_by_hand,
            _numbers(breaker.sectors.state, OPEN),
            _numbers(breaker.sectors.state, HALF_OPEN),
            _numbers(breaker.clusters.state, OPEN),
            _numbers(breaker.clusters.state, HALF_OPEN),
        )
        try:
            await self._state.put(KEY, msgspec.msgpack.encode(kept))
            self._dirty = False
        except EngineError as error:
            self._of.notice(f"The breakers could not be stored, it is tried again: {error}")

    def _now_ms(self) -> int:
        return int(self._of.now_ms())


def _numbers(states: NDArray[np.uint8], state: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(states == state).tolist())
