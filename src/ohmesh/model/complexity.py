"""How heavy a task is: a tag given before it is queued, and the weight by which a backlog is counted."""

from __future__ import annotations

from enum import StrEnum

LARGE_WEIGHT = 3
WEIGHT_MAX = 1_000  # what a submission may claim, whoever made it


class Complexity(StrEnum):
    SMALL = "small"
    LARGE = "large"

    @property
    def weight(self) -> int:
        return LARGE_WEIGHT if self is Complexity.LARGE else 1


SMALL, LARGE = Complexity.SMALL, Complexity.LARGE


def complexity_of(weight: int) -> Complexity:
    """The tag that a weight stands for."""
    return LARGE if weight >= LARGE_WEIGHT else SMALL
