"""Conflicts that are open: one entry for a flood, priorities that rise, deadlines, states, rebuilding."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument, UnknownConflict
from ohmesh.model.conflict import (
    ENDED,
    FOLLOWING,
    Conflict,
    ConflictDetail,
    ConflictState,
    ConflictType,
)
from ohmesh.model.topology import Topology
from ohmesh.policies.conflict import escalates_to, method_of, priority_of, time_to_resolve_ms
from ohmesh.protocols.conflict.queue import (
    Change,
    Changed,
    ConflictQueue,
    ConflictReport,
    ConflictRules,
)

TOPOLOGY = Topology(4, 3, 10)
S = ConflictState


def queue(**how: int) -> ConflictQueue:
    numbers = itertools.count(1)
    rules = ConflictRules(
        priority_of=priority_of,
        time_ms=time_to_resolve_ms,
        told=lambda priority: tuple(scope.value for scope in escalates_to(priority)),
        method_of=method_of,
        **how,
    )
    return ConflictQueue(rules, TOPOLOGY, lambda _now_ms: f"c{next(numbers)}")


def report(kind: ConflictType, *rows: int, **fields: object) -> ConflictReport:
    return ConflictReport(ConflictDetail(kind, **fields), np.array(rows, np.int64))  # type: ignore[arg-type]


def only(changes: list[Changed]) -> Conflict:
    (change,) = changes
    return change.conflict


CONTRADICTION = ConflictType.DATA_CONTRADICTION


def test_a_report_opens_a_conflict_with_its_priority_deadline_and_method() -> None:
    opened = queue().report(report(ConflictType.TEMPORAL_PARADOX, 3, 7), 1_000)
    conflict = only(opened)
    assert opened[0].change is Change.OPENED
    assert opened[0].newly_told == ("sector", "all")
    assert (conflict.priority, conflict.deadline_ms, conflict.state) == (4, 1_000, S.OPEN)
    assert conflict.agents == ("s000.c00.a03", "s000.c00.a07")
    assert conflict.count == 2


def test_a_flood_of_the_same_is_one_entry_with_a_count() -> None:
    q = queue()
    first = only(q.report(report(CONTRADICTION, 1, expected="5", received="7"), 0))
    for now_ms in range(1, 10):
        assert q.report(report(CONTRADICTION, 1, expected="5", received="7"), now_ms) == []
    (one,) = q.open()
    assert one.id == first.id
    assert one.count == 10
    assert one.reporters == 1
    assert (one.at_ms, one.last_ms, one.deadline_ms) == (0, 9, 600_000)


def test_both_sides_of_a_contradiction_report_the_same_conflict() -> None:
    q = queue()
    q.report(report(CONTRADICTION, 1, expected="5", received="7"), 0)
    q.report(report(CONTRADICTION, 2, expected="7", received="5"), 0)
    q.report(report(CONTRADICTION, 2, expected="7", received="6"), 0)
    assert [one.reporters for one in q.open()] == [2, 1]


def test_a_flood_of_different_ones_is_bounded() -> None:
    q = queue(max_open=5)
    for number in range(50):
        q.report(report(CONTRADICTION, number, expected=str(number)), 0)
    assert len(q) == 6
    assert sum(one.count for one in q.open()) == 50


def test_more_reporters_raise_the_priority_and_bring_the_deadline_forward() -> None:
    q = queue()
    q.report(report(CONTRADICTION, *range(100)), 0)
    (raised,) = q.report(report(CONTRADICTION, 100), 1_000)
    assert raised.change is Change.RAISED
    assert raised.newly_told == ("sector",)
    assert (raised.conflict.priority, raised.conflict.deadline_ms) == (3, 61_000)
    assert q.wake_ms == 61_000


def test_a_raised_priority_never_puts_a_deadline_back() -> None:
    q = queue()
    q.report(report(CONTRADICTION, *range(100)), 0)
    (raised,) = q.report(report(CONTRADICTION, 100), 590_000)
    assert raised.conflict.deadline_ms == 600_000


def test_the_most_urgent_is_first() -> None:
    q = queue()
    q.report(report(ConflictType.CAPABILITY_MISMATCH, 1), 0)
    q.report(report(ConflictType.OTHER, 1), 0)
    q.report(report(ConflictType.HASH_MISMATCH, 1), 5)
    q.report(report(ConflictType.CONTEXT_DIVERGENCE, 1, divergence_depth=11), 5)
    assert [one.priority for one in q.open()] == [4, 3, 2, 1]


def test_who_misses_its_deadline_is_escalated_to_a_person_once() -> None:
    q = queue()
    q.report(report(ConflictType.OTHER, 1), 0)
    assert q.tick(599_999) == []
    (overdue,) = q.tick(600_000)
    assert overdue.change is Change.OVERDUE
    assert overdue.conflict.state is S.ESCALATED
    assert overdue.newly_told == ("sector", "all", "person")
    assert q.tick(10**9) == []
    assert q.wake_ms == float("inf")


def test_what_has_ended_is_not_overdue_and_a_new_report_opens_anew() -> None:
    q = queue()
    first = only(q.report(report(ConflictType.OTHER, 1), 0))
    q.end(first.id, S.RESOLVED, 10, outcome="x")
    assert q.tick(10**9) == []
    assert len(q) == 0
    second = only(q.report(report(ConflictType.OTHER, 1), 20))
    assert second.id != first.id
    assert q.find(first.id) is not None


@pytest.mark.parametrize("state", S)
def test_states_change_along_the_table_only(state: ConflictState) -> None:
    for target in S:
        q = queue()
        conflict = only(q.report(report(ConflictType.OTHER, 1), 0))
        q.restore([*_as(conflict, state)])
        call = q.end if target in ENDED else q.move
        more = (5,) if target in ENDED else ()
        if target in FOLLOWING[state] or (target is state and target not in ENDED):
            assert call(conflict.id, target, *more).conflict.state is target
        else:
            with pytest.raises(InvalidArgument):
                call(conflict.id, target, *more)


def _as(conflict: Conflict, state: ConflictState) -> list[Conflict]:
    import msgspec

    return [msgspec.structs.replace(conflict, state=state)]


def test_unknown_ones_are_refused() -> None:
    with pytest.raises(UnknownConflict, match="no conflict c9"):
        queue().end("c9", S.RESOLVED, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(ConflictType)),
            st.sampled_from(["", "x"]),
            st.integers(0, 119),
            st.sampled_from(["report", "tick", "end"]),
        ),
        max_size=30,
    )
)
def test_a_log_of_the_changes_rebuilds_the_queue(
    steps: list[tuple[ConflictType, str, int, str]],
) -> None:
    q, log = queue(), list[Changed]()
    for now_ms, (kind, expected, row, what) in enumerate(steps):
        at_ms = now_ms * 100_000
        if what == "report":
            log += q.report(report(kind, row, expected=expected), at_ms)
        elif what == "tick":
            log += q.tick(at_ms)
        elif q.open():
            log.append(q.end(q.open()[0].id, S.RESOLVED, at_ms))
    again = queue()
    last = {change.conflict.id: change.conflict for change in log}
    again.restore(last.values())
    assert [one.id for one in again.open()] == [one.id for one in q.open()]
    assert [one.state for one in again.open()] == [one.state for one in q.open()]
    assert again.wake_ms == q.wake_ms
