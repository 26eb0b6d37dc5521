"""Scatter and gather: when it is decided, what is told, and what comes late."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.gather import Gather, GatherConfig
from ohmesh.protocols.arrival.operation import Heard
from ohmesh.protocols.arrival.report import Outcome, arrival_figures, name_rows
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason
from tests.unit.protocols.arrival.operation_events import (
    CONFLICT,
    TRANSIT,
    UNREACHABLE,
    answers,
    lost,
    record_of,
    released,
    rows_of,
    skipped,
)

START = 10_000.0
CONFIG = GatherConfig()
T = CONFIG.target_ms(START)
FIRST, SECOND = range(100), range(300, 400)


def gather_of(*sectors: range, config: GatherConfig = CONFIG) -> Gather:
    records = [
        record_of(rows, sector=number, target_ms=config.target_ms(START))
        for number, rows in enumerate(sectors)
    ]
    return Gather("op", records, START, config)


def ready(*rows: int, offset_ms: float = 0.0) -> Any:
    return answers(*rows, offset_ms=offset_ms, target_ms=T)


def is_decided(gather: Gather) -> bool:
    return gather.decision is not None


def asked(*sectors: range) -> Gather:
    gather = gather_of(*sectors)
    for number, rows in enumerate(sectors):
        gather.take(number, released(*rows), START)
    return gather


def test_t_is_a_window_after_the_start_and_gathering_ends_a_window_after_t() -> None:
    gather = gather_of(FIRST)
    assert (gather.target_ms, gather.deadline_ms, gather.wake_ms) == (
        START + 500,
        START + 1_000,
        START + 1_000,
    )


def test_a_timeout_as_long_as_the_window_ends_it_at_t() -> None:
    gather = gather_of(FIRST, config=GatherConfig(window_ms=700, timeout_ms=700))
    assert gather.deadline_ms == gather.target_ms == START + 700


def test_the_timeout_ends_it_whatever_the_window_is() -> None:
    gather = gather_of(FIRST, config=GatherConfig(window_ms=4_000, timeout_ms=5_000))
    assert (gather.target_ms, gather.deadline_ms) == (START + 4_000, START + 5_000)


def test_it_is_decided_at_the_answer_that_meets_the_rate_and_not_before() -> None:
    gather = asked(FIRST, SECOND)
    gather.take(0, ready(*FIRST), START + 480)
    gather.take(1, ready(*SECOND[:89]), START + 490)
    assert not is_decided(gather)
    gather.take(1, ready(SECOND[89]), START + 495)
    assert gather.decision is not None
    assert gather.decision.outcome is Outcome.SUCCEEDED
    assert (gather.decision.decided_ms, gather.decision.elapsed_ms) == (START + 495, 495)
    assert gather.decision.counts == Counts(ready=190, transit=10, lead=200)
    assert gather.decision.stragglers.tolist() == list(SECOND[90:])


def test_the_first_slice_that_is_ready_to_a_man_is_not_the_rate_of_the_whole() -> None:
    gather = gather_of(FIRST)
    gather.take(0, released(*FIRST[:10]), START)
    gather.take(0, ready(*FIRST[:10]), START + 20)
    assert not is_decided(gather)


def test_it_is_decided_when_everyone_has_answered() -> None:
    gather = asked(FIRST)
    gather.take(0, ready(*FIRST[:60]), START + 100)
    gather.take(0, answers(*FIRST[60:99], state=CONFLICT, target_ms=T), START + 200)
    assert not is_decided(gather)
    gather.take(0, lost(FIRST[99]), START + 300)
    assert gather.decision is not None
    assert gather.decision.outcome is Outcome.PARTIAL
    assert gather.decision.decided_ms == START + 300
    assert gather.decision.counts == Counts(ready=60, conflict=39, unreachable=1, lead=100)
    assert gather.decision.counts.response_rate == 0.99


def test_at_the_deadline_the_silent_are_transit_and_named() -> None:
    gather = asked(FIRST)
    gather.take(0, ready(*FIRST[:90]), START + 999.9)
    assert gather.tick(START + 999.9) is None
    report = gather.tick(START + 1_000)
    assert report is not None
    assert report is gather.decision
    assert (report.outcome, report.decided_ms) == (Outcome.PARTIAL, START + 1_000)
    assert name_rows(report.stragglers, Topology(), limit=3) == [
        "s000.c03.a00",
        "s000.c03.a01",
        "s000.c03.a02",
    ]
    assert gather.tick(START + 1_001) is None
    assert gather.wake_ms is None


def test_skipped_ones_are_out_of_the_rate_and_in_the_coverage_with_their_times() -> None:
    gather = gather_of(FIRST)
    gather.take(0, skipped(*FIRST[:7], needed_ms=60_000, available_ms=500), START)
    gather.take(0, released(*FIRST[7:], delivery=Delivery.HOLD), START)
    gather.take(0, ready(*FIRST[7:]), START + 500)
    report = gather.decision
    assert report is not None
    assert report.outcome is Outcome.SUCCEEDED
    assert (report.counts.rate, report.counts.coverage, report.counts.hold) == (1.0, 0.93, 93)
    assert report.columns.skipped_for(SkipReason.INSUFFICIENT_LEAD_TIME).tolist() == list(FIRST[:7])
    assert (report.columns.needed_ms[0], report.columns.available_ms[0]) == (60_000, 500)


def test_a_sector_that_nobody_could_ask_counts_against_the_rate() -> None:
    gather = asked(FIRST)
    gather = gather_of(FIRST, SECOND)
    gather.take(0, released(*FIRST), START)
    gather.take(0, ready(*FIRST), START + 500)
    report = gather.tick(START + 1_000)
    assert report is not None
    assert (report.outcome, report.counts.rate) == (Outcome.PARTIAL, 0.5)
    assert report.columns.rows_in(UNREACHABLE).tolist() == list(SECOND)


def test_zero_targets_are_an_answer() -> None:
    for gather in (gather_of(), gather_of(range(0))):
        report = gather.tick(START)
        assert report is not None
        assert (report.outcome, report.counts, report.elapsed_ms) == (Outcome.EMPTY, Counts(), 0)
        assert report.stragglers.tolist() == []


def test_when_all_are_skipped_it_failed_at_once() -> None:
    gather = gather_of(FIRST)
    gather.take(0, skipped(*FIRST), START + 1)
    assert gather.decision is not None
    assert (gather.decision.outcome, gather.decision.counts.coverage) == (Outcome.FAILED, 0)
    assert gather.decision.decided_ms == START + 1


def test_what_comes_late_changes_the_record_and_never_the_decision() -> None:
    gather = asked(FIRST)
    gather.take(0, ready(*FIRST[:50]), START + 100)
    assert gather.take(0, ready(*FIRST[50:], offset_ms=499), START + 1_000) == Heard(grown=50)
    decision = gather.decision
    assert decision is not None
    assert (decision.outcome, decision.counts.ready, decision.counts.transit) == (Outcome.PARTIAL, 50, 50)
    assert decision.columns.rows_in(TRANSIT).tolist() == list(FIRST[50:])
    assert gather.counts.ready == 100
    assert gather.report().outcome is Outcome.SUCCEEDED
    assert gather.decision is decision
    assert arrival_figures(list(gather.records.values()), 500).hit_rate == 1


def test_after_an_early_decision_the_others_are_still_heard_and_closed_at_the_deadline() -> None:
    gather = gather_of(FIRST)
    gather.take(0, released(*FIRST[:98]), START)
    gather.take(0, ready(*FIRST[:95]), START + 500)
    assert gather.decision is not None
    assert (gather.decision.counts.transit, gather.decision.counts.pending) == (3, 2)
    gather.take(0, released(FIRST[98]), START + 501)
    assert gather.tick(START + 1_000) is None
    assert gather.counts == Counts(ready=95, transit=4, unreachable=1, lead=99)


def test_a_folded_record_of_a_sector_counts_as_its_answers() -> None:
    gather = asked(FIRST)
    fold = record_of(FIRST, sector=0, target_ms=T)
    fold.take(ready(*FIRST))
    gather.take(0, fold, START + 510)
    assert gather.decision is not None
    assert gather.decision.counts.ready == 100


def test_an_operation_that_has_to_wait_is_gathered_for_longer_and_never_past_the_timeout() -> None:
    gather = asked(FIRST)
    gather.take(0, ready(*FIRST[:80]), START + 500)
    with pytest.raises(InvalidArgument, match="longer"):
        gather.extend(500, START + 600)
    gather.tick(START + 1_000)
    longer = gather.extend(500, START + 1_000)
    assert longer.wake_ms == START + 1_500
    longer.take(0, ready(*FIRST[80:95], offset_ms=700), START + 1_200)
    assert longer.decision is not None
    assert (longer.decision.outcome, longer.decision.elapsed_ms) == (Outcome.SUCCEEDED, 1_200)
    assert gather.decision is not None
    assert gather.decision.outcome is Outcome.PARTIAL
    assert gather.extend(9_000, START + 1_300).wake_ms == START + 5_000
    for extra_ms, now_ms in ((500, START + 5_000), (0, START + 1_300)):
        with pytest.raises(InvalidArgument, match="longer"):
            gather.extend(extra_ms, now_ms)


def test_of_thirty_thousand_with_late_and_dead_ones_each_has_a_true_state() -> None:
    """Two in a hundred answer late, one in two hundred is dead, and sectors fold twice."""
    fleet = Topology()
    gather = gather_of(*(fleet_rows(fleet, sector) for sector in range(fleet.sectors)))
    late, dead = set(range(7, fleet.size, 50)), set(range(0, fleet.size, 200))
    for sector in range(fleet.sectors):
        rows = fleet_rows(fleet, sector)
        fold = record_of(rows, sector=sector, target_ms=T)
        fold.take(released(*rows))
        fold.take(lost(*(row for row in rows if row in dead)))
        fold.take(ready(*(row for row in rows if row not in late | dead)))
        gather.take(sector, fold, START + 510)
        gather.take(sector, fold, START + 515)
    decision = gather.decision
    assert decision is not None
    assert decision.outcome is Outcome.SUCCEEDED
    assert decision.counts.targets == fleet.size
    gather.tick(START + 1_000)
    for sector in range(fleet.sectors):
        rows = fleet_rows(fleet, sector)
        gather.take(sector, ready(*(row for row in rows if row in late), offset_ms=900), START + 1_500)
    assert gather.counts == Counts(ready=29_850, unreachable=150, lead=30_000)
    assert gather.decision is decision


def fleet_rows(fleet: Topology, sector: int) -> range:
    rows = fleet.rows_of_sector(sector)
    return range(rows.start, rows.stop)


def test_a_sector_that_was_not_asked_is_unknown() -> None:
    assert asked(FIRST).take(7, ready(1, 2, 3), START) == Heard(unknown=3)


def test_a_record_with_another_t_and_a_second_one_of_a_sector_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="One record for each sector"):
        Gather("op", [record_of(FIRST, target_ms=T + 1)], START)
    with pytest.raises(InvalidArgument, match="One record for each sector"):
        Gather("op", [record_of(FIRST, target_ms=T), record_of(SECOND, target_ms=T)], START)


@pytest.mark.parametrize(
    "wrong",
    [{"window_ms": 0}, {"window_ms": 5_001}, {"timeout_ms": float("inf")}, {"rate": 0}, {"rate": 1.01}],
)
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        GatherConfig(**wrong)


def test_figures_of_arrival_are_those_of_who_was_ready_at_a_known_time() -> None:
    record = record_of(range(20), target_ms=T)
    record.take(skipped(18, 19))
    record.take(answers(16, state=CONFLICT, target_ms=T))
    record.take(ready(15, offset_ms=float("nan")))
    record.take(released(17))
    for row, offset_ms in enumerate([-51, -50, -20, -5, 0, 1, 2, 3, 4, 5, 6, 7, 50, 500, 501]):
        record.take(ready(row, offset_ms=offset_ms))
    figures = arrival_figures([record], 500)
    assert figures.timed == 15
    assert figures.hit_rate == 14 / 18
    assert figures.close_rate == 12 / 15
    assert (figures.p05_ms, figures.p50_ms, figures.p95_ms, figures.p99_ms) == (-51, 3, 501, 501)
    assert figures.last_ms == 501
    record.take(released(0, delivery=Delivery.HOLD))
    assert arrival_figures([record], 500, delivery=Delivery.HOLD).p95_ms == -51


@pytest.mark.parametrize("rows", [range(0), range(3)])
def test_figures_of_nobody_are_none(rows: range) -> None:
    figures = arrival_figures([record_of(rows)], 500)
    assert (figures.timed, figures.hit_rate, figures.p95_ms) == (0, 0, None)
    assert arrival_figures([], 500).close_rate is None


def test_rows_are_named_up_to_a_limit() -> None:
    assert len(name_rows(rows_of(*range(40)), Topology(), limit=5)) == 5
