"""An even share of what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.policies.routing import fair_share

COUNTS = st.integers(1, 100_000)


@given(COUNTS, COUNTS, COUNTS)
def test_a_share_is_at_least_one_and_never_more_than_fits(waiting: int, free: int, candidates: int) -> None:
    assert 1 <= fair_share(waiting, free, candidates) <= free


@given(COUNTS, st.integers(1, 1_000))
def test_shares_one_after_the_other_give_out_everything_evenly(waiting: int, candidates: int) -> None:
    shares = []
    left = waiting
    for candidates_left in range(candidates, 0, -1):
        if left:
            shares.append(fair_share(left, waiting, candidates_left))
            left -= shares[-1]
    assert left == 0
    assert max(shares) - min(shares) <= 1
