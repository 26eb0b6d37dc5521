"""Exponential backoff with half of it at random."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.policies.retry import RetryPolicy, retry_delay_ms


@given(st.integers(1, 200), st.integers(1, 10**6), st.integers(1, 10**8), st.integers())
def test_a_delay_lies_between_half_its_bound_and_its_bound(
    attempts: int, base_ms: int, cap_ms: int, seed: int
) -> None:
    policy = RetryPolicy(base_ms=base_ms, cap_ms=cap_ms)
    bound_ms = min(cap_ms, base_ms * 2 ** (attempts - 1))
    delay_ms = retry_delay_ms(policy, attempts, random.Random(seed))
    assert bound_ms // 2 <= delay_ms <= bound_ms


def test_tasks_that_failed_together_do_not_return_together() -> None:
    rng = random.Random(1)
    delays = {retry_delay_ms(RetryPolicy(), 4, rng) for _ in range(1_000)}
    assert len(delays) > 800


def test_by_default_there_are_three_retries_from_about_a_second_on() -> None:
    policy = RetryPolicy()
    assert policy.max_attempts == 4
    assert 500 <= retry_delay_ms(policy, 1, random.Random(1)) <= 1_000
