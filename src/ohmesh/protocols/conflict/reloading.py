"""RELOAD_KNOWN_GOOD: an agent's context is not the one that its hash says; it loads the last one that was good.

It is told to at most twice. It is cleared when it reports the hash that it was told; what others of its kind say
about it counts for nothing. Those that are not put right stay in quarantine, for a person.
"""

from __future__ import annotations

from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder
from ohmesh.protocols.conflict.strategy import Heard, OrderAgents, Step, Verdict, settled, unsettled

ATTEMPTS = 2


class KnownGood(Struct, frozen=True):
    """The last context of an agent that was verified. data: empty where the agent has a copy of its own."""

    context_hash: bytes
    data: bytes = b""
    depth: int = 0


class ReloadKnownGood:
    """good: what each agent is to load; those that are missing have none."""

    def __init__(self, conflict: str, agents: tuple[str, ...], good: dict[str, KnownGood]) -> None:
        self._conflict = conflict
        self._agents = agents
        self._good = good
        self._waiting = tuple(agent for agent in agents if agent in good)
        self._cleared: list[str] = []
        self._attempts = 0

    def begin(self) -> Step:
        if not self._waiting:
            return unsettled("No context is known that was good.", blamed=self._agents)
        return self._reload()

    def take(self, heard: Heard) -> Step:
        right = [
            agent
            for agent in self._waiting
            if agent in heard.answers and heard.answers[agent].context_hash == self._good[agent].context_hash
        ]
        self._cleared += right
        self._waiting = tuple(agent for agent in self._waiting if agent not in right)
        if self._waiting and self._attempts < ATTEMPTS:
            return self._reload()
        cleared = tuple(self._cleared)
        wrong = tuple(agent for agent in self._agents if agent not in self._cleared)
        if not wrong:
            return settled(f"{len(cleared)} agents loaded a context that was good.", cleared=cleared)
        outcome = f"{len(wrong)} of {len(self._agents)} agents do not have a good context."
        return Step(verdict=Verdict(False, outcome, cleared=cleared, blamed=wrong, left=wrong))

    def decide(self, winner: str) -> Step:
        raise InvalidArgument(
            "Between contexts that are wrong there is nothing to choose.",
            hint="Release its agents, or discard what they said.",
        )

    def _reload(self) -> Step:
        self._attempts += 1
        orders = []
        by_good: dict[KnownGood, list[str]] = {}
        for agent in self._waiting:
            by_good.setdefault(self._good[agent], []).append(agent)
        for good, agents in by_good.items():
            order = ConflictOrder(self._conflict, "reload", context_hash=good.context_hash, context=good.data)
            orders.append(OrderAgents(tuple(agents), order))
        return Step(tuple(orders))
