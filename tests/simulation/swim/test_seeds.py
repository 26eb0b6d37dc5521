"""SWIM keeps its promises under a thousand seeds of disaster, and every planted bug is found out by one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from ohmesh.protocols.membership.swim.messages import (
    Alive,
    Dead,
    Known,
    News,
    Packet,
    Standing,
    Suspect,
    View,
)
from ohmesh.protocols.membership.swim.settings import SwimSettings
from ohmesh.protocols.membership.swim.swim import Swim
from tests.simulation.swim.disaster import PromiseBroken, run

SEEDS = 10_000 if int(os.environ.get("OHMESH_SEEDS", "0")) >= 1000 else 1000
CHUNK = 50


class NeverRefutes(Swim):
    def _refute(self, incarnation: int, now_ms: float) -> None:
        pass


class RefutesWithItsOldIncarnation(Swim):
    def _refute(self, incarnation: int, now_ms: float) -> None:
        self._rumours.add(self._own)


class BelievesOldAccusations(Swim):
    def _suspect(self, news: Suspect, now_ms: float) -> None:
        known = self.members.get(news.member)
        later = known.incarnation if known is not None else news.incarnation
        super()._suspect(Suspect(news.member, max(news.incarnation, later), news.accuser), now_ms)


class AsksNobodyElse(Swim):
    """No indirect probes: each lost packet is a suspicion."""

    def __init__(
        self, own: Alive, settings: SwimSettings, random_below: Callable[[int], int], *, now_ms: float = 0.0
    ) -> None:
        super().__init__(own, replace(settings, indirect=0), random_below, now_ms=now_ms)


class NeverAsksTheDead(Swim):
    """memberlist: two halves that hold each other for dead never meet again."""

    def _exchange(self) -> None:
        for other in self.members.some(1, lambda each: each.is_here and each.id != self.id):
            self._packets.append(Packet(other.address, View(self.id, self.members.view(), True)))


class TellsNewsOnce(Swim):
    def _news(self, room_bytes: int) -> tuple[News, ...]:
        return self._rumours.take(room_bytes, 1)


class BelievesSuspicionsInViews(Swim):
    """Whom another suspects is dead at once, so one mistake kills."""

    def _merge_row(self, row: Known, source: str, now_ms: float) -> None:
        if row.standing is Standing.SUSPECT:
            self._dead(Dead(row.member, row.incarnation, source), now_ms)
        else:
            super()._merge_row(row, source, now_ms)


@dataclass(frozen=True, slots=True)
class Planted:
    seed: int
    kind: type[Swim]


PLANTED = [
    Planted(1, NeverRefutes),
    Planted(1, RefutesWithItsOldIncarnation),
    Planted(126, BelievesOldAccusations),
    Planted(15, AsksNobodyElse),
    Planted(8, NeverAsksTheDead),
    Planted(4, TellsNewsOnce),
    Planted(42, BelievesSuspicionsInViews),
]


@pytest.mark.parametrize("planted", [pytest.param(each, id=each.kind.__name__) for each in PLANTED])
def test_a_planted_bug_is_found_out(planted: Planted) -> None:
    with pytest.raises(PromiseBroken):
        run(planted.seed, planted.kind)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_groups_keep_their_promises(first: int) -> None:
    for seed in range(first, first + CHUNK):
        run(seed)
