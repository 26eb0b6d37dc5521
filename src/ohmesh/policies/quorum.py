"""What the answers of many come to: PROCEED, WAIT, RESOLVE_CONFLICTS or RETRY.

Asked in this order, of the rates of those that were asked:

    ready    >= 0.95   PROCEED
    transit  >  0.10   WAIT                too many are still under way
    conflict >  0.05   RESOLVE_CONFLICTS   enough are settled, and too many of them contradict
    otherwise          RETRY

WAIT comes before RESOLVE_CONFLICTS: while many are silent, how many contradict is not known yet. With 0.95 ready there
cannot be more than 0.05 conflicts, so PROCEED needs no second test. The confidence is ready - conflict / 2: a conflict
speaks against, a silent one does not speak.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from ohmesh.errors import InvalidArgument

CONFLICT_WEIGHT = 0.5


class QuorumDecision(StrEnum):
    PROCEED = "PROCEED"
    WAIT = "WAIT"
    RESOLVE_CONFLICTS = "RESOLVE_CONFLICTS"
    RETRY = "RETRY"


class Recommendation(StrEnum):
    """What may help: a longer window, settling the conflicts first, asking again with leads learnt meanwhile."""

    EXTEND_WINDOW = "extend_window"
    RESOLVE_CONFLICTS = "resolve_conflicts"
    RETRY_WITH_NEW_LEADS = "retry_with_new_leads"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumConfig:
    """ready: reached by this rate. transit, conflict: passed above it."""

    ready: float = 0.95
    transit: float = 0.10
    conflict: float = 0.05

    def __post_init__(self) -> None:
        if not (0 < self.ready <= 1 and 0 <= self.transit < 1 and 0 <= self.conflict < 1):
            raise InvalidArgument(
                f"Rates of {self.ready}, {self.transit} and {self.conflict} make no quorum.",
                hint="ready is above 0 and at most 1, the others are from 0 to below 1.",
            )


class QuorumResult(Struct, frozen=True):
    """confidence: from 0 to 1; with every decision, so that a RETRY that was close can be told from one that was not.
    missing: how many more have to be ready for PROCEED."""

    decision: QuorumDecision
    confidence: float
    ready_rate: float
    conflict_rate: float
    transit_rate: float
    missing: int
    recommendations: tuple[Recommendation, ...]


def decide_quorum(
    ready: int, conflict: int, transit: int, config: QuorumConfig | None = None
) -> QuorumResult:
    """Of those that were asked. Whoever could not be reached counts as transit: it was not heard. Nobody asked: WAIT.

    Raises InvalidArgument: a number below zero."""
    config = config or QuorumConfig()
    if min(ready, conflict, transit) < 0:
        raise InvalidArgument(f"{ready} ready, {conflict} conflict, {transit} transit: none is below zero.")
    asked = ready + conflict + transit
    if not asked:
        return QuorumResult(QuorumDecision.WAIT, 0.0, 0.0, 0.0, 0.0, 0, ())
    # Quotients are compared unrounded: one that equals a rate is the same float, so boundaries are exact.
    rates = ready / asked, conflict / asked, transit / asked
    decision = _decide(*rates, config)
    return QuorumResult(
        decision,
        max(0.0, (ready - CONFLICT_WEIGHT * conflict) / asked),
        *rates,
        _missing(ready, asked, config.ready),
        _recommend(decision, conflict, transit),
    )


def _decide(ready: float, conflict: float, transit: float, config: QuorumConfig) -> QuorumDecision:
    if ready >= config.ready:
        return QuorumDecision.PROCEED
    if transit > config.transit:
        return QuorumDecision.WAIT
    if conflict > config.conflict:
        return QuorumDecision.RESOLVE_CONFLICTS
    return QuorumDecision.RETRY


def _missing(ready: int, asked: int, rate: float) -> int:
    wanted = int(rate * asked)
    while wanted / asked < rate:
        wanted += 1
    return max(0, wanted - ready)


def _recommend(decision: QuorumDecision, conflict: int, transit: int) -> tuple[Recommendation, ...]:
    """What decided comes first; then what else is there to gain."""
    if decision is QuorumDecision.PROCEED:
        return ()
    wait = (Recommendation.EXTEND_WINDOW,) if transit else ()
    resolve = (Recommendation.RESOLVE_CONFLICTS,) if conflict else ()
    if decision is QuorumDecision.WAIT:
        return wait + resolve
    retry = (Recommendation.RETRY_WITH_NEW_LEADS,)
    if decision is QuorumDecision.RESOLVE_CONFLICTS:
        return resolve + (retry if transit else ())
    return retry + wait + resolve
