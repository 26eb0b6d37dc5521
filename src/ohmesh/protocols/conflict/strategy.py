"""What a way of settling conflicts is: rounds of orders, and then a verdict.

    step = strategy.begin()
    while step.verdict is None:
        step = strategy.take(<what was heard of step's orders>)

A strategy knows no clock and no wire. Whoever runs it carries the orders of a step out, waits until all have answered
or are given up, and hands in what was heard, once a step. Every strategy ends after a bounded number of rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from ohmesh.model.conflict_evidence import ConflictOrder, Evidence


class OrderAgents(Struct, frozen=True):
    """These agents are to do this; each answers with Evidence."""

    agents: tuple[str, ...]
    order: ConflictOrder


class RevokeCapability(Struct, frozen=True):
    """In the registry: they do not have it any more, whatever they declared."""

    agents: tuple[str, ...]
    capability: str


class RerouteWork(Struct, frozen=True):
    """What these agents were asked in `operation` goes to others that have `capability`; heard of as `moved_to`."""

    operation: str
    agents: tuple[str, ...]
    capability: str


Order = OrderAgents | RevokeCapability | RerouteWork


class Verdict(Struct, frozen=True):
    """is_settled: nothing is left for a person. winner: the value that holds, where there were several. cleared:
    agents that are right, or were put right. blamed: those that are at fault and were not. left: what is open."""

    is_settled: bool
    outcome: str
    winner: str = ""
    cleared: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """Either orders, or a verdict."""

    orders: tuple[Order, ...] = ()
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """answers: of those that answered. moved_to: who took over what was rerouted."""

    answers: Mapping[str, Evidence] = field(default_factory=dict)
    moved_to: tuple[str, ...] = ()


class Strategy(Protocol):
    def begin(self) -> Step: ...

    def take(self, heard: Heard) -> Step:
        """Call once for each step that had orders."""
        ...

    def decide(self, winner: str) -> Step:
        """A person has chosen, after a verdict that left something open: what is still to be done. Raises
        InvalidArgument: that is none of the choices."""
        ...


def settled(outcome: str, *, winner: str = "", cleared: tuple[str, ...] = ()) -> Step:
    return Step(verdict=Verdict(True, outcome, winner, cleared))


def unsettled(outcome: str, *, blamed: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> Step:
    return Step(verdict=Verdict(False, outcome, blamed=blamed, left=left))
