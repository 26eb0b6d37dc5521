"""Drawing from an rng that is handed in: an integer in [0, n)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

RandomBelow = Callable[[int], int]


def shuffled(items: Sequence[str], random_below: RandomBelow) -> list[str]:
    """Fisher and Yates."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = random_below(last + 1)
        order[last], order[other] = order[other], order[last]
    return order
