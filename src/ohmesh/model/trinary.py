"""The state of a target and its algebra: READY +1, TRANSIT 0, CONFLICT -1."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ohmesh.errors import InvalidArgument


class Trinary(IntEnum):
    """READY: it has what it needs. TRANSIT: not known yet. CONFLICT: it answered, and contradicts."""

    CONFLICT = -1
    TRANSIT = 0
    READY = 1

    def __and__(self, other: int) -> Trinary:
        """Both: the lesser."""
        return Trinary(min(self, other))

    def __or__(self, other: int) -> Trinary:
        """Either: the greater."""
        return Trinary(max(self, other))


def consensus(states: Sequence[int], weights: Sequence[float] | None = None) -> Trinary:
    """The sign of the weighted mean; TRANSIT where nobody was asked or they balance.

    Raises InvalidArgument: weights that are negative or not as many as the states."""
    if weights is None:
        total: float = sum(states)
    else:
        if len(weights) != len(states) or any(weight < 0 for weight in weights):
            raise InvalidArgument(f"{len(states)} states need as many weights, none of them negative.")
        total = sum(state * weight for state, weight in zip(states, weights, strict=True))
    return Trinary((total > 0) - (total < 0))
