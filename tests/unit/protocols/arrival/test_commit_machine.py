"""Prepare and commit as a whole: two hosts, a network that loses and delays, coordinators that die and are replaced."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ohmesh.model.verdict_order import Verdict
from ohmesh.protocols.arrival.holding import DROPPED, REFUSED, Holding, HoldingConfig, HoldingStep
from ohmesh.protocols.arrival.operation import Answers
from ohmesh.protocols.arrival.prepare import Prepare, PrepareConfig, VerdictRecord
from ohmesh.protocols.arrival.target_state import Delivery
from tests.unit.protocols.arrival.operation_events import CONFLICT, T, answers, record_of, released, rows_of

HOSTS = (range(5), range(5, 10))
EVERYBODY = range(10)
CONFIG = PrepareConfig(rate=0.7, verdict_lead_ms=100, window_ms=200)
HOLDING = HoldingConfig(is_conditional=True, window_ms=200)
PLACES = st.integers(0, 9)


class CommitMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T - 500
        self.coordinators = [self.fresh()]  # each believes that it is the one
        self.hosts = [Holding(rows_of(*rows), T, HOLDING) for rows in HOSTS]
        self.store: VerdictRecord | None = None  # what survives a coordinator
        self.answers: list[Answers] = []  # on their way up
        self.told: list[Verdict] = []  # on its way down, by anybody who ever was coordinator
        self.ready: set[int] = set()
        self.acted: dict[int, float] = {}

    def fresh(self) -> Prepare:
        prepare = Prepare("op", [record_of(EVERYBODY, sector=0)], T, CONFIG)
        prepare.take(0, released(*EVERYBODY, delivery=Delivery.HOLD), self.now_ms)
        return prepare

    def follow(self, step: HoldingStep) -> None:
        for row in step.act.tolist():
            assert row not in self.acted, "nobody acts twice"
            assert row in self.ready, "nobody acts unprepared"
            assert self.store is not None
            assert self.store.verdict is Verdict.COMMIT, "nobody acts without a recorded COMMIT"
            assert T <= self.now_ms < T + HOLDING.window_ms
            self.acted[row] = self.now_ms
        assert not set(step.drop.tolist()) & set(self.acted)

    @rule(step_ms=st.sampled_from([1.0, 10.0, 60.0, 150.0]))
    def pass_time(self, step_ms: float) -> None:
        self.now_ms += step_ms
        for coordinator in self.coordinators:
            coordinator.tick(self.now_ms)
        for host in self.hosts:
            self.follow(host.tick(self.now_ms))

    @rule(rows=st.lists(PLACES, min_size=1, max_size=6, unique=True))
    def finish(self, rows: list[int]) -> None:
        for host in self.hosts:
            waiting = [row for row in rows if row in host.rows and row not in self.refused()]
            self.ready |= set(waiting)
            self.follow(host.prepared(rows_of(*waiting), self.now_ms))
            self.answers.append(answers(*waiting, offset_ms=self.now_ms - T, delivery=Delivery.HOLD))

    @rule(row=PLACES)
    def refuse(self, row: int) -> None:
        if row not in self.ready:
            for host in self.hosts:
                host.refused(rows_of(row))
            self.answers.append(answers(row, state=CONFLICT, delivery=Delivery.HOLD))

    def refused(self) -> set[int]:
        return {row for host in self.hosts for row in host.rows[host.state == REFUSED].tolist()}

    @rule(data=st.data())
    def deliver_an_answer(self, data: st.DataObject) -> None:
        if self.answers:
            coordinator = data.draw(st.sampled_from(self.coordinators))
            coordinator.take(0, data.draw(st.sampled_from(self.answers)), self.now_ms)

    @rule(data=st.data())
    def record_the_verdict(self, data: st.DataObject) -> None:
        """The write fails where another stands already; who is told so takes that."""
        coordinator = data.draw(st.sampled_from(self.coordinators))
        if coordinator.verdict is None or coordinator.is_recorded:
            return
        if self.store is None:
            self.store = coordinator.verdict
            self.told.append(coordinator.recorded())
        else:
            assert coordinator.resume(self.store, self.now_ms) is None
            assert coordinator.tellable is not None
            self.told.append(coordinator.tellable)

    @rule(data=st.data())
    def tell_a_host(self, data: st.DataObject) -> None:
        if self.told:
            host = data.draw(st.sampled_from(self.hosts))
            self.follow(host.hear(data.draw(st.sampled_from(self.told)), self.now_ms))

    @rule(is_dead=st.booleans())
    def replace_the_coordinator(self, is_dead: bool) -> None:
        """The old one may be dead, or only cut off; what was recorded is found."""
        if is_dead:
            self.coordinators.clear()
        self.coordinators = [*self.coordinators[-1:], self.fresh()]
        self.coordinators[-1].resume(self.store, self.now_ms)

    @invariant()
    def there_is_one_verdict_and_it_was_earned(self) -> None:
        assert len(set(self.told)) <= 1
        assert not any(host.is_contradicted for host in self.hosts)
        for coordinator in self.coordinators:
            verdict = coordinator.verdict
            if coordinator.is_recorded:
                assert verdict == self.store
            if verdict is not None and verdict.verdict is Verdict.COMMIT:
                assert verdict.counts.meets(CONFIG.rate)
                assert verdict.decided_ms < T - CONFIG.verdict_lead_ms

    @invariant()
    def after_the_window_nobody_waits(self) -> None:
        for host in self.hosts:
            assert self.now_ms < T + HOLDING.window_ms or host.is_over
            for row in host.rows[host.state == DROPPED].tolist():
                assert row not in self.acted

    def teardown(self) -> None:
        self.now_ms = max(self.now_ms, T + HOLDING.window_ms)
        for coordinator in self.coordinators:
            coordinator.tick(self.now_ms)
            assert coordinator.verdict is not None
        for host in self.hosts:
            self.follow(host.tick(self.now_ms))
            assert host.wake_ms is None


TestCommitMachine = CommitMachine.TestCase
TestCommitMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
