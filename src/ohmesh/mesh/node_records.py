"""What an orchestrator knows of the nodes: what the mesh says of them now, and what its own dispatches have shown.

A node is an agent, named as the mesh names it (`<worker>/<agent>`). What the mesh no longer knows is forgotten, so
records are bounded by the mesh's own bound on workers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ohmesh.mesh.observation import Observation
from ohmesh.model.agent import AgentView, Duty, Liveness
from ohmesh.policies.breaker import Breaker, BreakerConfig, BreakerEvent, BreakerState
from ohmesh.policies.classic_routing import UNKNOWN_LATENCY_MS, Candidate, ranked, smoothed_latency_ms

_GONE = (Liveness.OFFLINE, Liveness.LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationConfig:
    """fleet_ms: what the mesh said of its agents is believed for so long. watch_s: how often the node of a task that
    has not ended is looked at. events: transitions of breakers that are kept."""

    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    fleet_ms: int = 500
    watch_s: float = 1.0
    events: int = 100


@dataclass(slots=True)
class NodeRecord:
    """latency_ms: the moving average, None before the first success. active: dispatches that have not ended."""

    breaker: Breaker
    latency_ms: float | None = None
    active: int = 0
    dispatched: int = 0

    def measure(self, sample_ms: float) -> None:
        self.latency_ms = smoothed_latency_ms(self.latency_ms, sample_ms)


class NodeRecords:
    def __init__(self, mesh: Observation, config: OrchestrationConfig) -> None:
        self.agents: dict[str, AgentView] = {}
        self.events: deque[BreakerEvent] = deque(maxlen=config.events)
        self._mesh = mesh
        self._config = config
        self._records: dict[str, NodeRecord] = {}
        self._seen_ms: int | None = None
        self._looking = asyncio.Lock()

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)

    async def look(self, *, at_most_old_ms: int | None = None) -> None:
        """Hear of the agents anew, unless that was done a moment ago; those who ask together ask once."""
        limit_ms = self._config.fleet_ms if at_most_old_ms is None else at_most_old_ms
        asked_ms = self.now_ms()
        async with self._looking:
            if self._seen_ms is not None and asked_ms - self._seen_ms < limit_ms:
                return
            listed = await self._mesh.agents()
            self._seen_ms = self.now_ms()
            self.agents = {one.agent: one for one in listed}
            for name in [
                name for name, one in self._records.items() if name not in self.agents and not one.active
            ]:
                del self._records[name]

    def record(self, node: str) -> NodeRecord:
        found = self._records.get(node)
        if found is None:
            found = self._records[node] = NodeRecord(Breaker(node, self._config.breaker))
        return found

    def ranking(self, task_type: str) -> list[AgentView]:
        """Live agents that can do it, the best first. One whose kind it is matches as a specialist; one that has it
        among its capabilities can do it too."""
        candidates = [
            Candidate(
                one.agent,
                one.kind == task_type,
                self._latency_ms(one.agent),
                max(one.running, self._active(one.agent)),
                is_alive=is_alive(one),
            )
            for one in self.agents.values()
            if task_type == one.kind or task_type in one.capabilities
        ]
        return [self.agents[candidate.node] for candidate in ranked(candidates)]

    def is_gone(self, node: str) -> bool:
        """It will not do what it was given: its worker is offline, has left, or does not have it any more."""
        one = self.agents.get(node)
        return one is None or one.liveness in _GONE

    def note(self, events: Iterable[BreakerEvent]) -> None:
        self.events.extend(events)

    def admits(self, node: str) -> bool:
        breaker = self.record(node).breaker
        self.note(breaker.look(self.now_ms()))
        return breaker.admits()

    def circuit_states(self) -> dict[str, BreakerState]:
        """Of all nodes that the mesh knows; one that was never dispatched to is CLOSED."""
        now_ms = self.now_ms()
        for one in self._records.values():
            self.note(one.breaker.look(now_ms))
        return {
            name: self._records[name].breaker.state if name in self._records else BreakerState.CLOSED
            for name in self.agents
        }

    def latencies_ms(self) -> dict[str, float]:
        """Of the nodes that were measured."""
        return {name: one.latency_ms for name, one in self._records.items() if one.latency_ms is not None}

    def dispatched(self) -> dict[str, int]:
        return {name: one.dispatched for name, one in self._records.items() if one.dispatched}

    def _latency_ms(self, node: str) -> float:
        found = self._records.get(node)
        return UNKNOWN_LATENCY_MS if found is None or found.latency_ms is None else found.latency_ms

    def _active(self, node: str) -> int:
        found = self._records.get(node)
        return 0 if found is None else found.active


def is_alive(agent: AgentView) -> bool:
    return agent.liveness is Liveness.ACTIVE and agent.duty is Duty.READY
