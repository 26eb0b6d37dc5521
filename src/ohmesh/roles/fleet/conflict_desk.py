"""Conflicts at the orchestrator: out of what agents answer, into the log, to the method that settles them, to a person.

    acks --> queue --> log --> method (orders to agents) --> verdict --> log, duty of agents, notice

Whoever has to be is off duty at once, in the registry, before anything else; all that changes is in the log before it
is acted on. A successor reads the log and goes on with what is open: methods are begun anew, and agents that were
quarantined are again as they join.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ohmesh.errors import Fenced, InvalidArgument, OhmeshError, UnknownConflict
from ohmesh.model.conflict import (
    Conflict,
    ConflictDetail,
    ConflictMethod,
    ConflictState,
    ConflictType,
    detail_of,
)
from ohmesh.model.conflict_request import ConflictAction, ConflictsPage, ResolveConflict
from ohmesh.model.fleet_message import TargetState
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.state_order import Refusal
from ohmesh.policies.conflict import (
    escalates_to,
    failure_of,
    is_quarantined,
    method_of,
    priority_of,
    time_to_resolve_ms,
)
from ohmesh.ports.population import Rows
from ohmesh.protocols.conflict.contradictions import Contradictions
from ohmesh.protocols.conflict.quarantine import Quarantine
from ohmesh.protocols.conflict.queue import Changed, ConflictQueue, ConflictReport, ConflictRules
from ohmesh.protocols.conflict.strategy import Step, Strategy, Verdict
from ohmesh.roles.fleet.conflict_hold import ConflictHold
from ohmesh.roles.fleet.conflict_index import ConflictEntry
from ohmesh.roles.fleet.conflict_log import ConflictLog
from ohmesh.roles.fleet.conflict_notices import PERSON, ConflictNotices
from ohmesh.roles.fleet.conflict_work import ConflictWork, evidence_of

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

SETTLE_S = 0.2  # reports of one conflict come together; a method hears of all of them
LOOK_S = 60.0
AT_ONCE = 8
ROUNDS = 3
OPERATIONS_SEEN = 64
NO_QUARREL = frozenset({Refusal.FROZEN.value, Refusal.QUARANTINED.value})  # who is off duty says only that

RULES = ConflictRules(
    priority_of=priority_of,
    time_ms=time_to_resolve_ms,
    told=lambda priority: tuple(scope.value for scope in escalates_to(priority)),
    method_of=method_of,
)


class ConflictDesk:
    def __init__(self, orchestrator: Orchestrator, log: ConflictLog, work: ConflictWork) -> None:
        self.log = log
        self.work = work
        self.quarantine = Quarantine()
        self.holding = ConflictHold(orchestrator)
        self.notices = ConflictNotices(orchestrator)
        self.queue = ConflictQueue(RULES, orchestrator.registry.topology, orchestrator.new_conflict_id)
        self.answers = self.conflicting = 0
        self._of = orchestrator
        self._contradictions = Contradictions()
        self._changes: list[Changed] = []
        self._changed = asyncio.Event()
        self._is_loaded = asyncio.Event()
        self._seen: OrderedDict[str, Rows] = OrderedDict()
        self._strategies: dict[str, Strategy] = {}
        self._running: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    # What agents answer

    def hear(self, operation: str, table: AckTable) -> None:
        """An operation's acks, as they were folded up."""
        if self.work.is_own(operation):
            self.work.collect(operation, table)
            return
        conflicts = table.state == TargetState.CONFLICT
        self.answers += int(np.count_nonzero((table.state == TargetState.READY) | conflicts))
        if not conflicts.any():
            return
        rows = table.places.rows(self._of.registry.topology)
        for at, reported in table.conflicts:
            if reported.kind in NO_QUARREL:
                conflicts[at] = False
        fresh = conflicts & ~np.isin(rows, self._seen.get(operation, ()))
        self.conflicting += int(np.count_nonzero(fresh))
        self._note_seen(operation, rows[fresh])
        groups: dict[tuple[str, ...], tuple[ConflictDetail, list[int]]] = {}
        silent = fresh.copy()
        for at, reported in table.conflicts:
            if fresh[at]:
                silent[at] = False
                detail = detail_of(reported)
                groups.setdefault(detail.key, (detail, []))[1].append(int(rows[at]))
        for detail, found in groups.values():
            self._report(ConflictReport(detail, np.array(found, np.int64), operation))
        if silent.any():
            self._report(ConflictReport(detail_of(None), rows[silent], operation))

    def impose(self, rows: Rows) -> None:
        """They have joined: who is in quarantine still is."""
        held = self.work.rows_of(self.quarantine.agents())
        back = np.intersect1d(held, rows, assume_unique=True)
        if len(back):
            self.holding.hold(back)

    def _note_seen(self, operation: str, rows: Rows) -> None:
        before = self._seen.get(operation)
        self._seen[operation] = rows if before is None else np.union1d(before, rows)
        self._seen.move_to_end(operation)
        while len(self._seen) > OPERATIONS_SEEN:
            self._seen.popitem(last=False)

    def _report(self, report: ConflictReport) -> None:
        now_ms = int(self._of.now_ms())
        changes = self.queue.report(report, now_ms)
        self._note(*changes)
        conflict = self.queue.by_key(report.detail)
        if conflict is not None:
            self._hold(conflict, report, now_ms)
        self._changed.set()

    def _hold(self, conflict: Conflict, report: ConflictReport, now_ms: int) -> None:
        """Quarantine whom the class of failure says: those with a wrong context, those that contradict many."""
        topology = self._of.registry.topology
        reporters = tuple(str(topology.place(row)) for row in report.rows[:1_000].tolist())
        if is_quarantined(failure_of(report.detail.type, 0)):
            self._put_off_duty(conflict, reporters, now_ms)
            return
        if report.detail.type is not ConflictType.DATA_CONTRADICTION:
            return
        for fact in evidence_of(report.detail.data).facts:
            if fact.value == report.detail.expected or fact.holder in reporters:
                continue
            count = self._contradictions.take(reporters, fact.holder)
            if is_quarantined(failure_of(report.detail.type, count)):
                self._put_off_duty(conflict, (fact.holder,), now_ms)

    def _put_off_duty(self, conflict: Conflict, agents: tuple[str, ...], now_ms: int) -> None:
        known = tuple(agent for agent in agents if len(self.work.rows_of((agent,))))
        fresh = self.quarantine.put(conflict.id, known, (conflict.detail.data,), now_ms)
        if fresh:
            self.holding.hold(self.work.rows_of(fresh))
        held = self.quarantine.find(conflict.id)
        current = self.queue.find(conflict.id)
        if held is None or current is None or set(held.agents) <= set(current.quarantined):
            return
        state = current.state
        if state is ConflictState.OPEN:
            state = ConflictState.IN_QUARANTINE
        self._note(self.queue.move(conflict.id, state, quarantined=held.agents))

    # What becomes of them

    async def run(self) -> None:
        self._of.begin_task(self.holding.run(), "quarantine told")
        await self._load()
        while True:
            now_ms = self._of.now_ms()
            self._note(*self.queue.tick(int(now_ms)))
            for conflict_id in self.quarantine.expired(int(now_ms)):
                self._expire(conflict_id, int(now_ms))
            await self._write()
            for conflict in self.queue.open():
                self._begin(conflict)
            if self._changes:
                continue
            self._changed.clear()
            wait_s = min(LOOK_S, max(0.0, (self.queue.wake_ms - self._of.now_ms()) / 1000))
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def loaded(self) -> None:
        await self._is_loaded.wait()

    async def _load(self) -> None:
        restored = await self.log.open()
        known = {one.id for one in self.queue.open()}
        self.queue.restore(one for one in restored if one.id not in known)
        for conflict in restored:
            is_held = conflict.state is ConflictState.DISCARDED or not conflict.is_ended
            if conflict.quarantined and is_held:
                self.quarantine.put(
                    conflict.id, conflict.quarantined, (conflict.detail.data,), conflict.at_ms
                )
        self.impose(self.work.rows_of(self.quarantine.agents()))
        self._is_loaded.set()

    def _note(self, *changes: Changed) -> None:
        self._changes += changes
        if changes:
            self._changed.set()

    async def _write(self) -> None:
        while self._changes:
            change = self._changes.pop(0)
            await self.log.append(ConflictEntry(int(self._of.now_ms()), change.change.value, change.conflict))
            self.notices.tell(change)

    def _begin(self, conflict: Conflict) -> None:
        is_new = conflict.state in (ConflictState.OPEN, ConflictState.IN_QUARANTINE)
        # Overdue is not given up: what is told to a person is settled by its method all the same, once.
        is_late = conflict.state is ConflictState.ESCALATED and not conflict.outcome
        if conflict.method is ConflictMethod.ASK_A_PERSON or conflict.id in self._running:
            return
        # A predecessor may have left it in the middle.
        is_left = conflict.state is ConflictState.RESOLVING
        if is_new or is_late or is_left:
            self._running.add(conflict.id)
            self._of.begin_task(self._settle(conflict.id), "conflict settled")

    async def _settle(self, conflict_id: str) -> None:
        try:
            async with self._slots:
                await asyncio.sleep(SETTLE_S)
                for round_ in range(ROUNDS):
                    conflict = self.queue.find(conflict_id)
                    if conflict is None or conflict.is_ended:
                        return
                    verdict = await self._work_on(conflict)
                    # Who has reported it meanwhile was not asked.
                    has_grown = len(self.queue.rows(conflict_id)) > conflict.reporters
                    if not (has_grown and verdict.is_settled) or round_ == ROUNDS - 1:
                        self.judge(conflict_id, verdict, by=conflict.method.value)
                        return
        except Fenced:
            raise
        except OhmeshError as error:
            self._of.notice(f"Conflict {conflict_id} could not be worked on: {error}")
            self.judge(conflict_id, Verdict(False, str(error)), by="")
        finally:
            self._running.discard(conflict_id)

    async def _work_on(self, conflict: Conflict) -> Verdict:
        strategy = await self.work.strategy_for(conflict)
        if strategy is None:
            return Verdict(False, "Only a person can settle it.")
        self._strategies[conflict.id] = strategy
        if conflict.state is not ConflictState.RESOLVING:
            self._note(self.queue.move(conflict.id, ConflictState.RESOLVING))
        return await self.work.run(strategy, strategy.begin())

    def judge(self, conflict_id: str, verdict: Verdict, *, by: str) -> None:
        """A verdict takes effect, unless somebody was quicker."""
        conflict = self.queue.find(conflict_id)
        if conflict is None or conflict.is_ended:
            return
        now_ms = int(self._of.now_ms())
        if verdict.is_settled:
            free = self.quarantine.release(conflict_id)
            self._back_to_duty(free)
            state = ConflictState.RELEASED if conflict.quarantined else ConflictState.RESOLVED
            self._end(conflict_id, state, now_ms, outcome=verdict.outcome, winner=verdict.winner, by=by)
            return
        self._back_to_duty(self.quarantine.release(conflict_id, verdict.cleared))
        if conflict.detail.type is ConflictType.DATA_CONTRADICTION and verdict.blamed:
            self._put_off_duty(conflict, verdict.blamed, now_ms)
        held = self.quarantine.find(conflict_id)
        told = tuple(dict.fromkeys((*conflict.told, "sector", "all", PERSON)))
        changed = self.queue.move_to_person(
            conflict_id,
            outcome=verdict.outcome,
            blamed=verdict.blamed,
            quarantined=held.agents if held else (),
            told=told,
        )
        self._note(msgspec.structs.replace(changed, newly_told=(PERSON,)))

    def _end(self, conflict_id: str, state: ConflictState, now_ms: int, **fields: object) -> None:
        held = self.quarantine.find(conflict_id)
        fields["quarantined"] = held.agents if held else ()
        self._strategies.pop(conflict_id, None)
        self._note(self.queue.end(conflict_id, state, now_ms, **fields))

    def _back_to_duty(self, agents: tuple[str, ...]) -> None:
        self._contradictions.forget(agents)
        rows = self.work.rows_of(agents)
        if len(rows):
            self.holding.let_go(rows)

    def _expire(self, conflict_id: str, now_ms: int) -> None:
        self.quarantine.discard(conflict_id)
        conflict = self.queue.find(conflict_id)
        if conflict is not None and not conflict.is_ended:
            self._end(
                conflict_id, ConflictState.DISCARDED, now_ms, outcome="Nobody decided in time.", by="rule"
            )

    # By hand

    async def resolve(self, wish: ResolveConflict, client: str) -> Conflict:
        """Raises InvalidArgument: it is not known, has ended, or that winner is none."""
        conflict = self.queue.find(wish.conflict)
        if conflict is None:
            raise UnknownConflict(
                f"There is no conflict {wish.conflict}.", hint="`ohmesh conflicts list` has them."
            )
        now_ms = int(self._of.now_ms())
        reason = wish.reason or f"A person said {wish.action.value}."
        match wish.action:
            case ConflictAction.RELEASED:
                self.queue.check(conflict.id, ConflictState.RELEASED)
                self._back_to_duty(self.quarantine.release(conflict.id))
                self._end(conflict.id, ConflictState.RELEASED, now_ms, outcome=reason, by=client)
            case ConflictAction.DISCARDED:
                self.queue.check(conflict.id, ConflictState.DISCARDED)
                self.quarantine.discard(conflict.id)
                self._end(conflict.id, ConflictState.DISCARDED, now_ms, outcome=reason, by=client)
            case ConflictAction.WINNER:
                await self._win(conflict, wish, client)
        self._changed.set()
        return self.queue.find(conflict.id) or conflict

    async def _win(self, conflict: Conflict, wish: ResolveConflict, client: str) -> None:
        self.queue.check(conflict.id, ConflictState.RESOLVED)
        if not wish.winner:
            raise InvalidArgument("Who or what is right? Name the winner.")
        if conflict.method is ConflictMethod.ASK_A_PERSON:
            free = self.quarantine.release(conflict.id)
            self._back_to_duty(free)
            reason = wish.reason or "A person decided."
            now_ms = int(self._of.now_ms())
            self._end(
                conflict.id, ConflictState.RESOLVED, now_ms, outcome=reason, winner=wish.winner, by=client
            )
            return
        if conflict.id in self._running:
            raise InvalidArgument(
                f"Conflict {conflict.id} is being worked on.", hint="Wait until it is escalated or settled."
            )
        self._running.add(conflict.id)
        try:
            strategy = self._strategies.get(conflict.id)
            if strategy is None:  # a predecessor knew what the choices are
                strategy = await self.work.strategy_for(conflict)
                assert strategy is not None
                await self.work.run(strategy, strategy.begin())
            step: Step = strategy.decide(wish.winner)
            self._strategies[conflict.id] = strategy
            verdict = await self.work.run(strategy, step)
            self.judge(conflict.id, msgspec.structs.replace(verdict, winner=wish.winner), by=client)
        finally:
            self._running.discard(conflict.id)

    def reported_since(self, since_ms: float) -> int:
        """How many were reported first then or later; of those that have ended, as many as are remembered."""
        known = (*self.queue.open(), *self.queue.ended())
        return sum(one.at_ms >= since_ms for one in known)

    @property
    def rate(self) -> float:
        """Of the answers of agents since this orchestrator took over, the part that was a conflict."""
        return round(self.conflicting / self.answers, 6) if self.answers else 0.0

    def page(self, conflicts: list[Conflict]) -> ConflictsPage:
        return ConflictsPage(
            tuple(conflicts),
            len(self.queue),
            self.quarantine.agents(),
            self.rate,
        )
