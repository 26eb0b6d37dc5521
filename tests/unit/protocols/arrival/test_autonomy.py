"""A sector without its orchestrator: what goes on, what is kept, what is handed over when it returns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ohmesh.errors import Backpressure, Fenced, InvalidArgument
from ohmesh.protocols.arrival.autonomy import Attachment, AutonomyConfig, SectorAutonomy
from ohmesh.protocols.arrival.operation import Event, Heard, SectorRecord
from ohmesh.protocols.arrival.operation_wire import decode_record, encode_record
from tests.unit.protocols.arrival.operation_events import (
    EVENTS,
    READY,
    ROWS,
    TRANSIT,
    UNREACHABLE,
    T,
    answers,
    picture,
    record_of,
    released,
)

END = T + 500


def sector_of(**config: int) -> SectorAutonomy:
    sector = SectorAutonomy(1, 0, AutonomyConfig(**config))
    sector.heard(3, 0)
    return sector


def handed(sector: SectorAutonomy) -> list[tuple[str, int]]:
    return [(kept.operation, kept.version) for kept in sector.hand_over()]


def test_it_is_alone_after_ten_seconds_of_silence_and_says_so_once() -> None:
    sector = sector_of()
    assert not sector.tick(9_999, T)
    assert sector.tick(10_000, T)
    assert not sector.tick(10_001, T)
    assert sector.attachment is Attachment.ALONE
    assert sector.heard(3, 12_000)
    assert not sector.heard(3, 12_001)
    assert not sector.tick(21_999, T)


def test_what_was_ordered_goes_on_alone_and_is_handed_over_with_true_states() -> None:
    sector = sector_of()
    assert sector.begin("op", record_of(), END, term=3)
    assert handed(sector) == [("op", 1)]
    sector.tick(10_000, T - 50)
    sector.take("op", released(*ROWS[:3]))
    sector.take("op", answers(*ROWS[:2]))
    sector.tick(10_600, END)
    assert handed(sector) == []  # there is nobody to hand it to
    assert sector.heard(4, 20_000)
    (kept,) = sector.hand_over()
    assert kept.record.states.tolist() == [READY] * 2 + [TRANSIT] + [UNREACHABLE] * 3
    assert (kept.is_over, kept.is_local) == (True, False)
    sector.acknowledged([("op", kept.version)])
    assert len(sector) == 0


def test_alone_it_may_begin_operations_of_its_own() -> None:
    sector = sector_of()
    sector.tick(10_000, T)
    assert sector.begin("local", record_of(), END)
    sector.heard(3, 11_000)
    assert [kept.is_local for kept in sector.hand_over()] == [True]


def test_an_order_is_known_by_its_name() -> None:
    sector = sector_of()
    assert sector.begin("op", record_of(), END, term=3)
    assert not sector.begin("op", record_of(), END, term=4)
    assert sector.take("other", answers(*ROWS)) == Heard(unknown=6)


def test_who_has_been_replaced_is_refused() -> None:
    sector = sector_of()
    with pytest.raises(Fenced, match="term 2"):
        sector.heard(2, 5)
    with pytest.raises(Fenced, match="term 2"):
        sector.begin("op", record_of(), END, term=2)
    with pytest.raises(InvalidArgument, match="sector 7"):
        sector.begin("op", record_of(sector=7), END, term=3)


def test_a_successor_is_told_what_its_predecessor_was() -> None:
    sector = sector_of()
    sector.begin("op", record_of(), END, term=3)
    assert handed(sector) == [("op", 1)]
    assert handed(sector) == []
    assert sector.heard(4, 5)
    assert handed(sector) == [("op", 1)]


def test_a_hand_over_that_got_lost_is_repeated_and_what_changed_since_is_kept() -> None:
    sector = sector_of()
    sector.begin("op", record_of(), END, term=3)
    sector.tick(1, END)
    ((_, version),) = handed(sector)
    sector.repeat()
    assert handed(sector) == [("op", version)]
    sector.take("op", answers(ROWS[0]))  # late
    sector.acknowledged([("op", version), ("never", 1)])
    assert handed(sector) == [("op", version + 1)]
    sector.acknowledged([("op", version + 1)])
    assert len(sector) == 0


def test_what_is_under_way_is_not_dropped_by_an_acknowledgement() -> None:
    sector = sector_of()
    sector.begin("op", record_of(), END, term=3)
    sector.acknowledged(handed(sector))
    assert len(sector) == 1


def test_what_is_kept_is_bounded_and_what_went_unheard_is_counted() -> None:
    sector = sector_of(operations=2)
    sector.begin("a", record_of(), END, term=3)
    sector.begin("b", record_of(), END + 900, term=3)
    with pytest.raises(Backpressure):
        sector.begin("c", record_of(), END, term=3)
    sector.tick(1, END)
    sector.begin("c", record_of(), END, term=3)
    assert [operation for operation, _ in handed(sector)] == ["b", "c"]
    assert sector.unheard == 1


@pytest.mark.parametrize("wrong", [{"silence_ms": 0}, {"operations": 0}])
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="AutonomyConfig"):
        AutonomyConfig(**wrong)


class AutonomyMachine(RuleBasedStateMachine):
    """An orchestrator that comes and goes, and a link that loses what is handed over and what is acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.sector = SectorAutonomy(1, 0, AutonomyConfig(silence_ms=100))
        self.now_ms, self.term = 0, 1
        self.truth: dict[str, SectorRecord] = {}
        self.stored: dict[str, SectorRecord] = {}  # by orchestrators, durably

    @rule(step_ms=st.sampled_from([1, 50, 200]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.sector.tick(self.now_ms, T + self.now_ms)
        for name, record in self.truth.items():
            if T + self.now_ms >= END + 100 * int(name):
                record.close()

    @rule(is_local=st.booleans())
    def begin(self, is_local: bool) -> None:
        name = str(len(self.truth))
        if T + self.now_ms < END + 100 * int(name):
            self.truth[name] = record_of()
            self.sector.begin(name, record_of(), END + 100 * int(name), term=None if is_local else self.term)

    @rule(data=st.data(), event=EVENTS)
    def happen(self, data: st.DataObject, event: Event) -> None:
        if self.truth:
            name = data.draw(st.sampled_from(sorted(self.truth)))
            if self.sector.take(name, event) != Heard(0, len(event.rows)) or len(event.rows) == 0:
                self.truth[name].take(event)

    @rule(is_new=st.booleans(), arrives=st.booleans(), is_heard=st.booleans())
    def speak(self, is_new: bool, arrives: bool, is_heard: bool) -> None:
        self.term += is_new
        self.sector.heard(self.term, self.now_ms)
        news = [
            (kept.operation, kept.version, encode_record(kept.record)) for kept in self.sector.hand_over()
        ]
        if arrives:
            for name, _, data in news:
                self.stored.setdefault(name, record_of()).take(decode_record(data))
            if is_heard:
                self.sector.acknowledged([(name, version) for name, version, _ in news])
        else:
            self.sector.repeat()

    def teardown(self) -> None:
        """Once the orchestrator is back for good, it has the truth of everything."""
        self.wait(10_000)
        self.sector.repeat()
        self.speak(True, True, True)
        assert len(self.sector) == 0
        assert {name: picture(record) for name, record in self.stored.items()} == {
            name: picture(record) for name, record in self.truth.items()
        }


TestAutonomyMachine = AutonomyMachine.TestCase
TestAutonomyMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
