"""The routing policy `classic`: which node does a task, by one formula.

    score = 1000 * specialty_match - 1.0 * latency_ewma_ms - 50 * active_tasks

A specialist therefore comes first until it is 950 ms slower (or 19 tasks fuller) than another. Latency is an
exponentially weighted moving average; a node that was never measured counts as one of 100 ms. Ties go to the first.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ohmesh.errors import InvalidArgument

SPECIALTY_POINTS = 1_000.0
LATENCY_POINTS_PER_MS = 1.0
POINTS_PER_ACTIVE_TASK = 50.0
EWMA_ALPHA = 0.3
UNKNOWN_LATENCY_MS = 100.0


class Candidate(Struct, frozen=True):
    """A node that can do the task. specialty_match: it was made for this very type of task."""

    node: str
    specialty_match: bool
    latency_ms: float = UNKNOWN_LATENCY_MS
    active_tasks: int = 0
    is_alive: bool = True


def score(candidate: Candidate) -> float:
    return (
        SPECIALTY_POINTS * candidate.specialty_match
        - LATENCY_POINTS_PER_MS * candidate.latency_ms
        - POINTS_PER_ACTIVE_TASK * candidate.active_tasks
    )


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The best first; the dead are left out."""
    return sorted((one for one in candidates if one.is_alive), key=score, reverse=True)


def smoothed_latency_ms(before_ms: float | None, sample_ms: float) -> float:
    """The average after one more sample; `before_ms` is None where there was none. Raises InvalidArgument below 0."""
    if sample_ms < 0:
        raise InvalidArgument(f"A latency of {sample_ms} ms cannot be.", hint="Measure by a monotonic clock.")
    start_ms = UNKNOWN_LATENCY_MS if before_ms is None else before_ms
    return EWMA_ALPHA * sample_ms + (1 - EWMA_ALPHA) * start_ms
