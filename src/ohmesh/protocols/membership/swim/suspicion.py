"""How long a suspected member may still speak up: the more others confirm, the shorter.

remaining = max(min, max - (max - min) * log(confirmations + 1) / log(wanted + 1)) - elapsed, floored to ms.
Source: Lifeguard, section 4 (suspicion timeouts that shrink); the formula as in hashicorp/memberlist, suspicion.go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


def remaining_ms(
    confirmations: int, wanted: int, elapsed_ms: float, least_ms: float, most_ms: float
) -> float:
    if wanted < 1:
        return least_ms - elapsed_ms
    share = math.log(confirmations + 1) / math.log(wanted + 1)
    whole_ms = math.floor(most_ms - share * (most_ms - least_ms) + 1e-9)
    return max(whole_ms, least_ms) - elapsed_ms


@dataclass(slots=True)
class Suspicion:
    """The accuser that began it is no confirmation. `wanted` 0: the group is too small for any."""

    begun_ms: float
    incarnation: int
    wanted: int
    least_ms: float
    most_ms: float
    accusers: set[str] = field(default_factory=set)
    confirmations: int = 0

    @property
    def due_ms(self) -> float:
        return self.begun_ms + remaining_ms(self.confirmations, self.wanted, 0.0, self.least_ms, self.most_ms)

    def confirm(self, accuser: str) -> bool:
        """Whether that is news worth telling along: each accuser counts once, and enough are enough."""
        if self.confirmations >= self.wanted or accuser in self.accusers:
            return False
        self.accusers.add(accuser)
        self.confirmations += 1
        return True
