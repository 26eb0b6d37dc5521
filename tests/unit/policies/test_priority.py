"""Strict priority with bounded aging."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.priority import Priority
from ohmesh.policies.priority import AGED_LIMIT, rank

AGING_MS = 60_000
MOMENTS = st.integers(0, 10**13)
BELOW_CRITICAL = st.integers(Priority.LOW, Priority.HIGH)


@given(BELOW_CRITICAL, st.integers(0, 10**9), st.integers(1, 10**7))
def test_nothing_outranks_critical_whatever_its_age(priority: int, waited_ms: int, aging_ms: int) -> None:
    assert rank(priority, 0, waited_ms, aging_ms) <= AGED_LIMIT < rank(Priority.CRITICAL, 0, 0, aging_ms)


@given(MOMENTS)
def test_among_tasks_that_became_ready_together_the_priority_decides(now_ms: int) -> None:
    ranks = [rank(priority, now_ms, now_ms, AGING_MS) for priority in Priority]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@given(BELOW_CRITICAL, st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_rank_never_falls_with_age(priority: int, waited_ms: int, longer_ms: int) -> None:
    assert rank(priority, 0, waited_ms, AGING_MS) <= rank(priority, 0, waited_ms + longer_ms, AGING_MS)


@given(st.integers(1, 10**7), MOMENTS, st.integers(0, 10**7))
def test_low_work_comes_before_high_work_that_became_ready_two_agings_later(
    later_ms: int, ready_ms: int, passed_ms: int
) -> None:
    high_ready_ms = ready_ms + 2 * AGING_MS + later_ms
    now_ms = high_ready_ms + passed_ms
    low, high = (
        rank(Priority.LOW, ready_ms, now_ms, AGING_MS),
        rank(Priority.HIGH, high_ready_ms, now_ms, AGING_MS),
    )
    assert low > high or low == high == AGED_LIMIT


def test_work_that_is_ready_in_the_future_of_a_clock_that_stepped_back_has_no_negative_age() -> None:
    assert rank(Priority.NORMAL, 5_000, 1_000, AGING_MS) == float(Priority.NORMAL)
