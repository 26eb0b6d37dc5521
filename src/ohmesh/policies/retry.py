"""When a failed attempt is tried again: exponential backoff with full jitter.

The delay before attempt n + 1 is drawn evenly from [base/2, base] * multiplier^(n - 1), and never above the cap. Half
of it is kept fixed, so that a retry is never immediate, and half is random, so that tasks that failed together do not
return together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """max_attempts counts the first one too: 3 retries are 4 attempts."""

    max_attempts: int = 4
    base_ms: int = 1_000
    cap_ms: int = 60_000
    multiplier: float = 2.0


def retry_delay_ms(policy: RetryPolicy, attempts: int, rng: random.Random) -> int:
    """Delay after the failure of attempt number `attempts` (1 for the first)."""
    bound_ms = min(policy.cap_ms, policy.base_ms * policy.multiplier ** min(attempts - 1, 30))
    return int(bound_ms / 2 + rng.random() * bound_ms / 2)
