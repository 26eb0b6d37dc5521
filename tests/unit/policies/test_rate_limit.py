"""The token bucket: exact over every window, and empty at first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.policies.rate_limit import TokenBucket


def test_a_new_bucket_is_empty_and_fills_up_to_its_burst() -> None:
    bucket = TokenBucket(100, 1_000, 5, 0)
    assert bucket.tokens(0) == 0
    assert bucket.tokens(9) == 0
    assert bucket.tokens(10) == 1
    assert bucket.tokens(1_000) == 5


def test_the_wait_is_until_the_next_token_and_not_a_millisecond_less() -> None:
    bucket = TokenBucket(3, 1_000, 2, 0)
    assert bucket.wait_ms(0) == 334
    assert (bucket.tokens(333), bucket.tokens(334)) == (0, 1)
    assert bucket.wait_ms(334) == 0
    bucket.take(1)
    assert bucket.wait_ms(334) == 333, "what was left over of a token counts"


def test_an_emptied_bucket_begins_anew() -> None:
    bucket = TokenBucket(10, 1_000, 10, 0)
    assert bucket.tokens(5_000) == 10
    bucket.empty(5_000)
    assert bucket.tokens(5_099) == 0
    assert bucket.tokens(5_100) == 1


def test_nothing_is_lost_by_rounding() -> None:
    bucket = TokenBucket(7, 1_000, 7, 0)
    taken = 0
    for now_ms in range(0, 100_001, 3):
        tokens = bucket.tokens(now_ms)
        bucket.take(tokens)
        taken += tokens
    assert taken == 99_999 * 7 // 1_000


@given(
    count=st.integers(1, 50),
    per_ms=st.sampled_from([10, 1_000, 60_000]),
    burst=st.integers(1, 20),
    asked=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 30), st.booleans()), max_size=40),
)
def test_over_any_window_no_more_is_taken_than_burst_and_rate_allow(
    count: int, per_ms: int, burst: int, asked: list[tuple[int, int, bool]]
) -> None:
    now_ms = 1_000_000
    bucket = TokenBucket(count, per_ms, burst, now_ms)
    taken: list[tuple[int, int]] = []
    for pause_ms, wanted, leaps in asked:
        now_ms += pause_ms
        if leaps:
            bucket.empty(now_ms)
        tokens = min(wanted, bucket.tokens(now_ms))
        bucket.take(tokens)
        taken.append((now_ms, tokens))
    for first, (begin_ms, _) in enumerate(taken):
        total = 0
        for end_ms, tokens in taken[first:]:
            total += tokens
            assert total * per_ms <= burst * per_ms + count * (end_ms - begin_ms)
