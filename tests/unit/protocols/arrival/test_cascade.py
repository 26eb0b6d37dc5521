"""Cascades stage by stage: when one ends, who is told what, and what it comes to."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.cascade import CallOff, Cascade, CascadeReport, GoOn
from ohmesh.protocols.arrival.cascade_plan import PARALLEL, PRIORITY_FIRST, WAVE
from ohmesh.protocols.arrival.cascade_sector import CascadeSector
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.report import Outcome
from ohmesh.protocols.arrival.target_state import SkipReason
from tests.unit.protocols.arrival.cascade_fleet import (
    FLEET,
    START,
    cascade_of,
    fold,
    fold_of_classes,
    reach,
    rows_in_sector,
)
from tests.unit.protocols.arrival.operation_events import (
    READY,
    SKIPPED,
    TRANSIT,
    UNREACHABLE,
    lost,
    record_of,
    skipped,
)

ALL = tuple(range(50))


def decided(cascade: Cascade) -> CascadeReport:
    assert cascade.decision is not None
    return cascade.decision


def next_ms(cascade: Cascade) -> float | None:
    return cascade.wake_ms


def stage_ends(cascade: Cascade) -> list[tuple[str, bool, float]]:
    return [(stage.name, stage.is_met, stage.ended_ms - START) for stage in decided(cascade).stages]


def test_a_wave_goes_tier_by_tier_as_soon_as_each_rate_is_met() -> None:
    cascade = cascade_of(WAVE)
    assert cascade.begin() == [GoOn(0, ALL)]
    assert reach(cascade, *ALL[:48], now_ms=START + 20) == []
    assert cascade.reached(48, START + 30) == [GoOn(1, ALL[:49])]  # 49 of 50 are .98
    assert cascade.reached(49, START + 31) == [GoOn(1, (49,))]
    assert reach(cascade, *ALL[:47], now_ms=START + 50, clusters=2) == []  # 94 of 100
    assert cascade.reached(47, START + 51, clusters=1) == [GoOn(2, ALL)]
    for sector in ALL[:47]:
        assert cascade.take(sector, fold(sector), START + 200) == []
    cascade.take(47, fold(47, ready=4), START + 210)  # 380 of 400 are .95
    assert stage_ends(cascade) == [("sectors", True, 30), ("clusters", True, 51), ("agents", True, 210)]
    report = decided(cascade)
    assert report.outcome is Outcome.SUCCEEDED
    assert [(s.elapsed_ms, s.budget_ms) for s in report.stages] == [(30, 60), (21, 40), (159, 220)]
    assert report.counts == Counts(ready=380, transit=4, pending=16, lead=384)
    assert not report.degraded
    assert not report.silent_sectors


def test_without_the_sectors_nothing_goes_on_and_everyone_has_a_state() -> None:
    cascade = cascade_of(WAVE)
    cascade.begin()
    reach(cascade, *ALL[:48], now_ms=START + 100)  # 48 of 50 are .96
    assert cascade.tick(START + 199.9) == []
    assert next_ms(cascade) == START + 200
    assert cascade.tick(START + 200) == [CallOff(ALL)]
    report = decided(cascade)
    assert report.outcome is Outcome.FAILED_AT_SECTOR
    assert stage_ends(cascade) == [("sectors", False, 200)]
    assert report.silent_sectors == (48, 49)
    assert report.counts == Counts(skipped=384, unreachable=16)
    assert len(report.columns.skipped_for(SkipReason.CALLED_OFF)) == 384
    assert next_ms(cascade) is None
    assert cascade.reached(48, START + 300) == [CallOff((48,))]  # what it was told got lost, or was slow


def test_a_wave_whose_clusters_are_short_goes_on_and_is_partial() -> None:
    cascade = cascade_of(WAVE)
    cascade.begin()
    reach(cascade, *ALL, now_ms=START + 10)
    reach(cascade, *ALL[:40], now_ms=START + 20, clusters=2)
    assert (
        cascade.tick(START + 1_009) == []
    )  # the second tier began when the first one ended, at the 49th sector
    assert cascade.tick(START + 1_010) == [GoOn(2, ALL)]
    for sector in ALL:
        cascade.take(sector, fold(sector), START + 1_100)
    assert stage_ends(cascade) == [("sectors", True, 10), ("clusters", False, 1_010), ("agents", True, 1_100)]
    report = decided(cascade)
    assert (report.outcome, report.degraded) == (Outcome.PARTIAL, ("clusters",))


def test_a_wave_whose_agents_are_short_is_partial_at_its_time_and_later_answers_count() -> None:
    cascade = cascade_of(WAVE)
    cascade.begin()
    reach(cascade, *ALL[:49], now_ms=START + 10, clusters=2)
    for sector in ALL[:49]:
        cascade.take(sector, fold(sector, ready=7), START + 100)
    assert cascade.wake_ms == START + 2_010
    cascade.tick(START + 3_000)  # the process stood still: it ended when it should have
    report = decided(cascade)
    assert (report.outcome, report.ended_ms) == (Outcome.PARTIAL, START + 2_010)
    assert report.silent_sectors == (49,)
    assert report.counts == Counts(ready=343, transit=49, unreachable=8, lead=392)
    assert report.columns.rows_in(UNREACHABLE).tolist() == list(rows_in_sector(49))
    cascade.take(0, fold(0), START + 3_001)
    assert (cascade.counts.ready, decided(cascade).counts.ready) == (344, 343)


def test_the_time_of_agents_counts_from_t() -> None:
    cascade = cascade_of(PARALLEL, target_ms=START + 700)
    cascade.begin()
    assert cascade.wake_ms == START + 1_700


def test_any_word_from_a_sector_stands_for_an_acknowledgement_that_got_lost() -> None:
    cascade = cascade_of(WAVE, sectors=1)
    cascade.begin()
    assert cascade.take(0, lost(rows_in_sector(0)[0]), START + 5) == []  # our own conclusion is no word
    assert cascade.take(0, fold(0, asked=5, ready=5), START + 9) == [GoOn(1, (0,)), GoOn(2, (0,))]
    assert cascade.stage == 2


def test_a_sector_that_is_gone_is_not_waited_for() -> None:
    cascade = cascade_of(WAVE)
    cascade.begin()
    reach(cascade, *ALL[:48], now_ms=START + 10)
    cascade.take(48, lost(*rows_in_sector(48)), START + 11)
    told = cascade.take(49, lost(*rows_in_sector(49)), START + 12)
    assert told == [CallOff(ALL)]
    assert decided(cascade).stages[0].counts == Counts(ready=48, unreachable=2)


def test_a_sector_in_which_nobody_is_asked_is_not_counted() -> None:
    cascade = cascade_of(WAVE, sectors=2)
    cascade.begin()
    cascade.take(1, skipped(*rows_in_sector(1)), START)
    cascade.reached(0, START + 10, clusters=9)
    assert cascade.stage == 2
    cascade.take(0, fold(0), START + 90)
    report = decided(cascade)
    assert [stage.counts.ready for stage in report.stages] == [1, 2, 8]
    assert (report.outcome, report.counts.coverage) == (Outcome.SUCCEEDED, 0.5)


def test_parallel_is_short_below_nine_of_ten() -> None:
    for missing, outcome in ((40, Outcome.SUCCEEDED), (41, Outcome.PARTIAL)):
        cascade = cascade_of(PARALLEL)
        assert cascade.begin() == [GoOn(0, ALL)]
        for sector in ALL[:44]:
            cascade.take(sector, fold(sector), START + 300)
        cascade.take(44, fold(44, ready=48 - missing), START + 300)
        cascade.tick(START + 1_000)
        assert decided(cascade).outcome is outcome


def test_priority_first_begins_a_class_when_the_one_before_it_is_met_or_out_of_time() -> None:
    cascade = cascade_of(PRIORITY_FIRST)
    assert cascade.begin() == [GoOn(0, ALL)]
    for sector in ALL[:49]:
        assert cascade.take(sector, fold_of_classes(sector, "D"), START + 5) == []
    assert cascade.take(49, fold_of_classes(49, "D"), START + 10) == [GoOn(1, ALL)]  # .99 of 50 is all
    for sector in ALL[:48]:
        assert cascade.take(sector, fold_of_classes(sector, "C"), START + 20) == []
    assert cascade.tick(START + 1_010) == [GoOn(2, ALL)]  # 48 of 50 are below .98: noted, and on it goes
    for sector in ALL:
        cascade.take(sector, fold_of_classes(sector, "B", "A", "E", "F"), START + 1_100)
    report = decided(cascade)
    assert (report.outcome, report.degraded) == (Outcome.PARTIAL, ("class C",))
    assert [stage.counts.ready for stage in report.stages] == [50, 48, 48, 144, 48, 48]
    assert cascade.wake_ms == START + 2_100  # until then others may still be heard


def test_a_class_of_which_nobody_is_meant_is_no_shortage() -> None:
    cascade = cascade_of(PRIORITY_FIRST, sectors=1)
    cascade.begin()
    cascade.take(0, skipped(rows_in_sector(0)[5]), START)  # a person
    cascade.take(0, fold_of_classes(0, "D", "C", "B", "A", "E"), START + 9)
    report = decided(cascade)
    assert (report.outcome, report.stages[-1].counts) == (Outcome.SUCCEEDED, Counts(skipped=1))


def test_a_stage_that_is_met_when_it_begins_takes_no_time() -> None:
    cascade = cascade_of(PRIORITY_FIRST, sectors=1)
    cascade.begin()
    cascade.take(0, fold_of_classes(0, "C", "B"), START + 9)
    told = cascade.tick(START + 1_500)  # nobody of class D answered; of C and B all have already
    assert told == [GoOn(1, (0,)), GoOn(2, (0,)), GoOn(3, (0,))]
    assert cascade.wake_ms == START + 2_000


def test_a_wave_over_nobody_is_empty_at_once() -> None:
    for cascade in (cascade_of(WAVE, sectors=0), Cascade("op", WAVE, [sector_of(())], START)):
        cascade.begin()
        assert (decided(cascade).outcome, decided(cascade).counts) == (Outcome.EMPTY, Counts())
        assert cascade.wake_ms is None


def test_when_nobody_is_ready_it_failed() -> None:
    cascade = cascade_of(PARALLEL, sectors=1)
    cascade.begin()
    cascade.take(0, fold(0, ready=0), START + 3)
    cascade.tick(START + 1_000)
    assert decided(cascade).outcome is Outcome.FAILED
    assert cascade.records[0].states.tolist() == [TRANSIT] * 8


def test_a_sector_that_comes_late_is_told_to_go_on_while_the_last_stage_runs() -> None:
    cascade = cascade_of(WAVE)
    cascade.begin()
    reach(cascade, *ALL[:49], now_ms=START + 10, clusters=2)
    assert cascade.stage == 2
    assert cascade.reached(49, START + 900) == [GoOn(2, (49,))]
    cascade.tick(START + 2_010)
    assert cascade.reached(7, START + 2_020) == []


def test_a_sector_that_is_not_in_it_is_not_heard() -> None:
    cascade = cascade_of(WAVE, sectors=3)
    cascade.begin()
    assert cascade.reached(17, START + 1) == cascade.take(17, fold(17), START + 1) == []
    assert cascade.stage == 0


def test_after_it_was_called_off_its_agents_are_still_believed() -> None:
    cascade = cascade_of(WAVE, sectors=2)
    cascade.begin()
    cascade.reached(0, START + 10)
    cascade.tick(START + 200)
    assert set(cascade.records[0].states.tolist()) == {SKIPPED}
    cascade.take(0, fold(0, ready=1, asked=1), START + 210)
    assert cascade.records[0].states.tolist() == [READY] + [SKIPPED] * 7
    assert decided(cascade).outcome is Outcome.FAILED_AT_SECTOR


def sector_of(rows: tuple[int, ...], *, sector: int = 0, target_ms: float = START) -> CascadeSector:
    return CascadeSector(record_of(rows, sector=sector, target_ms=target_ms), WAVE, FLEET)


def test_sectors_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="named twice"):
        Cascade("op", WAVE, [sector_of((1,)), sector_of((2,))], START)
    with pytest.raises(InvalidArgument, match="different T"):
        Cascade("op", WAVE, [sector_of((1,)), sector_of((9,), sector=1, target_ms=START + 1)], START)


@pytest.mark.parametrize("stages", [[2], [0, 2], [2, 3]])
def test_stages_that_are_not_of_agents_are_refused(stages: list[int]) -> None:
    record = record_of((1, 2), target_ms=START)
    with pytest.raises(InvalidArgument, match="do not fit the plan"):
        CascadeSector(record, WAVE, FLEET, np.array(stages, np.uint8))
