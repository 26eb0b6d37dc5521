"""How many targets of an operation are in which state, and the rates that follow.

`sent` counts every target that was not skipped: it was asked, or ought to have been and there was no way to it. So an
operation does not look better because half of the fleet was out of reach; what is left out on purpose (there was no
time, a breaker is open) shows in `coverage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from ohmesh.protocols.arrival.target_state import Delivery, Knowledge


class Counts(Struct, array_like=True, frozen=True):
    """The first six sum to the targets. contradicted: said READY and CONFLICT both; they are among `ready`.
    now, lead, hold: how those that were asked were asked."""

    ready: int = 0
    conflict: int = 0
    transit: int = 0
    skipped: int = 0
    unreachable: int = 0
    pending: int = 0
    contradicted: int = 0
    now: int = 0
    lead: int = 0
    hold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(ours + theirs for ours, theirs in zip(_values(self), _values(other), strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        """What `self` has more than `other`, a part of the same whole at another time; may be below zero."""
        return Counts(*(ours - theirs for ours, theirs in zip(_values(self), _values(other), strict=True)))

    @property
    def targets(self) -> int:
        return self.sent + self.skipped

    @property
    def sent(self) -> int:
        return self.ready + self.conflict + self.transit + self.unreachable + self.pending

    @property
    def is_settled(self) -> bool:
        """Nobody is left who may still answer: not asked yet, or asked and silent."""
        return not self.pending and not self.transit

    @property
    def rate(self) -> float:
        """Ready of sent; 0 when nothing was sent."""
        return self.ready / self.sent if self.sent else 0.0

    @property
    def response_rate(self) -> float:
        """Those that answered, whatever they said, of sent. A conflict is an answer."""
        return (self.ready + self.conflict) / self.sent if self.sent else 0.0

    @property
    def conflict_rate(self) -> float:
        return self.conflict / self.sent if self.sent else 0.0

    @property
    def coverage(self) -> float:
        """Sent of targets; 0 when there were none."""
        return self.sent / self.targets if self.targets else 0.0

    def meets(self, rate: float) -> bool:
        """Whether so many of those that were sent are ready. Of nobody, no rate above 0 is met."""
        # A quotient that equals the rate is rounded to the same float, so the boundary itself counts.
        return self.rate >= rate

    def can_meet(self, rate: float) -> bool:
        """Whether those that may still answer suffice for it, if all of them are ready."""
        return self.sent > 0 and (self.ready + self.transit + self.pending) / self.sent >= rate


def counted(known: Sequence[int], ways: Sequence[int], contradicted: int) -> Counts:
    """From the numbers of targets by Knowledge and by Delivery."""
    return Counts(
        ready=known[Knowledge.READY],
        conflict=known[Knowledge.CONFLICT],
        transit=known[Knowledge.TRANSIT],
        skipped=known[Knowledge.SKIPPED],
        unreachable=known[Knowledge.UNREACHED] + known[Knowledge.LOST],
        pending=known[Knowledge.PENDING],
        contradicted=contradicted,
        now=ways[Delivery.NOW],
        lead=ways[Delivery.LEAD],
        hold=ways[Delivery.HOLD],
    )


def sum_counts(parts: Iterable[Counts]) -> Counts:
    return sum(parts, Counts())


_values = msgspec.structs.astuple
