"""The record of an operation: what each event makes of a target, and that order, repetition and sharing are nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import TargetState
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.operation import Event, Heard, SectorRecord, skipped_for
from ohmesh.protocols.arrival.target_state import PENDING, Delivery, SkipReason
from tests.unit.protocols.arrival.operation_events import (
    CONFLICT,
    EVENTS,
    READY,
    ROWS,
    SKIPPED,
    TARGETS,
    TRANSIT,
    UNREACHABLE,
    T,
    answers,
    lost,
    picture,
    record_of,
    released,
    rows_of,
    skipped,
)

ROW = ROWS[2]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], PENDING),
        ([released(ROW)], TRANSIT),
        ([skipped(ROW)], SKIPPED),
        ([lost(ROW)], UNREACHABLE),
        ([released(ROW), lost(ROW)], UNREACHABLE),
        ([released(ROW), answers(ROW)], READY),
        ([released(ROW), answers(ROW, state=CONFLICT)], CONFLICT),
        ([released(ROW), answers(ROW, state=TRANSIT)], TRANSIT),
        ([answers(ROW)], READY),  # whoever answers was asked
        ([skipped(ROW), lost(ROW)], SKIPPED),
        ([skipped(ROW), released(ROW)], TRANSIT),  # skipped by one holder, asked by the one before it
        ([lost(ROW), released(ROW)], TRANSIT),  # there was no way, and then there was
        ([released(ROW), lost(ROW), released(ROW)], UNREACHABLE),
        ([released(ROW), lost(ROW), answers(ROW)], READY),
        ([answers(ROW), lost(ROW)], READY),
        ([answers(ROW), answers(ROW, state=CONFLICT)], READY),
        ([answers(ROW, state=CONFLICT), answers(ROW)], READY),
    ],
)
def test_what_is_known_of_a_target(events: list[Event], state: int) -> None:
    record = record_of()
    for event in events:
        record.take(event)
    assert record.states.tolist() == [state if row == ROW else PENDING for row in ROWS]


def test_an_answer_that_is_repeated_changes_nothing() -> None:
    record = record_of()
    assert record.take(answers(ROW, offset_ms=5)) == Heard(grown=1)
    before = picture(record)
    assert record.take(answers(ROW, offset_ms=5)) == Heard()
    assert record.take(answers(ROW, ROW, offset_ms=9)) == Heard()
    assert picture(record) == before


def test_the_earliest_ready_time_stands() -> None:
    record = record_of()
    for offset_ms in (7.0, 3.0, 5.0):
        record.take(answers(ROW, offset_ms=offset_ms))
    record.take(answers(ROW, offset_ms=float("nan")))
    assert record.offsets_ms[2] == 3.0


def test_the_time_of_a_conflict_is_not_that_of_the_ready_that_replaces_it() -> None:
    record = record_of()
    record.take(answers(ROW, state=CONFLICT, offset_ms=-50))
    assert record.offsets_ms[2] == -50
    record.take(answers(ROW, offset_ms=20))
    assert record.offsets_ms[2] == 20
    record.take(answers(ROW, state=CONFLICT, offset_ms=-80))
    assert record.offsets_ms[2] == 20


@pytest.mark.parametrize("first", [READY, CONFLICT])
def test_who_says_ready_and_conflict_is_ready_and_contradicted(first: TargetState) -> None:
    record = record_of()
    record.take(answers(ROW, ROWS[0], state=first))
    assert not record.contradicted.any()
    record.take(answers(ROW, state=CONFLICT if first is READY else READY))
    assert record.states[2] == READY
    assert record.contradicted.tolist() == [row == ROW for row in ROWS]
    assert record.counts().contradicted == 1


def test_both_words_in_one_batch_are_a_contradiction_too() -> None:
    record = record_of()
    batch = answers(ROW, ROW)
    batch.states[:] = [READY, CONFLICT]
    record.take(batch)
    assert (record.states[2], record.contradicted[2]) == (READY, True)


def test_who_is_no_target_changes_nothing_and_is_counted() -> None:
    record = record_of()
    assert record.take(answers(7, ROW, 9_999)) == Heard(grown=1, unknown=2)
    assert record.take(released(7)) == Heard(unknown=1)
    assert record.take(skipped(7, ROWS[0])) == Heard(grown=1, unknown=1)
    assert record.counts() == Counts(ready=1, skipped=1, pending=TARGETS - 2, lead=1)


def test_a_record_without_targets_takes_anything() -> None:
    record = record_of(())
    assert record.take(answers(1, 2)) == Heard(unknown=2)
    assert record.take(record_of()) == Heard(unknown=TARGETS)
    assert record.counts() == Counts()


def test_it_keeps_how_each_was_asked_and_why_not() -> None:
    record = record_of()
    record.take(released(ROWS[0], ROWS[1]))
    record.take(released(ROWS[2], delivery=Delivery.HOLD))
    record.take(answers(ROWS[3], delivery=Delivery.NOW))
    record.take(skipped(ROWS[4], needed_ms=60_000, available_ms=450))
    record.take(skipped_for(SkipReason.BREAKER_OPEN, rows_of(ROWS[5])))
    counts = record.counts()
    assert (counts.now, counts.lead, counts.hold, counts.skipped) == (1, 2, 1, 2)
    assert record.reasons[4:].tolist() == [SkipReason.INSUFFICIENT_LEAD_TIME, SkipReason.BREAKER_OPEN]
    assert (record.needed_ms[4], record.available_ms[4]) == (60_000, 450)


def test_closing_says_of_whom_nobody_knows_that_it_was_asked_that_there_was_no_way() -> None:
    record = record_of()
    record.take(released(ROWS[0]))
    record.close()
    assert record.states.tolist() == [TRANSIT] + [UNREACHABLE] * 5
    record.take(released(ROWS[1]))  # its coordinator was only slow to tell
    assert record.states[1] == TRANSIT


def test_counts_by_group_are_those_of_the_parts() -> None:
    record = record_of()
    record.take(answers(ROWS[0], ROWS[1]))
    record.take(answers(ROWS[0], ROWS[3], state=CONFLICT))
    groups = np.array([0, 0, 0, 2, 2, 2], np.uint8)
    assert record.counts_by(groups, 3) == [
        Counts(ready=2, pending=1, contradicted=1, lead=2),
        Counts(),
        Counts(conflict=1, pending=2, lead=1),
    ]


@pytest.mark.parametrize("rows", [(3, 2), (2, 2), (-1, 2)])
def test_rows_that_are_not_in_order_are_refused(rows: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match="not in order"):
        record_of(rows)


@pytest.mark.parametrize("other", [record_of(sector=2), record_of(target_ms=T + 1)])
def test_a_record_of_another_operation_is_refused(other: SectorRecord) -> None:
    with pytest.raises(InvalidArgument, match="one operation only"):
        record_of().take(other)


def test_a_part_merges_into_the_whole() -> None:
    whole, part = record_of(), record_of(ROWS[1:3])
    part.take(answers(ROWS[1], offset_ms=4))
    part.take(released(ROWS[2], delivery=Delivery.HOLD))
    assert whole.take(part) == Heard(grown=2)
    assert whole.states.tolist() == [PENDING, READY, TRANSIT, PENDING, PENDING, PENDING]
    assert (whole.offsets_ms[1], whole.deliveries[2]) == (4, Delivery.HOLD)
    assert part.take(whole) == Heard(unknown=4)


@given(st.lists(EVENTS, max_size=12))
def test_the_states_sum_to_the_targets_whatever_happens(events: list[Event]) -> None:
    record = record_of()
    for event in events:
        before = record.knowledge.copy()
        heard = record.take(event)
        assert (record.knowledge >= before).all()
        assert heard.grown == np.count_nonzero(record.knowledge != before)
        counts = record.counts()
        assert counts.targets == TARGETS
        assert counts.sent + counts.skipped == TARGETS
        asked = record.deliveries != Delivery.NONE
        assert asked.sum() == counts.now + counts.lead + counts.hold
        assert (asked[np.isin(record.states, [READY, CONFLICT, TRANSIT])]).all()
        assert not asked[np.isin(record.states, [PENDING, SKIPPED])].any()
        assert not np.isfinite(record.offsets_ms[~np.isin(record.states, [READY, CONFLICT])]).any()


@given(st.lists(EVENTS, max_size=10), st.data())
def test_answers_in_any_order_and_any_number_make_the_same_record(
    events: list[Event], data: st.DataObject
) -> None:
    """Of events that tell facts; that a host is gone is true at its moment only."""
    facts = [event for event in events if not isinstance(event, type(lost()))]
    again = data.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *again]))
    one, other = record_of(), record_of()
    for event in facts:
        one.take(event)
    for event in shuffled:
        other.take(event)
    assert picture(one) == picture(other)


HISTORIES = st.lists(EVENTS, max_size=6)


def made_of(history: list[Event], rows: tuple[int, ...] = ROWS) -> SectorRecord:
    record = record_of(rows)
    for event in history:
        record.take(event)
    return record


@given(HISTORIES, HISTORIES, HISTORIES)
def test_merging_is_the_same_in_any_order_grouping_and_number(
    a: list[Event], b: list[Event], c: list[Event]
) -> None:
    left = made_of(a)
    left.take(made_of(b))
    left.take(made_of(c))
    inner = made_of(c)
    inner.take(made_of(a))
    right = made_of(b)
    right.take(inner)
    right.take(inner)
    assert picture(left) == picture(right)


@given(HISTORIES)
def test_parts_that_heard_of_their_rows_merge_to_what_one_holder_would_have(history: list[Event]) -> None:
    whole, parts = made_of(history), [made_of(history, ROWS[:2]), made_of(history, ROWS[2:])]
    merged = record_of()
    for part in parts:
        merged.take(part)
    assert picture(merged) == picture(whole)
