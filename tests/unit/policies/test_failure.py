"""Which errors are worth another attempt."""

from __future__ import annotations

import random

import pytest

from ohmesh.policies.failure import DEFAULT_RULE, Backoff, RetryRule


@pytest.mark.parametrize(
    ("rule", "error", "gives_up"),
    [
        (DEFAULT_RULE, ValueError, False),
        (RetryRule(give_up_on=(ValueError,)), UnicodeDecodeError, True),
        (RetryRule(give_up_on=(ValueError,)), KeyError, False),
        (RetryRule(retry_on=(OSError,)), ConnectionResetError, False),
        (RetryRule(retry_on=(OSError,)), ValueError, True),
        (RetryRule(retry_on=(OSError,), give_up_on=(FileNotFoundError,)), FileNotFoundError, True),
        (RetryRule(retry_on=(ConnectionError,), give_up_on=(Exception,)), ConnectionResetError, False),
        (RetryRule(retry_on=(ConnectionError,), give_up_on=(Exception,)), OSError, True),
    ],
)
def test_the_nearest_named_ancestor_decides(
    rule: RetryRule, error: type[BaseException], gives_up: bool
) -> None:
    assert rule.gives_up(error) is gives_up


def test_a_backoff_grows_by_its_multiplier_up_to_its_cap() -> None:
    rule, rng = RetryRule(backoff=Backoff(base=1, cap=20, multiplier=3)), random.Random(1)
    for attempt, bound_ms in enumerate((1_000, 3_000, 9_000, 20_000, 20_000), 1):
        delays = [rule.delay_ms(attempt, rng) for _ in range(200)]
        assert bound_ms / 2 <= min(delays) <= max(delays) <= bound_ms
    assert rule.delay_ms(10_000, rng) <= 20_000
    assert DEFAULT_RULE.delay_ms(1, rng) == -1
