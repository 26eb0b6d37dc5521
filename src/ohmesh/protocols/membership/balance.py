"""Fair shares: how the roles of one mesh are spread over the processes that live.

Roles of one family ("dispatcher-0", "dispatcher-1", ...) are alike. A spread is fair when nobody holds two more of a
family, or two more of all roles, than another who could hold them. One that is fair moves nothing, and each move makes
one that is not fairer: a process that comes takes only its share, from those that have most.

Everything follows from who holds what, so processes that see the same agree without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

Serves = Mapping[str, Collection[str]]
"""Process -> the roles that it can run."""


@dataclass(frozen=True, slots=True)
class Spread:
    """queues: orphan -> the processes that could take it, who should first. moves: role -> to whom it should go."""

    queues: Mapping[str, list[str]]
    moves: Mapping[str, str]


def family_of(role: str) -> str:
    """The family of "dispatcher-12" is "dispatcher"; a name without a number is a family of its own."""
    name, _, number = role.rpartition("-")
    return name if name and number.isdecimal() else role


def spread(held: Mapping[str, str], orphans: Iterable[str], living: Serves) -> Spread:
    """held: role -> its owner, where that lives. An orphan counts for whom it is expected to go to."""
    shares = _Shares(held)
    queues = {}
    for role in sorted(orphans, key=_in_order):
        queue = sorted(
            (name for name, serves in living.items() if role in serves),
            key=lambda name: shares.load(family_of(role), name),
        )
        if queue:
            queues[role] = queue
            shares.add(role, queue[0])
    places = dict(held)
    while (move := next(_unfair(places, shares, living), None)) is not None:
        role, heir = move
        shares.move(role, places[role], heir)
        places[role] = heir
    return Spread(queues, {role: heir for role, heir in places.items() if heir != held[role]})


class _Shares:
    """How much each process has: of each family, and of all."""

    def __init__(self, held: Mapping[str, str]) -> None:
        self.of_family = Counter((family_of(role), owner) for role, owner in held.items())
        self.of_all = Counter(held.values())

    def load(self, family: str, process: str) -> tuple[int, int, str]:
        return (self.of_family[family, process], self.of_all[process], process)

    def add(self, role: str, process: str) -> None:
        self.of_family[family_of(role), process] += 1
        self.of_all[process] += 1

    def move(self, role: str, owner: str, heir: str) -> None:
        self.of_family[family_of(role), owner] -= 1
        self.of_all[owner] -= 1
        self.add(role, heir)

    def is_fairer(self, family: str, owner: str, heir: str) -> bool:
        """Whether one of the family should go from `owner` to `heir`. Each such move makes the sum of squares of a
        family smaller, or leaves it and makes that of all smaller; so they come to an end."""
        surplus = self.of_family[family, owner] - self.of_family[family, heir]
        return surplus >= 2 or (surplus == 1 and self.of_all[owner] - self.of_all[heir] >= 2)


def _unfair(places: Mapping[str, str], shares: _Shares, living: Serves) -> Iterator[tuple[str, str]]:
    """Moves that make it fairer, the best first: from who has most to who has least, the highest number first."""
    owned: dict[tuple[str, str], list[str]] = {}
    for role, owner in places.items():
        owned.setdefault((family_of(role), owner), []).append(role)
    for family, owner in sorted(owned, key=lambda each: (shares.load(*each), each), reverse=True):
        for heir in sorted(living, key=lambda name: shares.load(family, name)):
            if not shares.is_fairer(family, owner, heir):
                continue
            for role in sorted(owned[family, owner], key=_in_order, reverse=True):
                if role in living[heir]:
                    yield role, heir


def _in_order(role: str) -> tuple[int, str]:
    """So that "dispatcher-9" comes before "dispatcher-10"."""
    return (len(role), role)
