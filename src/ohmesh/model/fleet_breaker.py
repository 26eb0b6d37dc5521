"""Breakers of the regions of a fleet: what is asked about them, and the answers."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.model.fleet_message import Id


class AskBreakers(Struct, frozen=True, tag="breakers"):
    """Of all regions."""


class MoveBreaker(Struct, frozen=True, tag="move_breaker", kw_only=True):
    """By hand. part: mesh, s007 or s007.c04."""

    part: Id
    is_open: bool


BreakerQuestion = AskBreakers | MoveBreaker


class BreakerLine(Struct, frozen=True, kw_only=True):
    """One that is not closed. state: open or half_open. failures: of its agents within the window, as many as are
    kept; of the mesh the sectors that are open. by_hand: it closes by hand only."""

    part: str
    state: str
    failures: int
    by_hand: bool = False


class BreakersPage(Struct, frozen=True, kw_only=True):
    """breakers: mesh first, then sectors, then clusters. is_open: of the mesh, so nobody is asked anything."""

    breakers: tuple[BreakerLine, ...] = ()
    is_open: bool = False

    def __len__(self) -> int:
        return len(self.breakers)
