"""The circuit breaker of one node: work that keeps failing there is not sent there for a while.

    CLOSED --5 failures in a row--> OPEN --60 s later--> HALF_OPEN --success--> CLOSED
                                     ^                      |
                                     `-------failure--------'

HALF_OPEN lets `trials` through at a time and refuses the rest until one of them has ended; a trial that ends without a
verdict (it was cancelled) gives its place back. A trial belongs to the HALF_OPEN that let it through: in a later one it
is neither a verdict nor a place. What was let through before the breaker opened may still end while it is OPEN: it is
counted and changes nothing.
Source: M. Nygard, Release It!, 2007, "Circuit Breaker".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from ohmesh.errors import InvalidArgument


class BreakerState(StrEnum):
    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """failures: in a row until it opens. open_ms: how long it stays so. trials: let through at a time after that."""

    failures: int = 5
    open_ms: int = 60_000
    trials: int = 3

    def __post_init__(self) -> None:
        for name in ("failures", "open_ms", "trials"):
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"BreakerConfig.{name} is {getattr(self, name)}.", hint="Give at least 1."
                )


class BreakerEvent(Struct, frozen=True):
    """One transition, with what was counted by then."""

    node: str
    before: BreakerState
    after: BreakerState
    at_ms: int
    consecutive_failures: int
    total_failures: int
    total_successes: int


class Breaker:
    """`now_ms` of every call is monotonic and never falls. Each call returns the transitions that it made."""

    def __init__(self, node: str, config: BreakerConfig | None = None) -> None:
        self.node = node
        self.config = config or BreakerConfig()
        self.state = BreakerState.CLOSED
        self.consecutive_failures = 0
        self.total_failures = 0
        self.total_successes = 0
        self._opened_ms = 0
        self._trials = 0
        self._half_opens = 0

    def look(self, now_ms: int) -> list[BreakerEvent]:
        """OPEN becomes HALF_OPEN once its time is over."""
        if self.state is BreakerState.OPEN and self.retry_after_ms(now_ms) == 0:
            return [self._become(BreakerState.HALF_OPEN, now_ms)]
        return []

    def admits(self) -> bool:
        """Whether work may be sent now; call `look` before."""
        if self.state is BreakerState.HALF_OPEN:
            return self._trials < self.config.trials
        return self.state is BreakerState.CLOSED

    def begin(self) -> int:
        """Work is sent: returns which HALF_OPEN it is a trial of, which is told to its end; 0 where it is none."""
        assert self.admits(), "work is sent only where it is admitted"
        if self.state is not BreakerState.HALF_OPEN:
            return 0
        self._trials += 1
        return self._half_opens

    def succeeded(self, now_ms: int, *, trial: int = 0) -> list[BreakerEvent]:
        self.total_successes += 1
        if self.state is BreakerState.CLOSED:
            self.consecutive_failures = 0
        elif self._is_current(trial):
            self.consecutive_failures = 0
            return [self._become(BreakerState.CLOSED, now_ms)]
        return []

    def failed(self, now_ms: int, *, trial: int = 0) -> list[BreakerEvent]:
        self.total_failures += 1
        self.consecutive_failures += 1
        is_enough = self.state is BreakerState.CLOSED and self.consecutive_failures >= self.config.failures
        if is_enough or self._is_current(trial):
            return [self._become(BreakerState.OPEN, now_ms)]
        return []

    def abandoned(self, *, trial: int = 0) -> None:
        """The work ended without a word on the node."""
        if self._is_current(trial):
            self._trials -= 1

    def retry_after_ms(self, now_ms: int) -> int:
        """Until a trial is let through; 0 unless it is OPEN."""
        if self.state is not BreakerState.OPEN:
            return 0
        return max(0, self._opened_ms + self.config.open_ms - now_ms)

    def _is_current(self, trial: int) -> bool:
        return self.state is BreakerState.HALF_OPEN and trial == self._half_opens

    def _become(self, after: BreakerState, now_ms: int) -> BreakerEvent:
        before, self.state = self.state, after
        self._trials = 0
        if after is BreakerState.OPEN:
            self._opened_ms = now_ms
        elif after is BreakerState.HALF_OPEN:
            self._half_opens += 1
        return BreakerEvent(
            self.node,
            before,
            after,
            now_ms,
            self.consecutive_failures,
            self.total_failures,
            self.total_successes,
        )
