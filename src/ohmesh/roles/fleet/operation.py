"""One operation as the orchestrator holds it: its message, its machine (gather or cascade), and what is sent for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import (
    Coordinate,
    MessageHead,
    Strategy,
    Timing,
    hash_payload,
)
from ohmesh.model.fleet_operation import CallOff, Fold, Relay, Tier
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.fleet_table import AckTable, CoordinateTable, pack_coordinate, read_acks
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.topology import Topology
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival import cascade_plan
from ohmesh.protocols.arrival.ack_events import events_of_acks
from ohmesh.protocols.arrival.answer_column import AnswerColumn
from ohmesh.protocols.arrival.cascade import CallOff as CascadeCallOff
from ohmesh.protocols.arrival.cascade import Cascade, CascadeReport, GoOn, Instruction
from ohmesh.protocols.arrival.cascade_plan import PLANS
from ohmesh.protocols.arrival.cascade_sector import CascadeSector
from ohmesh.protocols.arrival.gather import Gather, GatherConfig
from ohmesh.protocols.arrival.operation import Lost, SectorRecord, Skipped
from ohmesh.protocols.arrival.prepare import PrepareConfig
from ohmesh.protocols.arrival.report import OperationReport
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason
from ohmesh.roles.fleet.places import places_of

GATHER = "gather"
TTL_AFTER_MS = 30_000
_DEPTHS = {
    cascade_plan.Tier.SECTORS: Tier.SECTOR,
    cascade_plan.Tier.CLUSTERS: Tier.CLUSTER,
    cascade_plan.Tier.AGENTS: Tier.AGENT,
}
_DELIVERIES = {
    Timing.NOW: Delivery.NOW,
    Timing.LEAD: Delivery.LEAD,
    Timing.HOLD: Delivery.HOLD,
    Timing.PREPARE: Delivery.HOLD,
}


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """rows: every one of them, ascending; the others are of each. lead_ms: None for a message for now. class_codes:
    places in class_names; None where all are treated alike."""

    rows: Rows
    lead_ms: NDArray[np.floating] | None = None
    class_codes: NDArray[np.uint8] | None = None
    class_names: Sequence[str] = ()


class Operation:
    """Times are mesh time."""

    def __init__(
        self, request: StartOperation, targets: Targets, topology: Topology, *, started_ms: float
    ) -> None:
        """Raises InvalidArgument: a strategy that does not exist, times that do not fit."""
        rows = targets.rows
        self.request = request
        self.rows = rows
        self._is_asked = np.ones(len(rows), bool)
        self.started_ms = started_ms
        self.recall_until_ms = 0.0
        self.heard_ms = started_ms
        self.is_stored = False
        self.steps: tuple[str, ...] = ()
        self.changed_after = False
        self.answers = AnswerColumn(len(rows))
        self._topology = topology
        self._lead_ms = targets.lead_ms
        is_timed = request.timing is not Timing.NOW
        gather = GatherConfig(
            window_ms=request.window_ms if is_timed else request.timeout_ms,
            timeout_ms=request.timeout_ms,
            rate=request.rate,
        )
        is_cascade = request.strategy != GATHER
        self.target_ms = gather.target_ms(started_ms) if is_timed or not is_cascade else started_ms
        self.message = self._message()
        self._splits = self._split(rows)
        self._gone_on: dict[int, int] = {}
        self._reached: dict[int, Tier] = {}
        records = [SectorRecord(sector, part, self.target_ms) for sector, part in self._splits.items()]
        self.cascade: Cascade | None = None
        self.gather: Gather | None = None
        self._stage_of: NDArray[np.uint8] | None = None
        if not is_cascade:
            self.gather = Gather(request.operation, records, started_ms, gather)
            if request.timing is Timing.PREPARE:
                self.gather.deadline_ms = self.due_by_ms
            return
        if request.timing is Timing.PREPARE:
            raise InvalidArgument("Prepare and commit has no stages.", hint="Broadcast it.")
        plan = (
            PLANS.get(cascade_plan.CascadeStrategy(request.strategy)) if request.strategy in PLANS else None
        )
        if plan is None:
            raise InvalidArgument(
                f"There is no strategy {request.strategy!r}.", hint=f"One of {GATHER}, {', '.join(PLANS)}."
            )
        if targets.class_codes is not None:
            self._stage_of = plan.stage_of_classes(targets.class_names)[targets.class_codes]
        sectors = [
            CascadeSector(record, plan, topology, self._of_sector(self._stage_of, record.sector))
            for record in records
        ]
        self.cascade = Cascade(request.operation, plan, sectors, started_ms)

    @property
    def id(self) -> str:
        return self.request.operation

    @property
    def due_by_ms(self) -> float:
        """Who is ready by then is on time; a verdict has to reach those who prepare before T."""
        is_conditional = self.request.timing is Timing.PREPARE
        return self.target_ms - (PrepareConfig().verdict_lead_ms if is_conditional else 0.0)

    @property
    def records(self) -> Iterable[SectorRecord]:
        return (self.gather or self._cascade).records.values()

    @property
    def decision(self) -> OperationReport | CascadeReport | None:
        return (self.gather or self._cascade).decision

    @property
    def decided_ms(self) -> float:
        """Mesh time; 0 while it is not decided."""
        decision = self.decision
        if decision is None:
            return 0.0
        return decision.decided_ms if isinstance(decision, OperationReport) else decision.ended_ms

    @property
    def degraded(self) -> tuple[str, ...]:
        """Stages of a cascade that fell short."""
        decision = self.decision
        return decision.degraded if isinstance(decision, CascadeReport) else ()

    @property
    def wake_ms(self) -> float | None:
        return (self.gather or self._cascade).wake_ms

    @property
    def _cascade(self) -> Cascade:
        assert self.cascade is not None
        return self.cascade

    def as_of(self, now_ms: float) -> float:
        """The time to judge by: while others are still asked what they know of an operation that was taken over, it
        stands just before its end."""
        wake_ms = self.wake_ms
        if now_ms >= self.recall_until_ms or wake_ms is None:
            return now_ms
        return min(now_ms, wake_ms - 0.001)

    @property
    def due_ms(self) -> float:
        """When to call `tick`, infinity for never."""
        wake_ms = self.wake_ms
        return float("inf") if wake_ms is None else max(wake_ms, self.recall_until_ms)

    # What is to be done

    def begin(self) -> list[tuple[int, Relay | CallOff]]:
        """(sector, what its coordinator is told), in all sectors that have targets."""
        if self.gather is not None:
            self.gather.tick(self.started_ms)
            return self._relays(self._splits, Tier.AGENT)
        return self._follow(self._cascade.begin())

    def tick(self, now_ms: float) -> list[tuple[int, Relay | CallOff]]:
        if self.gather is not None:
            self.gather.tick(now_ms)
            return []
        return self._follow(self._cascade.tick(now_ms))

    def skip(
        self,
        rows: Rows,
        reason: SkipReason,
        times: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
        now_ms: float,
    ) -> None:
        """Before it begins: these targets are not asked at all."""
        count = len(rows)
        needed, available = times or (np.zeros(count), np.full(count, np.inf))
        for sector, part in self._split(rows).items():
            at = np.searchsorted(rows, part)
            reasons = np.full(len(part), reason, np.uint8)
            self._take(sector, Skipped(part, reasons, needed[at], available[at]), now_ms)
        self._leave_out(rows)

    def lose(self, rows: Rows, now_ms: float) -> list[tuple[int, Relay | CallOff]]:
        """Their process is gone."""
        found: list[tuple[int, Relay | CallOff]] = []
        for sector, part in self._split(rows).items():
            found += self._take(sector, Lost(part), now_ms)
        return found

    def fold(self, fold: Fold, now_ms: float) -> tuple[list[tuple[int, Relay | CallOff]], AckTable | None]:
        """Raises InvalidArgument: columns that cannot be read."""
        sector = fold.sector
        if sector not in self._splits:
            return [], None
        reached = Tier.CLUSTER if fold.clusters else Tier.SECTOR
        self._reached[sector] = max(reached, self._reached.get(sector, reached))
        found: list[tuple[int, Relay | CallOff]] = []
        if self.cascade is not None:
            found += self._follow(self.cascade.reached(sector, now_ms, clusters=fold.clusters))
        if fold.acks is None:
            return found, None
        table = read_acks(fold.acks)
        rows = table.places.rows(self._topology)
        self.heard_ms = now_ms
        delivery = _DELIVERIES[self.request.timing]
        for event in events_of_acks(table, self._topology, delivery=delivery):
            found += self._take(sector, event, now_ms)
        self._keep_answers(table, rows)
        return found, table

    def unreached(self) -> list[tuple[int, Relay | CallOff]]:
        """For sectors that have not said that they took what they were sent: the same once more."""
        if self.gather is not None:
            silent = {sector: part for sector, part in self._splits.items() if sector not in self._reached}
            return self._relays(silent, Tier.AGENT)
        stages = self._cascade.plan.stages
        found: list[tuple[int, Relay | CallOff]] = []
        for sector, place in self._gone_on.items():
            wanted = min(_DEPTHS[stages[place].tier], Tier.CLUSTER)
            if self._reached.get(sector, Tier.MESH) < wanted:
                found += self._stage_relay(sector, place)
        return found

    def sectors(self) -> tuple[int, ...]:
        return tuple(self._splits)

    # Inside

    def _message(self) -> Coordinate:
        request = self.request
        ttl_ms = int(max(request.timeout_ms, self.target_ms - self.started_ms)) + TTL_AFTER_MS
        head = MessageHead(
            request.operation,
            "orchestrator",
            pack_stamp(int(self.started_ms), 0),
            ttl_ms,
            request.priority,
            correlation_id=request.operation,
        )
        return Coordinate(
            head,
            request.verb,
            int(self.target_ms * 1000) if request.timing is not Timing.NOW else 0,
            request.timing,
            request.payload,
            hash_payload(request.payload) if request.payload else b"",
            strategy=Strategy.SCATTER_GATHER if request.strategy == GATHER else Strategy.BROADCAST,
            weight=request.weight,
            expects=request.expects,
        )

    def _split(self, rows: Rows) -> dict[int, Rows]:
        sectors = rows // self._topology.sector_size
        cuts = np.flatnonzero(np.diff(sectors)) + 1
        return {
            int(part[0]) // self._topology.sector_size: part for part in np.split(rows, cuts) if len(part)
        }

    def _of_sector(self, column: NDArray[np.uint8] | None, sector: int) -> NDArray[np.uint8] | None:
        if column is None:
            return None
        part = self._splits[sector]
        first = int(np.searchsorted(self.rows, part[0]))
        return column[first : first + len(part)]

    def _leave_out(self, rows: Rows) -> None:
        """Skipped ones are not sent to; they stay in the records."""
        self._is_asked[np.searchsorted(self.rows, rows)] = False

    def _take(self, sector: int, event: object, now_ms: float) -> list[tuple[int, Relay | CallOff]]:
        if self.decision is not None:
            self.changed_after = True
        if self.gather is not None:
            self.gather.take(sector, event, now_ms)  # type: ignore[arg-type]
            return []
        return self._follow(self._cascade.take(sector, event, now_ms))  # type: ignore[arg-type]

    def _keep_answers(self, table: AckTable, rows: Rows) -> None:
        if table.answer is None:
            return
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        is_target = self.rows[at] == rows
        self.answers.take(at[is_target], table.answer[is_target], table.answers)

    def _follow(self, instructions: list[Instruction]) -> list[tuple[int, Relay | CallOff]]:
        found: list[tuple[int, Relay | CallOff]] = []
        for instruction in instructions:
            if isinstance(instruction, CascadeCallOff):
                found += [
                    (sector, CallOff(Tier.SECTOR, self.id, (sector,))) for sector in instruction.sectors
                ]
            elif isinstance(instruction, GoOn):
                for sector in instruction.sectors:
                    self._gone_on[sector] = instruction.stage
                    found += self._stage_relay(sector, instruction.stage)
        return found

    def _relays(self, parts: Mapping[int, Rows], depth: Tier) -> list[tuple[int, Relay | CallOff]]:
        return [told for sector, part in parts.items() for told in self._relay(sector, part, depth)]

    def _stage_relay(self, sector: int, place: int) -> list[tuple[int, Relay | CallOff]]:
        stage = self._cascade.plan.stages[place]
        part = self._splits[sector]
        stages = self._of_sector(self._stage_of, sector)
        if stage.tier is cascade_plan.Tier.AGENTS and stages is not None and not (stages == place).all():
            part = part[stages <= place]
        return self._relay(sector, part, _DEPTHS[stage.tier])

    def _relay(self, sector: int, rows: Rows, depth: Tier) -> list[tuple[int, Relay | CallOff]]:
        """Nothing where nobody is to be asked."""
        at = np.searchsorted(self.rows, rows)
        is_asked = self._is_asked[at]
        rows, at = rows[is_asked], at[is_asked]
        if not len(rows):
            return []
        compensation = None if self._lead_ms is None else self._lead_ms[at].astype(np.float32)
        table = CoordinateTable(self.message, places_of(rows, self._topology), compensation)
        return [(sector, Relay(Tier.SECTOR, depth, 0, pack_coordinate(table)))]
