"""Whatever is done and heard in whatever order, an operation is decided once, in time, by what came before."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ohmesh.protocols.arrival.gather import Gather, GatherConfig
from ohmesh.protocols.arrival.operation import Event, SectorRecord
from ohmesh.protocols.arrival.report import OperationReport, judge
from tests.unit.protocols.arrival.operation_events import EVENTS, ROWS, TARGETS, T, picture, record_of

CONFIG = GatherConfig(window_ms=100, timeout_ms=150, rate=0.8)
START = T - 100
DEADLINE = START + 150
SECTORS = (0, 1)


class GatherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.gather = Gather("op", [self.fresh(sector) for sector in SECTORS], START, CONFIG)
        self.twin = {sector: self.fresh(sector) for sector in SECTORS}  # everything that happened
        self.before: dict[int, SectorRecord] | None = None  # the twin as it was when it was decided
        self.now_ms = START
        self.first: OperationReport | None = None

    def fresh(self, sector: int) -> SectorRecord:
        return record_of(ROWS, sector=sector)

    def copies(self) -> dict[int, SectorRecord]:
        copies = {sector: self.fresh(sector) for sector in SECTORS}
        for sector, copy in copies.items():
            copy.take(self.twin[sector])
        return copies

    @rule(step_ms=st.sampled_from([0.0, 1.0, 10.0, 40.0, 90.0]))
    def tick(self, step_ms: float) -> None:
        self.now_ms += step_ms
        self._past_the_deadline()
        was_decided = self.gather.decision is not None
        report = self.gather.tick(self.now_ms)
        assert (report is not None) == (not was_decided and self.gather.decision is not None)

    @rule(sector=st.sampled_from(SECTORS), event=EVENTS)
    def happen(self, sector: int, event: Event) -> None:
        self._past_the_deadline()
        self.twin[sector].take(event)
        self.gather.take(sector, event, self.now_ms)

    @rule(sector=st.sampled_from(SECTORS), history=st.lists(EVENTS, max_size=3))
    def fold(self, sector: int, history: list[Event]) -> None:
        part = self.fresh(sector)
        for event in history:
            part.take(event)
        self.happen(sector, part)

    def _past_the_deadline(self) -> None:
        if self.now_ms >= DEADLINE and self.gather.is_closed is False:
            if self.gather.decision is None:
                self.before = self.copies()
                for record in self.before.values():
                    record.close()
            for record in self.twin.values():
                record.close()

    @invariant()
    def states_sum_to_the_targets(self) -> None:
        counts = self.gather.counts
        assert counts.targets == TARGETS * len(SECTORS)
        assert counts == sum((record.counts() for record in self.gather.records.values()), type(counts)())
        for sector, record in self.gather.records.items():
            assert picture(record) == picture(self.twin[sector])

    @invariant()
    def it_is_decided_once_in_time_and_by_what_came_before(self) -> None:
        decision = self.gather.decision
        if self.first is not None:
            assert decision is self.first
            return
        if decision is None:
            assert self.now_ms < DEADLINE or not self.gather.is_closed
            counts = self.gather.counts
            assert not counts.meets(CONFIG.rate)
            assert not counts.is_settled or self.now_ms == START
            return
        self.first = decision
        known = self.before or self.copies()
        assert decision.decided_ms <= DEADLINE
        assert decision.decided_ms <= self.now_ms
        assert decision.counts == sum((record.counts() for record in known.values()), type(decision.counts)())
        assert decision.outcome is judge(decision.counts, CONFIG.rate)
        is_early = decision.decided_ms < DEADLINE
        assert not is_early or decision.counts.meets(CONFIG.rate) or decision.counts.is_settled
        assert is_early or not decision.counts.pending

    def teardown(self) -> None:
        self.gather.tick(DEADLINE)
        assert self.gather.decision is not None
        assert not self.gather.counts.pending
        assert self.gather.wake_ms is None


TestGatherMachine = GatherMachine.TestCase
TestGatherMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
