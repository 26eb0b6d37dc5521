"""PROVENANCE_TRACE: of values that contradict each other, the one with the stronger origin wins.

A fact counts with the strength that its origin signed; without a signature that holds it counts nothing, and who
holds one that is forged is blamed. Values are compared by the strength of their best origin, then by how many distinct
origins say the same; a tie is for a person. Then those that hold another value are told to update, and whoever still
does not hold the winner after that is blamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder, Evidence, Fact
from ohmesh.protocols.conflict.strategy import Heard, OrderAgents, Step, settled, unsettled

IsGenuine = Callable[[Fact], bool]


class ProvenanceTrace:
    """key: the fact that is contradicted; "" takes the one that the evidence names. known: facts of the reports.
    is_genuine: whether its origin signed exactly this; asked once for each fact."""

    def __init__(
        self,
        conflict: str,
        agents: tuple[str, ...],
        known: Iterable[Fact] = (),
        *,
        key: str = "",
        is_genuine: IsGenuine,
    ) -> None:
        facts = list(known)
        self._conflict = conflict
        self._key = key or next((fact.key for fact in facts), "")
        self._known = facts
        others = (fact.holder for fact in facts)
        self._agents = tuple(dict.fromkeys((*agents, *others)))
        self._is_genuine = is_genuine
        self._facts: list[Fact] = []
        self._forgers: tuple[str, ...] = ()
        self._winner: str | None = None

    def begin(self) -> Step:
        order = ConflictOrder(self._conflict, "facts", key=self._key)
        return Step((OrderAgents(self._agents, order),))

    def take(self, heard: Heard) -> Step:
        return self._weigh(heard) if self._winner is None else self._confirmed(heard)

    def decide(self, winner: str) -> Step:
        values = sorted({fact.value for fact in self._facts})
        if winner not in values:
            raise InvalidArgument(
                f"{winner!r} is none of the values.", hint=f"One of {', '.join(map(repr, values))}."
            )
        return self._update(winner)

    def _weigh(self, heard: Heard) -> Step:
        told = [fact for answer in heard.answers.values() for fact in _about(answer, self._key)]
        holders = {fact.holder for fact in told}
        # What an agent says itself stands before what others report of it.
        claimed = told + [fact for fact in self._known if fact.holder not in holders]
        self._facts = [fact for fact in claimed if not self._key or fact.key == self._key]
        if not self._facts:
            return unsettled("No agent told a fact.")
        strength: dict[str, int] = {}
        origins: dict[str, set[str]] = {}
        forgers: dict[str, None] = {}
        for fact in self._facts:
            strength.setdefault(fact.value, 0)
            origins.setdefault(fact.value, set())
            if not fact.signature:
                continue
            if not self._is_genuine(fact):
                forgers[fact.holder] = None
                continue
            strength[fact.value] = max(strength[fact.value], fact.strength)
            origins[fact.value].add(fact.origin)
        self._forgers = tuple(forgers)
        ranked = sorted(strength, key=lambda value: (-strength[value], -len(origins[value]), value))
        best = ranked[0]
        if not origins[best]:
            return unsettled(
                "No value has an origin that signed it.", blamed=self._forgers, left=tuple(ranked)
            )
        if len(ranked) > 1:
            second = ranked[1]
            if (strength[second], len(origins[second])) == (strength[best], len(origins[best])):
                return unsettled(
                    f"{best!r} and {second!r} are equally strong.", blamed=self._forgers, left=tuple(ranked)
                )
        return self._update(best)

    def _update(self, winner: str) -> Step:
        self._winner = winner
        weaker = tuple(dict.fromkeys(fact.holder for fact in self._facts if fact.value != winner))
        if not weaker:
            return self._end(())
        order = ConflictOrder(self._conflict, "update", key=self._key, value=winner)
        return Step((OrderAgents(weaker, order),))

    def _confirmed(self, heard: Heard) -> Step:
        weaker = dict.fromkeys(fact.holder for fact in self._facts if fact.value != self._winner)
        stubborn = tuple(
            agent for agent in weaker if agent not in heard.answers or not heard.answers[agent].done
        )
        return self._end(stubborn)

    def _end(self, stubborn: tuple[str, ...]) -> Step:
        winner = self._winner or ""
        blamed = tuple(dict.fromkeys((*self._forgers, *stubborn)))
        holders = dict.fromkeys(fact.holder for fact in self._facts)
        cleared = tuple(agent for agent in holders if agent not in blamed)
        if blamed:
            return unsettled(
                f"{winner!r} holds; {len(blamed)} agents do not take it or forged an origin.",
                blamed=blamed,
                left=(winner,),
            )
        return settled(f"{winner!r} has the stronger origin.", winner=winner, cleared=cleared)


def _about(answer: Evidence, key: str) -> list[Fact]:
    return [fact for fact in answer.facts if not key or fact.key == key]
