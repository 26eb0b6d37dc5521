"""How far we trust our own ears: 0 is well, and each step stretches our timeouts by one.

Who does not hear the answers that it should hear is slow itself more often than those it asks. Source: Lifeguard,
section 3 (local health multiplier).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Awareness:
    most: int
    score: int = 0

    def change(self, by: int) -> None:
        self.score = min(max(self.score + by, 0), self.most - 1)

    def stretched(self, duration_ms: int) -> int:
        return duration_ms * (self.score + 1)
