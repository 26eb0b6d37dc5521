"""CLOCK_RECONCILIATION: rebuild the order of events from what caused what, and name the clock that is wrong.

A hybrid stamp of an effect is higher than that of its cause. Where it is not, by d milliseconds, the clock of the
cause is ahead or that of the effect behind, by d together. One such pair blames both alike; several blame the agent
that is part of more of them, and among equals the one whose own measurement of its clock is further off. The order
follows causes alone, and stamps only between events that do not depend on each other. A circle of causes is no matter
of clocks, it is told to a person.
Source: Lamport, Time, Clocks and the Ordering of Events (1978); Kahn, Topological Sorting of Large Networks (1962).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder, StampedEvent
from ohmesh.model.hybrid_time import physical_ms
from ohmesh.protocols.conflict.strategy import Heard, OrderAgents, Step, settled, unsettled


class Inversion(Struct, frozen=True):
    """An effect that is not stamped after its cause; by_ms: the least that the two clocks differ."""

    cause: str
    effect: str
    cause_agent: str
    effect_agent: str
    by_ms: int


def causal_order(events: Iterable[StampedEvent]) -> tuple[list[str], list[str]]:
    """Ids in an order in which no effect comes before its cause; and those that lie on a circle or behind one."""
    by_id = {event.id: event for event in events}
    waits = {event.id: {cause for cause in event.causes if cause in by_id} for event in by_id.values()}
    effects: dict[str, list[str]] = {}
    for id_, causes in waits.items():
        for cause in causes:
            effects.setdefault(cause, []).append(id_)
    free = [(by_id[id_].stamp, id_) for id_, causes in waits.items() if not causes]
    heapq.heapify(free)
    order: list[str] = []
    while free:
        _, id_ = heapq.heappop(free)
        order.append(id_)
        for effect in effects.get(id_, ()):
            waits[effect].discard(id_)
            if not waits[effect]:
                heapq.heappush(free, (by_id[effect].stamp, effect))
    placed = set(order)
    return order, sorted(id_ for id_ in by_id if id_ not in placed)


def inversions(events: Iterable[StampedEvent]) -> list[Inversion]:
    by_id = {event.id: event for event in events}
    return [
        Inversion(
            cause.id,
            effect.id,
            cause.agent,
            effect.agent,
            physical_ms(cause.stamp) - physical_ms(effect.stamp),
        )
        for effect in by_id.values()
        for cause in (by_id[id_] for id_ in effect.causes if id_ in by_id)
        if effect.stamp <= cause.stamp
    ]


def drifting_clocks(found: list[Inversion], offsets_ms: Mapping[str, float]) -> tuple[str, ...]:
    """The clocks that explain all inversions, few of them: one, where one is enough; two that cannot be told apart
    stand both. offsets_ms: how far agents measured their own clocks to be off, as far as they are known."""
    left = list(found)
    named: list[str] = []
    while left:
        part = Counter(agent for one in left for agent in {one.cause_agent, one.effect_agent})
        rank = {agent: (count, abs(offsets_ms.get(agent, 0.0))) for agent, count in part.items()}
        best = max(rank.values())
        wrong = sorted(agent for agent in rank if rank[agent] == best)
        if len(wrong) > 1:
            pairs = [{one.cause_agent, one.effect_agent} for one in left]
            wrong = wrong if any(pair <= set(wrong) and len(pair) > 1 for pair in pairs) else wrong[:1]
        named += wrong
        left = [one for one in left if not {one.cause_agent, one.effect_agent} & set(wrong)]
    return tuple(named)


class ClockReconciliation:
    """known: events of the reports. agents: those that are asked for theirs, and for how far their clocks are off."""

    def __init__(self, conflict: str, agents: tuple[str, ...], known: Iterable[StampedEvent] = ()) -> None:
        self._conflict = conflict
        self._known = list(known)
        others = (event.agent for event in self._known)
        self._agents = tuple(dict.fromkeys((*agents, *others)))
        self._drifting: tuple[str, ...] = ()
        self._order: list[str] = []

    def begin(self) -> Step:
        return Step((OrderAgents(self._agents, ConflictOrder(self._conflict, "events")),))

    def take(self, heard: Heard) -> Step:
        return self._confirmed(heard) if self._drifting else self._rebuild(heard)

    def decide(self, winner: str) -> Step:
        """The agent whose clock is wrong."""
        if winner not in self._agents:
            raise InvalidArgument(
                f"{winner!r} is no agent of this conflict.", hint=f"One of {', '.join(self._agents)}."
            )
        return self._resync((winner,))

    def _rebuild(self, heard: Heard) -> Step:
        events = {event.id: event for event in self._known}
        for answer in heard.answers.values():
            events.update((event.id, event) for event in answer.events)
        if not events:
            return unsettled("No agent told its events.")
        self._order, circle = causal_order(events.values())
        if circle:
            return unsettled("These events cause each other; no order exists.", left=tuple(circle))
        found = inversions(events.values())
        if not found:
            return settled("The events are in causal order.", winner=" < ".join(self._order))
        offsets = {
            agent: answer.offset_ms for agent, answer in heard.answers.items() if answer.offset_ms is not None
        }
        wrong = drifting_clocks(found, offsets)
        pairs = [{one.cause_agent, one.effect_agent} for one in found]
        if any(len(pair) > 1 and pair <= set(wrong) for pair in pairs):
            return unsettled("It cannot be told which of these clocks is wrong.", blamed=wrong, left=wrong)
        return self._resync(wrong)

    def _resync(self, wrong: tuple[str, ...]) -> Step:
        self._drifting = wrong
        return Step((OrderAgents(wrong, ConflictOrder(self._conflict, "resync")),))

    def _confirmed(self, heard: Heard) -> Step:
        deaf = tuple(
            agent for agent in self._drifting if agent not in heard.answers or not heard.answers[agent].done
        )
        if deaf:
            return unsettled("The clock is wrong and was not measured anew.", blamed=deaf, left=deaf)
        return settled(
            f"The clock of {', '.join(self._drifting)} was wrong and is measured anew.",
            winner=" < ".join(self._order),
            cleared=self._drifting,
        )
