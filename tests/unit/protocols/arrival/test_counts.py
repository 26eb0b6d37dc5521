"""Rates of an operation, and their boundaries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.arrival.counts import Counts, sum_counts

COUNTS = st.builds(Counts, *[st.integers(0, 300)] * 10)


def test_sent_are_all_that_were_not_skipped_also_those_without_a_way() -> None:
    counts = Counts(ready=90, conflict=2, transit=3, skipped=20, unreachable=5)
    assert (counts.targets, counts.sent) == (120, 100)
    assert (counts.rate, counts.response_rate, counts.conflict_rate) == (0.9, 0.92, 0.02)
    assert counts.coverage == 100 / 120


@pytest.mark.parametrize("counts", [Counts(), Counts(skipped=7)])
def test_of_nobody_no_rate_is_met_and_nothing_is_divided(counts: Counts) -> None:
    assert (counts.rate, counts.response_rate, counts.conflict_rate, counts.coverage) == (0, 0, 0, 0)
    assert counts.is_settled
    assert not counts.meets(0.01)
    assert not counts.can_meet(0.01)


@given(st.integers(1, 2_000), st.sampled_from([(19, 20), (9, 10), (49, 50), (99, 100), (17, 20), (1, 1)]))
def test_the_boundary_itself_meets_the_rate(hundreds: int, share: tuple[int, int]) -> None:
    part, whole = share
    sent, enough = hundreds * whole, hundreds * part
    rate = part / whole
    assert Counts(ready=enough, transit=sent - enough).meets(rate)
    assert not Counts(ready=enough - 1, transit=sent - enough + 1).meets(rate)
    assert Counts(transit=enough, conflict=sent - enough).can_meet(rate)
    assert not Counts(pending=enough - 1, unreachable=sent - enough + 1).can_meet(rate)


def test_who_is_ready_under_way_or_not_asked_yet_may_all_be_ready_in_the_end() -> None:
    counts = Counts(ready=3, transit=4, pending=2, conflict=1)
    assert counts.can_meet(0.9)
    assert not counts.can_meet(0.91)


@given(COUNTS, COUNTS)
def test_parts_add_up_and_are_taken_away_again(a: Counts, b: Counts) -> None:
    both = sum_counts([a, b])
    assert both == a + b
    assert both.targets == a.targets + b.targets
    assert both - b == a


@pytest.mark.parametrize(("counts", "settled"), [(Counts(transit=1), False), (Counts(pending=1), False)])
def test_it_is_settled_once_nobody_may_still_answer(counts: Counts, settled: bool) -> None:
    assert counts.is_settled is settled
    assert Counts(ready=1, conflict=1, unreachable=1).is_settled
