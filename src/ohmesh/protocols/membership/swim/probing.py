"""Whom to ask next, and what the asking came to.

Members are asked in a shuffled order, each once a round, so that a dead one is found within two rounds at the latest;
new ones come in at a random place (SWIM, section 4.3). A probe asks directly; after the timeout through others, who
also say when they hear nothing: nacks that are missing say that it is us who do not hear (Lifeguard, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.protocols.membership.swim.members import Member, Members
from ohmesh.protocols.membership.swim.random_below import RandomBelow, shuffled


@dataclass(slots=True)
class Probe:
    """asks_others_ms, ends_ms: when others are asked, and when it has failed. nacks: still awaited ones."""

    number: int
    target: str
    asks_others_ms: float
    ends_ms: float
    is_acked: bool = False
    has_asked_others: bool = False
    nacks_wanted: int = 0
    nacks: int = 0

    @property
    def due_ms(self) -> float:
        return self.ends_ms if self.is_acked or self.has_asked_others else self.asks_others_ms

    @property
    def awareness_change(self) -> int:
        """What it says about ourselves."""
        if self.is_acked:
            return -1
        return self.nacks_wanted - self.nacks if self.nacks_wanted else 1


@dataclass(slots=True)
class Errand:
    """Somebody asked us to ask: to whom the answer goes, when we say that there was none, and when it is over."""

    address: str
    number: int
    nack_ms: float
    ends_ms: float
    has_nacked: bool = False

    @property
    def due_ms(self) -> float:
        return self.ends_ms if self.has_nacked else self.nack_ms


class Round:
    """The shuffled order; it is drawn anew when everybody was asked."""

    def __init__(self, random_below: RandomBelow) -> None:
        self._random_below = random_below
        self._order: list[str] = []
        self._place = 0

    def add(self, member: str) -> None:
        """At a random place among all; before the mark it waits for the next round."""
        place = self._random_below(len(self._order) + 1)
        self._order.insert(place, member)
        if place < self._place:
            self._place += 1

    def hasten(self, member: str) -> None:
        """It is asked next."""
        self._order.insert(self._place, member)

    def next(self, members: Members, own: str) -> Member | None:
        for _ in range(len(self._order) + 1):
            if self._place >= len(self._order):
                self._order = shuffled([each.id for each in members if each.is_here], self._random_below)
                self._place = 0
                if not self._order:
                    return None
            member = members.get(self._order[self._place])
            self._place += 1
            if member is not None and member.is_here and member.id != own:
                return member
        return None
