"""Whatever sectors say: stages are judged in order, once, in time, and the states sum to the targets."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ohmesh.protocols.arrival.cascade import CallOff, CascadeReport, GoOn, Instruction, StageResult
from ohmesh.protocols.arrival.cascade_plan import PARALLEL, PRIORITY_FIRST, WAVE, CascadePlan, Tier
from ohmesh.protocols.arrival.counts import sum_counts
from ohmesh.protocols.arrival.report import Outcome
from tests.unit.protocols.arrival.cascade_fleet import START, cascade_of, fold, rows_in_sector
from tests.unit.protocols.arrival.operation_events import lost, skipped

SECTORS = 4
LONGEST_MS = {WAVE: 3_200.0, PARALLEL: 1_000.0, PRIORITY_FIRST: 6_000.0}
NUMBERS = st.integers(0, SECTORS - 1)


class CascadeMachine(RuleBasedStateMachine):
    @initialize(
        plan=st.sampled_from([WAVE, PARALLEL, PRIORITY_FIRST]), later_ms=st.sampled_from([0.0, 400.0])
    )
    def begin(self, plan: CascadePlan, later_ms: float) -> None:
        self.plan, self.target_ms = plan, START + later_ms
        self.cascade = cascade_of(plan, sectors=SECTORS, target_ms=self.target_ms)
        self.now_ms = START
        self.judged: tuple[StageResult, ...] = ()
        self.decision: CascadeReport | None = None
        self.furthest = -1
        self.told(self.cascade.begin())

    def told(self, instructions: list[Instruction]) -> None:
        for each in instructions:
            if isinstance(each, CallOff):
                assert self.cascade.decision is not None
                assert self.cascade.decision.outcome is Outcome.FAILED_AT_SECTOR
                continue
            assert each.sectors
            assert each.stage <= self.furthest + 1, "no stage is left out"
            self.furthest = max(self.furthest, each.stage)

    @rule(step_ms=st.sampled_from([0.0, 5.0, 60.0, 199.0, 1_000.0, 2_500.0]))
    def tick(self, step_ms: float) -> None:
        self.now_ms += step_ms
        self.told(self.cascade.tick(self.now_ms))
        assert self.cascade.wake_ms is None or self.cascade.wake_ms > self.now_ms

    @rule(sector=NUMBERS, clusters=st.integers(0, 3))
    def reach(self, sector: int, clusters: int) -> None:
        self.told(self.cascade.reached(sector, self.now_ms, clusters=clusters))

    @rule(sector=NUMBERS, ready=st.integers(0, 8), asked=st.integers(0, 8))
    def answer(self, sector: int, ready: int, asked: int) -> None:
        part = fold(sector, ready=ready, asked=asked, target_ms=self.target_ms)
        self.told(self.cascade.take(sector, part, self.now_ms))

    @rule(sector=NUMBERS, count=st.integers(1, 8), is_gone=st.booleans())
    def leave_out(self, sector: int, count: int, is_gone: bool) -> None:
        rows = rows_in_sector(sector)[-count:]
        event = lost(*rows) if is_gone else skipped(*rows)
        self.told(self.cascade.take(sector, event, self.now_ms))

    @invariant()
    def states_sum_to_the_targets(self) -> None:
        counts = self.cascade.counts
        assert counts.targets == 8 * SECTORS
        assert counts == sum_counts(record.counts() for record in self.cascade.records.values())

    @invariant()
    def a_stage_that_could_end_is_not_waited_for(self) -> None:
        if self.cascade.decision is None:
            stage = self.plan.stages[self.cascade.stage]
            if stage.tier is Tier.AGENTS and sum(s.tier is Tier.AGENTS for s in self.plan.stages) == 1:
                counts = self.cascade.counts
                assert not counts.is_settled
                assert not counts.meets(stage.rate)

    @invariant()
    def stages_are_judged_in_order_once_and_in_time(self) -> None:
        if self.decision is not None:
            assert self.cascade.decision is self.decision
            return
        self.decision = self.cascade.decision
        if self.decision is None:
            return
        stages = self.decision.stages
        assert [stage.name for stage in stages] == [stage.name for stage in self.plan.stages[: len(stages)]]
        assert self.decision.counts.targets == 8 * SECTORS
        began_ms = START
        for planned, stage in zip(self.plan.stages, stages, strict=False):
            assert stage.began_ms == began_ms
            starts_ms = max(began_ms, self.target_ms) if planned.tier is Tier.AGENTS else began_ms
            assert began_ms <= stage.ended_ms <= starts_ms + planned.timeout_ms
            assert stage.is_met == (not stage.counts.sent or stage.counts.meets(planned.rate))
            is_early = stage.ended_ms < starts_ms + planned.timeout_ms
            assert not is_early or stage.is_met or stage.counts.is_settled
            began_ms = stage.ended_ms
        if self.decision.outcome is Outcome.SUCCEEDED:
            assert all(stage.is_met for stage in stages)
            assert len(stages) == len(self.plan.stages)

    def teardown(self) -> None:
        if hasattr(self, "cascade"):
            self.cascade.tick(self.target_ms + LONGEST_MS[self.plan])
            assert self.cascade.decision is not None
            assert self.cascade.wake_ms is None
            assert not self.cascade.counts.pending


TestCascadeMachine = CascadeMachine.TestCase
TestCascadeMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_an_instruction_is_a_value() -> None:
    assert GoOn(1, (2,)) == GoOn(1, (2,)) != GoOn(1, (3,))
