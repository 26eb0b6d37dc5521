"""Which failures of a handler are worth another attempt, by the class of what it raised, and when.

The class is known where the code ran, so it is decided there: of the classes that the rule names, the nearest one in
the ancestry of the error's class decides. What no named class decides is retried, unless the rule says what is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ohmesh.policies.retry import RetryPolicy, retry_delay_ms

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before another attempt, in seconds: `base`, then `multiplier` times as long each time, never
    above `cap`; of that between half and all, by chance."""

    base: float = 1.0
    cap: float = 60.0
    multiplier: float = 2.0


@dataclass(frozen=True, slots=True)
class RetryRule:
    """As @agent was told. `backoff` None: as the mesh does it."""

    retry_on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()
    backoff: Backoff | None = None

    def gives_up(self, error: type[BaseException]) -> bool:
        for each in error.__mro__:
            if each in self.give_up_on:
                return True
            if each in self.retry_on:
                return False
        return bool(self.retry_on)

    def delay_ms(self, attempt: int, rng: random.Random) -> int:
        """After the failure of that attempt (1 for the first); -1 leaves it to the mesh."""
        if self.backoff is None:
            return -1
        base_ms, cap_ms = round(self.backoff.base * 1000), round(self.backoff.cap * 1000)
        policy = RetryPolicy(base_ms=base_ms, cap_ms=cap_ms, multiplier=self.backoff.multiplier)
        return retry_delay_ms(policy, max(1, attempt), rng)


DEFAULT_RULE = RetryRule()
