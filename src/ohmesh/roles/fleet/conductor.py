"""Operations under way: begun where the mode of the fleet allows it, driven by time and by what is folded up, decided,
stored, and taken over from a predecessor."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import Backpressure, EngineError, InvalidArgument, NotConfirmed
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_operation import CallOff, Fold, Forget, Recall, Relay, Tier
from ohmesh.model.fleet_request import OperationView, StartOperation
from ohmesh.model.state_order import is_state_order
from ohmesh.policies.degradation import Permission, Ruling, Work, WorkRequest, rule_on
from ohmesh.ports.population import Rows
from ohmesh.ports.state import State
from ohmesh.protocols.arrival.target_state import SkipReason
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.roles.fleet.commits import Commits
from ohmesh.roles.fleet.dry_run import planned
from ohmesh.roles.fleet.healing import Healing
from ohmesh.roles.fleet.operation import Operation, Targets
from ohmesh.roles.fleet.reads import HEALTHY, is_on_duty

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

MODE_RETRY_MS = 10_000
LEAST_WAIT_S = 0.000_2
FURTHEST_MS = 86_000_000


class Conductor:
    """Of one orchestrator; `operations` are those that it holds, the oldest first."""

    def __init__(self, orchestrator: Orchestrator, state: State) -> None:
        self.operations: OrderedDict[str, Operation] = OrderedDict()
        self._of = orchestrator
        self._healing = Healing(orchestrator)
        self._waiters: dict[str, list[str]] = {}
        self._tick = asyncio.Event()
        self._to_store: asyncio.Queue[Operation] = asyncio.Queue()
        self._ordered: dict[str, asyncio.Event] = {}
        self.commits = Commits(orchestrator, self, state)

    def under_way(self) -> list[Operation]:
        return [operation for operation in self.operations.values() if operation.wake_ms is not None]

    def is_simulated(self, operation: Operation) -> bool:
        if not self._of.simulated:
            return False
        codes = [
            code for name in self._of.simulated if (code := self._of.registry.hosts.find(name)) is not None
        ]
        return bool(np.isin(self._of.registry.columns.host[operation.rows], codes).any())

    async def start(self, request: StartOperation, reply: str) -> OperationView | None:
        if request.dry_run:
            return self._plan(request)
        operation = self.operations.get(request.operation)
        if operation is None:
            stored = await self._of.store.find(request.operation)
            if stored is not None:
                return stored
            operation = self.operations.get(request.operation) or await self._begin(request)
        if operation.decision is None and request.wait:
            self._waiters.setdefault(operation.id, []).append(reply)
            return None
        return self._of.questions.operation_view(operation)

    async def _begin(self, request: StartOperation) -> Operation:
        request = await self._of.states.prepare(request)
        begun = self.operations.get(request.operation)
        if begun is not None:  # it was asked for once more meanwhile
            return begun
        request, rows, steps = await self._healing.prepare(request, self._of.questions.targets(request))
        operation, lead_ms, ruling = self._made(request, rows)
        request = operation.request
        operation.steps = steps
        self._hold(operation)
        await self._of.store.begin(operation)
        await self._of.states.begin(request, rows)
        self._leave_out(operation, lead_ms, ruling)
        if request.timing is Timing.PREPARE:
            self.commits.begin(operation)
        self._send(operation.begin())
        self._look(operation)
        self._tick.set()
        return operation

    def _made(
        self, request: StartOperation, rows: Rows
    ) -> tuple[Operation, NDArray[np.floating] | None, Ruling]:
        """Nothing of it is begun. Raises InvalidArgument, NotConfirmed, Backpressure."""
        ruling = self._permit(request, len(rows))
        if request.expected and len(rows):
            request = msgspec.structs.replace(request, rate=min(1.0, request.expected / len(rows)))
        columns = self._of.registry.columns
        lead_ms = None
        if request.timing is not Timing.NOW:
            lead_ms = self._of.arrivals.lead_ms(request, rows)
        now_ms = self._of.now_ms()
        if request.at_ms:
            request = _timed(request, now_ms)
        names = [one.name for one in self._of.registry.classes.all]
        targets = Targets(rows, lead_ms, columns.class_code[rows], names)
        return Operation(request, targets, self._of.registry.topology, started_ms=now_ms), lead_ms, ruling

    def _plan(self, request: StartOperation) -> OperationView:
        operation, lead_ms, ruling = self._made(request, self._of.questions.targets(request))
        self._leave_out(operation, lead_ms, ruling)
        view = self._of.questions.operation_view(operation)
        return planned(operation, view, lead_ms, self._of.arrivals)

    async def order(self, request: StartOperation, rows: Rows) -> Operation:
        """What the mesh itself wants of agents, those that are off duty too, in any mode: once it is decided."""
        now_ms = self._of.now_ms()
        operation = Operation(request, Targets(rows), self._of.registry.topology, started_ms=now_ms)
        self._hold(operation)
        decided = self._ordered[operation.id] = asyncio.Event()
        try:
            await self._of.store.begin(operation)
            homeless = self._of.roles.homes[rows] == NOBODY
            if homeless.any():
                operation.lose(rows[homeless], now_ms)
            self._send(operation.begin())
            self._look(operation)
            self._tick.set()
            await decided.wait()
        finally:
            del self._ordered[operation.id]
        return operation

    async def order_once(self, request: StartOperation, rows: Rows) -> OperationView:
        """The same, unless it was begun before, by a predecessor too: how it ended. Raises EngineError."""
        if (stored := await self._of.store.find(request.operation)) is not None:
            return stored
        operation = self.operations.get(request.operation)
        if operation is None:
            operation = await self.order(request, rows)
        elif operation.decision is None:
            decided = self._ordered.setdefault(operation.id, asyncio.Event())
            await decided.wait()
        return self._of.questions.operation_view(operation)

    def _hold(self, operation: Operation) -> None:
        self.operations[operation.id] = operation
        while len(self.operations) > self._of.config.operations:
            oldest = next(iter(self.operations))
            self._of.tell(self._of.subjects.every_fleet_process(), Forget((oldest,)))
            del self.operations[oldest]
            self.commits.forget(oldest)

    def lose(self, rows: Rows) -> None:
        """Their process is gone."""
        for operation in self.under_way():
            held = np.intersect1d(operation.rows, rows, assume_unique=True)
            if len(held):
                self._send(operation.lose(held, self._of.now_ms()))
                self._look(operation)

    def _permit(self, request: StartOperation, targets: int) -> Ruling:
        """Raises NotConfirmed or Backpressure where the mode of the fleet stands against it."""
        ruling = rule_on(
            self._of.mode,
            WorkRequest(
                work=_work_of(request),
                priority=request.priority,
                targets=targets,
                is_mesh_wide=not request.where and not request.sample and not request.percent,
                can_wait=False,
                is_approved=request.approved,
            ),
        )
        if ruling.permission is Permission.ASK:
            raise NotConfirmed(ruling.why, hint="Say that you approve it (--yes, approved=True).")
        if ruling.permission is not Permission.ALLOW:
            raise Backpressure(
                ruling.why, retry_after_ms=MODE_RETRY_MS, hint="`ohmesh fleet` says who is missing."
            )
        return ruling

    def _leave_out_unhealthy(self, operation: Operation) -> None:
        """Sectors in which too few are on duty are spared."""
        columns, width = self._of.registry.columns, self._of.registry.topology.sector_size
        there = (columns.liveness != VACANT).reshape(-1, width).sum(axis=1)
        active = is_on_duty(columns.liveness, columns.duty).reshape(-1, width).sum(axis=1)
        is_spared = active < HEALTHY * there
        rows = operation.rows[is_spared[operation.rows // width]]
        if len(rows):
            operation.skip(rows, SkipReason.UNHEALTHY_SECTOR, None, self._of.now_ms())

    def _leave_out(self, operation: Operation, lead_ms: NDArray[np.floating] | None, ruling: Ruling) -> None:
        """Who is not on duty, has no way to it, or cannot be on time is not asked, and the record says why."""
        if ruling.healthy_sectors_only:
            self._leave_out_unhealthy(operation)
        rows, now_ms = operation.rows, self._of.now_ms()
        away = self._of.states.away(operation.request, rows)
        if away.any():
            operation.skip(rows[away], SkipReason.NOT_ON_DUTY, None, now_ms)
        homeless = (self._of.roles.homes[rows] == NOBODY) & ~away
        there = ~away & ~homeless
        is_shut = self._of.guard.shut(operation.request, rows[there])
        if is_shut.any():
            operation.skip(rows[there][is_shut], SkipReason.BREAKER_OPEN, None, now_ms)
            away[np.flatnonzero(there)[is_shut]] = True
        if homeless.any():
            operation.lose(rows[homeless], now_ms)
        if lead_ms is not None:
            available = operation.due_by_ms - now_ms
            late = (lead_ms > available) & ~away & ~homeless
            if late.any():
                times = (lead_ms[late].astype(np.float64), np.full(int(late.sum()), available))
                operation.skip(rows[late], SkipReason.INSUFFICIENT_LEAD_TIME, times, now_ms)

    def _send(self, told: Sequence[tuple[int, Relay | CallOff]]) -> None:
        coordinators, processes = self._of.roles.coordinators, self._of.roles.processes
        for sector, body in told:
            place = coordinators[sector]
            if place != NOBODY:
                self._of.tell(self._of.subjects.fleet_process(processes[place]), body)

    def fold(self, fold: Fold) -> None:
        operation = self.operations.get(fold.operation)
        if operation is None:
            return
        told, table = operation.fold(fold, operation.as_of(self._of.now_ms()))
        self._send(told)
        if table is not None:
            if self._of.states.is_heard(operation.request):
                self._of.conflicts.hear(operation.id, table)
            self._of.states.learn(operation.request, table.places.rows(self._of.registry.topology), table)
            self._of.arrivals.note(operation.request, operation.started_ms, table)
        self._look(operation)

    def look_again(self, operation: Operation) -> None:
        """What stood against its end is done."""
        self._look(operation)

    def _look(self, operation: Operation) -> None:
        self.commits.look(operation.id)
        if operation.decision is None or self.commits.is_open(operation.id):
            return
        if operation.id in self._ordered:
            self._ordered[operation.id].set()
        for reply in self._waiters.pop(operation.id, ()):
            view = self._of.questions.operation_view(operation)
            self._of.begin_task(self._of.reply(reply, view), "orchestrator's answer")
        self._of.arrivals.learn_soon()
        if not operation.is_stored:
            operation.is_stored = True
            self._to_store.put_nowait(operation)

    async def drive(self) -> None:
        """Call the machines when their times come, and tell again what was not taken."""
        while True:
            due = [operation.due_ms for operation in self.under_way()]
            wait_s = max(LEAST_WAIT_S, (min(due) - self._of.now_ms()) / 1000) if due else None
            if wait_s is not None:
                wait_s = min(wait_s, self._of.config.repeat_ms / 1000)
            self._tick.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._tick.wait()
            except TimeoutError:
                pass
            now_ms = self._of.now_ms()
            for operation in self.under_way():
                self._send(operation.tick(operation.as_of(now_ms)))
                if now_ms - operation.started_ms > self._of.config.repeat_ms and operation.decision is None:
                    self._send(operation.unreached())
                self._look(operation)

    # What is kept

    async def keep(self) -> None:
        """A decision is stored at once; what came late, when no more is waited for."""
        while True:
            operation = await self._to_store.get()
            try:
                await self._of.store.end(operation, self._of.questions.operation_view(operation))
            except EngineError as error:
                self._of.notice(f"Operation {operation.id} could not be stored, it is tried again: {error}")
                await asyncio.sleep(self._of.config.look_ms / 1000)
                self._to_store.put_nowait(operation)
                continue
            operation.changed_after = False
            self._of.begin_task(self._store_late(operation), "operation kept")

    async def _store_late(self, operation: Operation) -> None:
        await asyncio.sleep(self._of.config.late_ms / 1000)
        if operation.changed_after:
            operation.changed_after = False
            with contextlib.suppress(EngineError):
                await self._of.store.end(operation, self._of.questions.operation_view(operation))

    async def resume(self) -> None:
        """What the predecessor had begun is ended with what coordinators and processes know of it."""
        for request, rows, started_ms in await self._of.store.unended():
            operation = Operation(request, Targets(rows), self._of.registry.topology, started_ms=started_ms)
            self.operations[operation.id] = operation
            operation.recall_until_ms = self._of.now_ms() + self._of.config.recall_ms
            order = Recall(Tier.SECTOR, operation.id, operation.sectors())
            self._of.tell(self._of.subjects.every_fleet_process(), order)
        for operation in list(self.operations.values()):
            if operation.request.timing is Timing.PREPARE:
                self.commits.begin(operation, is_taken_over=True)
        self._tick.set()


def _timed(request: StartOperation, now_ms: float) -> StartOperation:
    """With the window that is left until its instant. Raises InvalidArgument: it is past, or further than a day."""
    left_ms = request.at_ms - now_ms
    if not 0 < left_ms <= FURTHEST_MS:
        raise InvalidArgument(
            f"at: T is {abs(left_ms) / 1000:,.1f} s {'ahead' if left_ms > 0 else 'ago'}.",
            hint="An operation is timed to an instant within a day from now, by the clock of the mesh.",
        )
    timeout_ms = max(request.timeout_ms, left_ms)
    return msgspec.structs.replace(request, window_ms=left_ms, timeout_ms=timeout_ms)


def _work_of(request: StartOperation) -> Work:
    """What a person does about the state of agents is a repair: a fleet that is frozen has to be thawed in any mode."""
    if is_state_order(request.payload):
        return Work.REPAIR
    return Work.READ if request.verb is Verb.OBSERVE else Work.NORMAL
