"""Prepare and commit, the side that asks: when there is a verdict, which, and what a successor makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.verdict_order import Verdict
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.operation import Heard
from ohmesh.protocols.arrival.prepare import Prepare, PrepareConfig, VerdictReason, VerdictRecord
from ohmesh.protocols.arrival.report import Outcome
from ohmesh.protocols.arrival.target_state import Delivery
from tests.unit.protocols.arrival.operation_events import (
    CONFLICT,
    READY,
    SKIPPED,
    TRANSIT,
    T,
    answers,
    lost,
    record_of,
    released,
    skipped,
)

ROWS = range(100)
START = T - 900


def prepare_of(rows: range = ROWS) -> Prepare:
    prepare = Prepare("op", [record_of(rows, sector=0)], T)
    prepare.take(0, released(*rows, delivery=Delivery.HOLD), START)
    return prepare


def made(prepare: Prepare) -> tuple[Verdict, VerdictReason, float] | None:
    verdict = prepare.verdict
    return None if verdict is None else (verdict.verdict, verdict.reason, verdict.decided_ms - T)


def test_it_commits_as_soon_as_enough_are_prepared_and_tells_nobody_before_it_is_recorded() -> None:
    prepare = prepare_of()
    prepare.take(0, answers(*ROWS[:94], offset_ms=-400), T - 400)
    assert made(prepare) is None
    prepare.take(0, answers(ROWS[94], offset_ms=-300), T - 300)
    assert made(prepare) == (Verdict.COMMIT, VerdictReason.RATE_MET, -300)
    assert prepare.tellable is None
    assert prepare.recorded() is Verdict.COMMIT
    assert prepare.wake_ms is None


def test_it_aborts_when_the_rate_is_out_of_reach() -> None:
    prepare = prepare_of()
    prepare.take(0, answers(*ROWS[:3], state=CONFLICT), T - 500)
    prepare.take(0, lost(*ROWS[3:5]), T - 450)
    assert made(prepare) is None
    prepare.take(0, lost(ROWS[5]), T - 400)
    assert made(prepare) == (Verdict.ABORT, VerdictReason.RATE_OUT_OF_REACH, -400)


def test_it_aborts_at_the_last_moment_for_a_verdict_by_what_was_heard_before() -> None:
    prepare = prepare_of()
    prepare.take(0, answers(*ROWS[:94]), T - 101)
    assert prepare.wake_ms == T - 100
    prepare.take(0, answers(*ROWS[94:]), T - 100)
    assert made(prepare) == (Verdict.ABORT, VerdictReason.OUT_OF_TIME, -100)
    assert prepare.verdict is not None
    assert prepare.verdict.counts.ready == 94
    assert prepare.counts.ready == 100


def test_a_tick_says_the_verdict_once() -> None:
    prepare = prepare_of()
    assert prepare.tick(T - 101) is None
    assert prepare.tick(T - 100) is prepare.verdict is not None
    assert prepare.tick(T - 99) is None


def test_without_anybody_to_ask_it_aborts() -> None:
    empty = Prepare("op", [], T)
    empty.tick(START)
    assert made(empty) == (Verdict.ABORT, VerdictReason.NOBODY, -900)
    all_skipped = Prepare("op", [record_of(ROWS, sector=0)], T)
    all_skipped.take(0, skipped(*ROWS), START)
    assert made(all_skipped) == (Verdict.ABORT, VerdictReason.NOBODY, -900)


def test_by_hand_it_aborts_unless_there_is_a_verdict() -> None:
    prepare = prepare_of()
    assert prepare.abort(T - 600) is prepare.verdict is not None
    assert made(prepare) == (Verdict.ABORT, VerdictReason.BY_HAND, -600)
    committed = prepare_of()
    committed.take(0, answers(*ROWS), T - 500)
    assert committed.abort(T - 400) is None
    assert made(committed) == (Verdict.COMMIT, VerdictReason.RATE_MET, -500)


def test_a_successor_takes_the_verdict_that_was_recorded() -> None:
    found = VerdictRecord("op", Verdict.COMMIT, VerdictReason.RATE_MET, T - 300, Counts(ready=95))
    successor = prepare_of()
    assert successor.resume(found, T + 40) is None
    assert (successor.tellable, successor.verdict) == (Verdict.COMMIT, found)
    assert successor.tick(T + 41) is None


def test_a_successor_without_a_record_aborts_when_the_time_is_over_and_goes_on_before() -> None:
    late = prepare_of()
    verdict = late.resume(None, T - 100)
    assert verdict is not None
    assert made(late) == (Verdict.ABORT, VerdictReason.NO_RECORD, -100)
    early = prepare_of()
    assert early.resume(None, T - 101) is None
    early.take(0, answers(*ROWS), T - 100.5)
    assert made(early) == (Verdict.COMMIT, VerdictReason.RATE_MET, -100.5)


def test_after_a_commit_it_is_gathered_who_acts() -> None:
    prepare = Prepare("op", [record_of(ROWS, sector=0)], T)
    prepare.take(0, skipped(ROWS[0]), START)
    prepare.take(0, released(*ROWS[1:], delivery=Delivery.HOLD), START)
    prepare.take(0, answers(ROWS[1], state=CONFLICT, offset_ms=-400, delivery=Delivery.HOLD), T - 400)
    prepare.take(0, answers(*ROWS[2:], offset_ms=-300, delivery=Delivery.HOLD), T - 300)
    prepare.recorded()
    acting = prepare.acting()
    assert acting.counts == Counts(conflict=1, transit=98, skipped=1, hold=99)
    assert acting.records[0].states.tolist()[:3] == [SKIPPED, CONFLICT, TRANSIT]
    acting.take(0, answers(*ROWS[2:], offset_ms=0.25), T + 3)
    assert acting.decision is not None
    assert acting.decision.outcome is Outcome.SUCCEEDED
    assert acting.records[0].states[2] == READY
    assert acting.records[0].offsets_ms[2] == 0.25
    assert acting.deadline_ms == T + 500


def test_a_sector_that_was_not_asked_is_unknown_and_a_record_of_another_t_is_refused() -> None:
    assert prepare_of().take(3, answers(1, 2), START) == Heard(unknown=2)
    with pytest.raises(InvalidArgument, match="One record for each sector"):
        Prepare("op", [record_of(ROWS, target_ms=T + 1)], T)


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": 1.1}, {"verdict_lead_ms": -1}, {"window_ms": 0}, {"window_ms": float("inf")}],
)
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="do not fit"):
        PrepareConfig(**wrong)
