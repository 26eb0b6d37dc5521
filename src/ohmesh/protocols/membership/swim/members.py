"""What is known of each member, and which word prevails.

Of two words about one member the one of the higher incarnation prevails; of one incarnation dead over suspect over
alive. So only the member itself can take back what was said of it, by a higher incarnation. Source: SWIM, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ohmesh.protocols.membership.swim.messages import Known, Standing
from ohmesh.protocols.membership.swim.random_below import RandomBelow


@dataclass(slots=True)
class Member:
    """changed_ms, joined_ms: when we learnt of its standing, and of itself."""

    id: str
    address: str
    meta: bytes
    incarnation: int
    standing: Standing
    changed_ms: float
    joined_ms: float

    @property
    def is_here(self) -> bool:
        return self.standing in (Standing.ALIVE, Standing.SUSPECT)


class Members:
    """`lost`: the addresses of those who died and were forgotten; after a partition somebody has to ask there first."""

    def __init__(self, random_below: RandomBelow) -> None:
        self._random_below = random_below
        self._by_id: dict[str, Member] = {}
        self._order: list[Member] = []
        self._lost: dict[str, str] = {}
        self.here = 0

    def __iter__(self) -> Iterator[Member]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)

    def get(self, member: str) -> Member | None:
        return self._by_id.get(member)

    def add(self, member: Member) -> None:
        self._by_id[member.id] = member
        self._order.append(member)
        self._lost.pop(member.id, None)
        self.here += member.is_here

    def change(self, member: Member, standing: Standing, now_ms: float) -> None:
        was_here = member.is_here
        member.standing, member.changed_ms = standing, now_ms
        self.here += member.is_here - was_here

    def forget_dead(self, before_ms: float) -> list[str]:
        gone = [each for each in self._order if not each.is_here and each.changed_ms < before_ms]
        if gone:
            self._order = [each for each in self._order if each.is_here or each.changed_ms >= before_ms]
            for member in gone:
                del self._by_id[member.id]
                if member.standing is Standing.DEAD:
                    self._lost[member.id] = member.address
        return [each.id for each in gone]

    def some(self, count: int, is_wanted: Callable[[Member], bool]) -> list[Member]:
        """At most `count` different ones, drawn; where few are wanted it may find fewer than there are."""
        found: list[Member] = []
        for _ in range(min(TRIES * count + len(self._order), TRIES * TRIES * count) if self._order else 0):
            member = self._order[self._random_below(len(self._order))]
            if is_wanted(member) and member not in found:
                found.append(member)
                if len(found) == count:
                    break
        return found

    def somebody_lost(self) -> str | None:
        """The address of one who is thought dead, remembered or forgotten."""
        addresses = [each.address for each in self._order if each.standing is Standing.DEAD]
        addresses += self._lost.values()
        return addresses[self._random_below(len(addresses))] if addresses else None

    def forget_lost(self, most: int) -> None:
        while len(self._lost) > most:
            del self._lost[next(iter(self._lost))]

    def view(self) -> tuple[Known, ...]:
        return tuple(
            Known(each.id, each.incarnation, each.address, each.meta, each.standing) for each in self
        )


TRIES = 4
