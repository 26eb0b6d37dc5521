"""Quarantine: agents that are off duty because of conflicts, and the evidence that is held back with them.

An agent is in it as long as one conflict holds it there, so what releases it for one leaves it in for another. What is
held ends in one of two ways, by a rule or by a person, and says by whom: *released*, the agent goes back to duty and
its evidence counts; *discarded*, the evidence counts for nothing, and the agent goes back to duty only where it was
put right. Rules: a method that cleared an agent releases it; what nobody decided for `keep_ms` is discarded, and its
agents stay off duty until a person releases them.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

KEEP_MS = 7 * 86_400_000


class Held(Struct, frozen=True):
    conflict: str
    agents: tuple[str, ...]
    evidence: tuple[bytes, ...]
    since_ms: int


class Quarantine:
    """Agents are ids. What goes in comes from conflicts that are open, so it is bounded as they are."""

    def __init__(self, *, keep_ms: int = KEEP_MS) -> None:
        self.keep_ms = keep_ms
        self._held: dict[str, Held] = {}
        self._holds: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def agents(self) -> tuple[str, ...]:
        return tuple(self._holds)

    def find(self, conflict: str) -> Held | None:
        return self._held.get(conflict)

    def put(
        self, conflict: str, agents: Iterable[str], evidence: Iterable[bytes], now_ms: int
    ) -> tuple[str, ...]:
        """Those who were not in it before: to be taken off duty."""
        before = self._held.get(conflict)
        merged = dict.fromkeys((*(before.agents if before else ()), *agents))
        kept = dict.fromkeys((*(before.evidence if before else ()), *(each for each in evidence if each)))
        since_ms = before.since_ms if before else now_ms
        self._held[conflict] = Held(conflict, tuple(merged), tuple(kept), since_ms)
        fresh = tuple(agent for agent in merged if agent not in self._holds)
        for agent in merged:
            self._holds.setdefault(agent, set()).add(conflict)
        return fresh

    def release(self, conflict: str, agents: Iterable[str] | None = None) -> tuple[str, ...]:
        """All that it holds, or these of it. Those whom nothing holds any more: back to duty."""
        held = self._held.get(conflict)
        if held is None:
            return ()
        wanted = set(held.agents if agents is None else agents)
        free: list[str] = []
        left: list[str] = []
        for agent in held.agents:
            if agent not in wanted:
                left.append(agent)
                continue
            holds = self._holds[agent]
            holds.discard(conflict)
            if not holds:
                del self._holds[agent]
                free.append(agent)
        if left:
            self._held[conflict] = Held(conflict, tuple(left), held.evidence, held.since_ms)
        else:
            del self._held[conflict]
        return tuple(free)

    def discard(self, conflict: str, cleared: Iterable[str] = ()) -> tuple[str, ...]:
        """The evidence counts for nothing. Of its agents, those in `cleared` that nothing else holds go back to duty;
        the others stay where they are, until a person releases them."""
        free = self.release(conflict, cleared)
        held = self._held.get(conflict)
        if held is not None:
            self._held[conflict] = Held(conflict, held.agents, (), held.since_ms)
        return free

    def expired(self, now_ms: int) -> tuple[str, ...]:
        """Conflicts whose evidence has been held for too long."""
        return tuple(
            held.conflict
            for held in self._held.values()
            if held.evidence and now_ms - held.since_ms >= self.keep_ms
        )
