"""Carrying out what a method of settling a conflict orders: messages to agents, the registry, work given to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ohmesh.errors import InvalidArgument, NoCapableAgentError, NotTrusted
from ohmesh.model.conflict import Conflict, ConflictMethod
from ohmesh.model.conflict_evidence import FACT_PURPOSE, Evidence, Fact, decode, encode, fact_payload
from ohmesh.model.context import mark_of
from ohmesh.model.fleet_message import TargetState, Verb
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import Move, encode_state_order
from ohmesh.model.topology import parse_place
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival.report import columns_of, name_rows
from ohmesh.protocols.conflict.branches import BranchAndReconcile
from ohmesh.protocols.conflict.causal_order import ClockReconciliation
from ohmesh.protocols.conflict.provenance import ProvenanceTrace
from ohmesh.protocols.conflict.reloading import KnownGood, ReloadKnownGood
from ohmesh.protocols.conflict.rerouting import RerouteAndRemap
from ohmesh.protocols.conflict.strategy import (
    Heard,
    OrderAgents,
    RerouteWork,
    RevokeCapability,
    Step,
    Strategy,
    Verdict,
)
from ohmesh.registry.fleet.best import best_agents
from ohmesh.registry.fleet.liveness import IS_MEMBER
from ohmesh.trust.statement import open_statement

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator
    from ohmesh.roles.fleet.origins import Origins

ORDER_TIMEOUT_MS = 3_000.0
OTHERS_ASKED = 10
MAX_REROUTED = 1_000


class ConflictWork:
    """Operations that it begins are known by `is_own`; what agents answer to them is no new conflict."""

    def __init__(self, orchestrator: Orchestrator, origins: Origins, new_id: Callable[[int], str]) -> None:
        self._of = orchestrator
        self._origins = origins
        self._new_id = new_id
        self._collecting: dict[str, dict[str, Evidence]] = {}
        self._merging = asyncio.Lock()

    def is_own(self, operation: str) -> bool:
        return operation in self._collecting or operation.startswith("conflict-")

    def collect(self, operation: str, table: AckTable) -> None:
        """What was answered to one of its own operations."""
        found = self._collecting.get(operation)
        if found is None or table.answer is None:
            return
        rows = table.places.rows(self._of.registry.topology)
        codes = table.answer
        for at in np.flatnonzero((codes > 0) & (table.state == TargetState.READY)).tolist():
            try:
                evidence = decode(table.answers[codes[at] - 1], Evidence)
            except InvalidArgument:
                continue
            agent = str(self._of.registry.topology.place(int(rows[at])))
            found[agent] = msgspec.structs.replace(
                evidence, facts=tuple(self.vouched(fact) for fact in evidence.facts)
            )

    # Which method

    async def strategy_for(self, conflict: Conflict) -> Strategy | None:
        """None: only a person can."""
        detail, agents = conflict.detail, conflict.agents
        evidence = evidence_of(detail.data)
        match conflict.method:
            case ConflictMethod.BRANCH_AND_RECONCILE:
                versions = tuple(filter(None, (_name(detail.expected), _name(detail.received))))
                return BranchAndReconcile(conflict.id, (*agents, *self._others(conflict)), versions)
            case ConflictMethod.PROVENANCE_TRACE:
                await self._origins.learn()
                known = [self.vouched(fact) for fact in evidence.facts]
                return ProvenanceTrace(conflict.id, agents, known, is_genuine=self._is_genuine)
            case ConflictMethod.CLOCK_RECONCILIATION:
                return ClockReconciliation(conflict.id, agents, evidence.events)
            case ConflictMethod.REROUTE_AND_REMAP:
                return RerouteAndRemap(agents, detail.expected, conflict.operation)
            case ConflictMethod.RELOAD_KNOWN_GOOD:
                return ReloadKnownGood(conflict.id, agents, await self._good_contexts(conflict))
        return None

    def _others(self, conflict: Conflict) -> tuple[str, ...]:
        """Some of the same sectors that did not report it, so that the other branch is heard."""
        topology, columns = self._of.registry.topology, self._of.registry.columns
        rows = self.rows_of(conflict.agents)
        sectors = np.unique(rows // topology.sector_size)
        near = np.flatnonzero(IS_MEMBER[columns.liveness])
        near = near[np.isin(near // topology.sector_size, sectors)]
        others = np.setdiff1d(near, rows, assume_unique=True)[:OTHERS_ASKED]
        return tuple(str(topology.place(row)) for row in others.tolist())

    async def _good_contexts(self, conflict: Conflict) -> dict[str, KnownGood]:
        """The version that was expected, with where its content is; an agent has to have a copy of one that never went
        out from here."""
        expected = _name(conflict.detail.expected)
        if not expected:
            return {}
        trunk = self._of.states.trunk
        try:
            held = await trunk.hold(trunk.find(expected), Move.PUT)
            good = KnownGood(held.version, encode_state_order(held))
        except InvalidArgument:
            good = KnownGood(expected)
        return dict.fromkeys(conflict.agents, good)

    # Facts and who said them

    def vouched(self, fact: Fact) -> Fact:
        """Without its signature where nobody knows its origin's key: then it is hearsay, and not forged."""
        if fact.signature and not self._origins.ring.keys_of(fact.origin):
            return msgspec.structs.replace(fact, signature=b"", strength=0)
        return fact

    def _is_genuine(self, fact: Fact) -> bool:
        try:
            said = open_statement(fact.signature, self._origins.ring, self._of.subjects.mesh, FACT_PURPOSE)
        except (NotTrusted, InvalidArgument):
            return False
        return said.signer == fact.origin and said.payload == fact_payload(fact)

    # Doing it

    async def run(self, strategy: Strategy, step: Step) -> Verdict:
        """Contexts are merged one after the other, since each merge is the branch that the next one finds."""
        if not isinstance(strategy, BranchAndReconcile):
            return await self._run(strategy, step)
        async with self._merging:
            return await self._run(strategy, step)

    async def _run(self, strategy: Strategy, step: Step) -> Verdict:
        while step.verdict is None:
            step = strategy.take(await self._carry_out(step))
        return step.verdict

    async def _carry_out(self, step: Step) -> Heard:
        answers: dict[str, Evidence] = {}
        moved: tuple[str, ...] = ()
        waiting = []
        for order in step.orders:
            match order:
                case OrderAgents():
                    if order.order.ask == "merge":
                        waiting.append(self._advance_others(order))
                    waiting.append(self._order(order))
                case RevokeCapability():
                    rows = self.rows_of(order.agents)
                    self._of.registry.set_capabilities(rows, revoke=(order.capability,))
                case RerouteWork():
                    moved += await self._reroute(order)
        for found in await asyncio.gather(*waiting):
            answers.update(found)
        return Heard(answers, moved)

    async def _advance_others(self, told: OrderAgents) -> dict[str, Evidence]:
        """The branch that was merged goes on with what it was merged into, and so do all who follow it."""
        states, columns = self._of.states, self._of.registry.columns
        followed = await states.trunk.adopt(told.order.values, told.order.versions)
        if followed is None:
            return {}
        before, order = followed
        rows = np.flatnonzero(
            IS_MEMBER[columns.liveness] & (columns.context_hash == np.uint64(mark_of(before)))
        )
        rows = np.setdiff1d(rows, self.rows_of(told.agents), assume_unique=True)
        if len(rows):
            await self._of.conductor.order(self.request("reconcile", encode_state_order(order)), rows)
        return {}

    def request(self, what: str, payload: bytes) -> StartOperation:
        return StartOperation(
            operation=f"conflict-{self._new_id(int(self._of.now_ms()))}",
            what=f"conflict {what}",
            verb=Verb.SYNC,
            payload=payload,
            timeout_ms=ORDER_TIMEOUT_MS,
            rate=1.0,
            priority=Priority.CRITICAL,
        )

    async def _order(self, told: OrderAgents) -> dict[str, Evidence]:
        request = self.request(told.order.ask, encode(told.order))
        found = self._collecting[request.operation] = {}
        try:
            await self._of.conductor.order(request, self.rows_of(told.agents))
        finally:
            del self._collecting[request.operation]
        return {agent: found[agent] for agent in told.agents if agent in found}

    async def _reroute(self, work: RerouteWork) -> tuple[str, ...]:
        """The ids of those that did it instead."""
        before = self._of.conductor.operations.get(work.operation)
        if before is None:
            return ()
        registry, topology = self._of.registry, self._of.registry.topology
        count = min(len(work.agents), MAX_REROUTED)
        fresh = np.ones(topology.size, bool)
        fresh[before.rows] = False
        others = np.ones(topology.size, bool)
        others[self.rows_of(work.agents)] = False
        for among in (fresh, others):
            try:
                rows = np.sort(best_agents(registry, (work.capability,), count=count, among=among))
                break
            except NoCapableAgentError:
                continue
        else:
            return ()
        request = msgspec.structs.replace(
            before.request,
            operation=f"conflict-{self._new_id(int(self._of.now_ms()))}",
            what="reroute",
            strategy="gather",
            timing=type(before.request.timing).NOW,
            timeout_ms=ORDER_TIMEOUT_MS,
            rate=1.0,
        )
        done = await self._of.conductor.order(request, rows)
        ready = columns_of(list(done.records)).rows_in(TargetState.READY)
        return tuple(name_rows(ready, topology))

    def rows_of(self, agents: Iterable[str]) -> Rows:
        """Ascending; what is no id of this fleet is left out."""
        topology, found = self._of.registry.topology, set()
        for agent in agents:
            try:
                found.add(topology.row(parse_place(agent)))
            except InvalidArgument:
                continue
        return np.array(sorted(found), np.int64)


def _name(text: str) -> bytes:
    """Of a version, from how a report has it; b"" where that is none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def evidence_of(data: bytes) -> Evidence:
    """Nothing where it is none: agents may put anything there."""
    try:
        return decode(data, Evidence) if data else Evidence()
    except InvalidArgument:
        return Evidence()
