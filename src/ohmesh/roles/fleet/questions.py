"""What the orchestrator answers to questions; nothing here changes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument, UnknownOperation
from ohmesh.model.fleet_message import Expectation, TargetState, Timing
from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import (
    MAX_STATES,
    DescribeFleet,
    GetContext,
    GetOperation,
    ListAgents,
    ListOperations,
    ListScopes,
    OperationsPage,
    OperationView,
    Stage,
    StartOperation,
)
from ohmesh.policies.quorum import QuorumConfig, QuorumResult, decide_quorum
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.report import Columns, columns_of, name_rows
from ohmesh.protocols.arrival.target_state import PENDING, SkipReason
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.roles.fleet.reads import Reading

if TYPE_CHECKING:
    from ohmesh.roles.fleet.operation import Operation
    from ohmesh.roles.fleet.orchestrator import Orchestrator

QUANTILES = {"first": 0.0, "p05": 0.05, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "last": 1.0}
BARS = 40
MAX_ANSWERS = 50
FEW = 3
HOUR_MS = 3_600_000
ODD_NAMED = 10
LISTED_STRAGGLERS = 10


class Questions:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._of = orchestrator

    async def answer(self, question: object) -> msgspec.Struct:
        match question:
            case GetOperation():
                return await self._operation(question)
            case ListOperations():
                return await self._operations(question.limit)
            case ListAgents() | ListScopes():
                return self.reading().answer(question)
            case DescribeFleet():
                return self._fleet()
            case GetContext():
                return await self._of.states.show(question)
        raise InvalidArgument(f"The orchestrator does not answer {type(question).__name__}.")

    # Operations

    def targets(self, request: StartOperation) -> Rows:
        """Every agent that is meant, whether it can be reached or not."""
        columns = self._of.registry.columns
        rows: Rows = np.flatnonzero(columns.liveness != VACANT)
        if request.where:
            rows = rows[self.mask(request.where)[rows]]
        sample = math.ceil(len(rows) * request.percent / 100) if request.percent else request.sample
        if sample and sample < len(rows):
            # Drawn by a hash of row and seed, so that the same question means the same agents.
            keys = (rows.astype(np.uint64) + np.uint64(request.seed)) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
            keys *= np.uint64(0xBF58476D1CE4E5B9)
            rows = np.sort(rows[np.argsort(keys, kind="stable")[:sample]])
        return rows

    def mask(self, where: str) -> NDArray[np.bool_]:
        """Which rows a selector means. Raises InvalidSelector."""
        return self.reading().mask(where)

    def operation_view(self, operation: Operation) -> OperationView:
        request, records = operation.request, list(operation.records)
        columns = columns_of(records)
        counts = sum((record.counts() for record in records), Counts())
        decision = operation.decision
        is_timed = request.timing is not Timing.NOW
        offsets = columns.offsets_ms[columns.states == TargetState.READY]
        offsets = offsets[np.isfinite(offsets)].astype(np.float64)
        if not is_timed:
            offsets += operation.target_ms - operation.started_ms
        hits = int(np.count_nonzero(offsets <= request.window_ms)) if is_timed else len(offsets)
        topology = self._of.registry.topology
        tally = operation.answers.tally(most=MAX_ANSWERS, few=FEW)
        quorum = _quorum(decision.counts if decision else counts, request.rate)
        shown = OperationView(
            id=operation.id,
            what=request.what,
            verb=request.verb.value,
            strategy=request.strategy,
            timing=request.timing.value,
            where=request.where,
            started_ms=operation.started_ms,
            target_ms=operation.target_ms if is_timed else operation.started_ms,
            outcome=decision.outcome.value if decision else "",
            decision=quorum.decision.value if decision else "",
            advice=_advice(quorum, columns, counts, request) if decision else "",
            decided_ms=operation.decided_ms,
            elapsed_ms=operation.decided_ms - operation.started_ms if decision else 0.0,
            heard_ms=max(0.0, operation.heard_ms - operation.started_ms),
            targets=counts.targets,
            sent=counts.sent,
            ready=counts.ready,
            conflict=counts.conflict,
            transit=counts.transit,
            skipped=counts.skipped,
            unreachable=counts.unreachable,
            pending=counts.pending,
            rate=round(counts.rate, 6),
            rate_wanted=request.rate,
            coverage=round(counts.coverage, 6),
            hit_rate=round(hits / counts.sent, 6) if counts.sent else 0.0,
            offsets_ms=_quantiles(offsets),
            histogram=_histogram(offsets),
            answers=tuple((answer.decode(errors="replace"), count) for answer, count in tally.values),
            answers_omitted=tally.omitted,
            odd=tuple(name_rows(operation.rows[tally.odd[:ODD_NAMED]], topology)),
            stages=_stages(operation),
            degraded=operation.degraded,
            stragglers=tuple(name_rows(columns.rows_in(TargetState.TRANSIT), topology)),
            skipped_for=_reasons(columns.reasons[columns.states == TargetState.SKIPPED]),
            simulated=self._of.conductor.is_simulated(operation),
            expected=request.expected,
            received=counts.ready + counts.conflict,
            steps=operation.steps,
            acknowledged=counts.ready if request.expects is not Expectation.NOTHING else 0,
        )
        return self._of.conductor.commits.told(shown)

    async def _operation(self, question: GetOperation) -> OperationView:
        operation = self._of.conductor.operations.get(question.operation)
        if operation is not None:
            shown, records = self.operation_view(operation), list(operation.records)
        else:
            stored = await self._of.store.find(question.operation)
            if stored is None:
                raise UnknownOperation(
                    f"There is no operation {question.operation}.", hint="`ohmesh ops` lists the latest."
                )
            shown, records = (
                stored,
                await self._of.store.records(question.operation) if question.agents else [],
            )
        if not question.agents:
            return shown
        columns = columns_of(records)
        names = {int(state): state.name.lower() for state in TargetState} | {PENDING: "pending"}
        behind = np.flatnonzero(columns.rows > question.after)
        page = behind[:MAX_STATES]
        # A message for now is timed from its start, whatever its records count from.
        shift = records[0].target_ms - shown.target_ms if records else 0.0
        times = (columns.offsets_ms[page] + shift).tolist()
        rows = columns.rows[page].tolist()
        return msgspec.structs.replace(
            shown,
            agents=tuple(str(self._of.registry.topology.place(row)) for row in rows),
            states=tuple(names[state] for state in columns.states[page].tolist()),
            ready_ms=tuple(None if math.isnan(ready) else round(ready, 3) for ready in times),
            after=rows[-1] if len(page) < len(behind) else -1,
        )

    async def _operations(self, limit: int) -> OperationsPage:
        held = [self.operation_view(each) for each in reversed(self._of.conductor.operations.values())][
            :limit
        ]
        ids = {each.id for each in held}
        if len(held) < limit:
            held += [each for each in await self._of.store.newest(limit) if each.id not in ids]
        held.sort(key=lambda each: each.started_ms, reverse=True)
        return OperationsPage(tuple(_brief(each) for each in held[:limit]))

    # The registry

    def reading(self) -> Reading:
        of = self._of
        return Reading(of.registry, of.view(), of.roles, of.mode.name, of.now_ms())

    def _fleet(self) -> FleetDescription:
        of = self._of
        held = [
            one for one in reversed(of.conductor.operations.values()) if not of.conflicts.work.is_own(one.id)
        ]
        last = next(iter(held), None)
        cascade = next((one for one in held if one.cascade is not None), None)
        return msgspec.structs.replace(
            self.reading().describe(),
            operations=len(of.conductor.operations),
            last_operation=self.operation_view(last) if last is not None else None,
            last_cascade=self.operation_view(cascade) if cascade is not None else None,
            conflict_rate=of.conflicts.rate,
            conflicts_last_hour=of.conflicts.reported_since(of.now_ms() - HOUR_MS),
            heartbeats=of.heartbeats,
        )


def _quorum(counts: Counts, rate: float) -> QuorumResult:
    """Who could not be reached was not heard."""
    silent = counts.transit + counts.unreachable
    return decide_quorum(counts.ready, counts.conflict, silent, QuorumConfig(ready=rate))


def _brief(view: OperationView) -> OperationView:
    """As one of many: what would make a list of them too large for one message is left to whoever asks for it."""
    silent = view.stragglers[:LISTED_STRAGGLERS]
    return msgspec.structs.replace(view, stragglers=silent, histogram=(), answers=(), odd=(), stages=())


def _quantiles(offsets: NDArray[np.float64]) -> dict[str, float]:
    if not len(offsets):
        return {}
    values = np.quantile(offsets, list(QUANTILES.values()), method="inverted_cdf").tolist()
    found = {name: round(value, 3) for name, value in zip(QUANTILES, values, strict=True)}
    return {**found, "mean": round(float(offsets.mean()), 3)}


def _histogram(offsets: NDArray[np.float64]) -> tuple[tuple[float, int], ...]:
    """(upper bound in ms, how many), of equal widths."""
    if not len(offsets):
        return ()
    counts, edges = np.histogram(offsets, bins=BARS)
    return tuple(
        (round(edge, 3), count) for edge, count in zip(edges[1:].tolist(), counts.tolist(), strict=True)
    )


def _stages(operation: Operation) -> tuple[Stage, ...]:
    report = operation.cascade.decision if operation.cascade else None
    if report is None:
        return ()
    return tuple(
        Stage(
            stage.name,
            stage.tier,
            stage.counts.ready,
            stage.counts.sent,
            stage.rate_wanted,
            stage.is_met,
            round(stage.elapsed_ms, 3),
            stage.budget_ms,
        )
        for stage in report.stages
    )


def _advice(quorum: QuorumResult, columns: Columns, counts: Counts, request: StartOperation) -> str:
    words = [each.value for each in quorum.recommendations]
    return ", ".join(words + _longer(columns, counts, request))


def _longer(columns: Columns, counts: Counts, request: StartOperation) -> list[str]:
    """The window that would have reached as many of the targets as are wanted, where time was too short for them."""
    short = columns.needed_ms[columns.reasons == SkipReason.INSUFFICIENT_LEAD_TIME]
    missing = math.ceil(request.rate * counts.targets) - counts.sent
    if not 0 < missing <= len(short):
        return []
    needed_ms = math.ceil(float(np.partition(short, missing - 1)[missing - 1]))
    return [f"a window of {needed_ms} ms, in which {request.rate:.0%} of the targets have time"]


def _reasons(reasons: NDArray[np.uint8]) -> dict[str, int]:
    counts = np.bincount(reasons, minlength=len(SkipReason)).tolist()
    return {reason.word: counts[reason] for reason in SkipReason if counts[reason]}
