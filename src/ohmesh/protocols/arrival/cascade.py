"""A cascade on its way: stage after stage, moved on by what sectors fold together, not by single agents.

A stage ends when its rate is met, when nobody is left who may still answer, or at its time; then it is judged, once,
and the next one begins. A gate that is short ends the cascade: who was not asked is skipped (called off) where its
sector was there, and unreachable where it was not. Other stages that are short are noted and the cascade goes on;
it SUCCEEDED only if every stage met its rate.

Any word from a sector shows that it was reached, and an agent that was asked shows the same of its cluster, so an
acknowledgement that got lost does no harm. A sector that answers after its stage was judged is told to go on all the
same, and its agents count where they stand.

Invariants: stages are judged in order and each once, by what was heard before; never later than their time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.cascade_plan import CascadePlan, CascadeStrategy, Stage, Tier
from ohmesh.protocols.arrival.cascade_sector import CascadeSector
from ohmesh.protocols.arrival.counts import Counts, sum_counts
from ohmesh.protocols.arrival.operation import Event, SectorRecord
from ohmesh.protocols.arrival.report import Columns, Outcome, columns_of


class GoOn(Struct, frozen=True):
    """These sectors are to do the stages up to and including this one."""

    stage: int
    sectors: tuple[int, ...]


class CallOff(Struct, frozen=True):
    """These sectors are to drop the operation: nobody is released any more."""

    sectors: tuple[int, ...]


Instruction = GoOn | CallOff


class StageResult(Struct, frozen=True):
    """How a stage ended. `counts` are of sectors, clusters or agents, as its tier says; times are mesh time."""

    name: str
    tier: str
    counts: Counts
    rate_wanted: float
    is_met: bool
    began_ms: float
    ended_ms: float
    budget_ms: float

    @property
    def elapsed_ms(self) -> float:
        return self.ended_ms - self.began_ms


@dataclass(frozen=True, slots=True, eq=False)
class CascadeReport:
    """`stages` that were begun, in order. `degraded`: names of those that fell short. `silent_sectors`: never heard."""

    operation: str
    strategy: CascadeStrategy
    outcome: Outcome
    stages: tuple[StageResult, ...]
    counts: Counts
    started_ms: float
    ended_ms: float
    silent_sectors: tuple[int, ...]
    columns: Columns

    @property
    def degraded(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages if not stage.is_met)


class Cascade:
    """`now_ms` of every call is mesh time; a call with an earlier one than before is taken as of now."""

    def __init__(
        self, operation: str, plan: CascadePlan, sectors: Iterable[CascadeSector], start_ms: float
    ) -> None:
        """Raises InvalidArgument: a sector is named twice, or the records are not of one T."""
        self.operation = operation
        self.plan = plan
        self.start_ms = start_ms
        self.decision: CascadeReport | None = None
        self.is_closed = False
        self._sectors = _by_number(sectors)
        self._results: list[StageResult] = []
        self._began_ms = self._now_ms = start_ms
        self._target_ms = max([start_ms, *(each.record.target_ms for each in self._sectors.values())])
        self._counts = {number: each.counts() for number, each in self._sectors.items()}
        self._totals = [sum_counts(parts) for parts in zip(*self._counts.values(), strict=True)]
        self._totals = self._totals or [Counts() for _ in plan.stages]

    @property
    def records(self) -> Mapping[int, SectorRecord]:
        return {number: each.record for number, each in self._sectors.items()}

    @property
    def stage(self) -> int:
        """The place of the stage that is under way; the number of stages once all were judged."""
        return len(self._results)

    @property
    def counts(self) -> Counts:
        """Of the agents, as of now; after the decision with what came late."""
        return sum_counts(self._totals[self.plan.first_of_agents :])

    @property
    def wake_ms(self) -> float | None:
        """When to call `tick`; None once all is over."""
        return None if self.is_closed else self._deadline_ms()

    def begin(self) -> list[Instruction]:
        """To be called once, first: the first stage begins in every sector."""
        every = tuple(self._sectors)
        return [*([GoOn(0, every)] if every else []), *self._look(self._now_ms)]

    def tick(self, now_ms: float) -> list[Instruction]:
        """Stages whose time is over are judged."""
        self._now_ms = max(self._now_ms, now_ms)
        found: list[Instruction] = []
        while not self.is_closed and (deadline_ms := self._deadline_ms()) <= self._now_ms:
            if self.decision is None:
                found += self._judge(deadline_ms)
                found += self._look(deadline_ms)
            else:
                self._close()
        return found

    def reached(self, sector: int, now_ms: float, *, clusters: int = 0) -> list[Instruction]:
        """A sector took the message, and so many of its clusters; the highest number that was told counts."""
        return self._heard(sector, now_ms, lambda found: found.reach(clusters))

    def take(self, sector: int, event: Event, now_ms: float) -> list[Instruction]:
        """Usually the record of a sector as it was folded together there, or a part of it."""
        return self._heard(sector, now_ms, lambda found: found.take(event))

    def _heard(
        self, sector: int, now_ms: float, change: Callable[[CascadeSector], None]
    ) -> list[Instruction]:
        instructions = self.tick(now_ms)
        found = self._sectors.get(sector)
        if found is None:
            return instructions
        was_reached = found.is_reached
        change(found)
        self._recount(sector, found)
        if found.is_reached and not was_reached:
            instructions += self._welcome(sector)
        return instructions + self._look(self._now_ms)

    def _recount(self, number: int, sector: CascadeSector) -> None:
        before, after = self._counts[number], sector.counts()
        self._counts[number] = after
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            self._totals[place] += new - old

    def _welcome(self, sector: int) -> list[Instruction]:
        """It was late, or what it was told got lost: it hears where the cascade is."""
        if self.decision is not None and self.decision.outcome is Outcome.FAILED_AT_SECTOR:
            return [CallOff((sector,))]
        stage = min(len(self._results), len(self.plan.stages) - 1)
        return [GoOn(stage, (sector,))] if stage and not self.is_closed else []

    def _look(self, at_ms: float) -> list[Instruction]:
        found: list[Instruction] = []
        while self.decision is None:
            place = len(self._results)
            totals = self._totals[place]
            if not (totals.is_settled or totals.meets(self.plan.stages[place].rate)):
                break
            found += self._judge(at_ms)
        return found

    def _deadline_ms(self) -> float:
        """Of the stage that is under way; after the decision of the last one."""
        stage = self.plan.stages[min(len(self._results), len(self.plan.stages) - 1)]
        begins_ms = self._began_ms
        if stage.tier is Tier.AGENTS:
            begins_ms = max(begins_ms, self._target_ms)
        return begins_ms + stage.timeout_ms

    def _judge(self, at_ms: float) -> list[Instruction]:
        place = len(self._results)
        result = _judged(self.plan.stages[place], self._totals[place], self._began_ms, at_ms)
        self._results.append(result)
        if self.plan.stages[place].is_gate and not result.is_met:
            return self._call_off(at_ms)
        if place + 1 == len(self.plan.stages):
            self._decide(self._outcome(), at_ms)
            return []
        self._began_ms = at_ms
        begun = tuple(number for number, each in self._sectors.items() if self._is_to_go_on(each))
        return [GoOn(place + 1, begun)] if begun else []

    def _is_to_go_on(self, sector: CascadeSector) -> bool:
        return sector.is_reached or self.plan.stages[0].tier is not Tier.SECTORS

    def _outcome(self) -> Outcome:
        counts = self.counts
        if not counts.targets:
            return Outcome.EMPTY
        if not counts.ready:
            return Outcome.FAILED
        is_met = all(result.is_met for result in self._results)
        return Outcome.SUCCEEDED if is_met else Outcome.PARTIAL

    def _call_off(self, at_ms: float) -> list[Instruction]:
        for number, each in self._sectors.items():
            each.call_off()
            self._recount(number, each)
        self.is_closed = True
        self._decide(Outcome.FAILED_AT_SECTOR, at_ms)
        return [CallOff(tuple(self._sectors))]

    def _close(self) -> None:
        self.is_closed = True
        for number, each in self._sectors.items():
            each.record.close()
            self._recount(number, each)

    def _decide(self, outcome: Outcome, at_ms: float) -> None:
        if at_ms >= self._deadline_ms() or not self.counts.targets:
            self._close()
        self.decision = CascadeReport(
            self.operation,
            self.plan.strategy,
            outcome,
            tuple(self._results),
            self.counts,
            self.start_ms,
            at_ms,
            tuple(number for number, each in self._sectors.items() if not each.is_reached),
            columns_of(each.record for each in self._sectors.values()),
        )


def _by_number(sectors: Iterable[CascadeSector]) -> dict[int, CascadeSector]:
    found: dict[int, CascadeSector] = {}
    for each in sectors:
        if each.record.sector in found:
            raise InvalidArgument(f"Sector {each.record.sector} is named twice.")
        found[each.record.sector] = each
    if len({each.record.target_ms for each in found.values()}) > 1:
        raise InvalidArgument("The sectors of a cascade have different T.", hint="Give all of them one.")
    return found


def _judged(stage: Stage, counts: Counts, began_ms: float, ended_ms: float) -> StageResult:
    """Where nobody is to be counted, nothing is short."""
    return StageResult(
        stage.name,
        stage.tier.value,
        counts,
        stage.rate,
        not counts.sent or counts.meets(stage.rate),
        began_ms,
        ended_ms,
        stage.budget_ms,
    )
