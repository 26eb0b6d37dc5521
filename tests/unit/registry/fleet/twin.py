"""A fleet as a dictionary of agents, written for clearness: what the registry is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ohmesh.model.agent import Duty
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES, profile_code

NEVER = -1.0


@dataclass
class Agent:
    host: str
    class_code: int
    profile: str
    heartbeat_ms: int
    liveness: str = "joining"
    imposed: Duty = Duty.READY
    reported: Duty = Duty.READY
    capabilities: set[str] = field(default_factory=set)
    name: str = ""
    lead_ms: float = 0.0
    average_ms: float = NEVER
    task: str = ""

    @property
    def duty(self) -> Duty:
        return self.reported if self.imposed is Duty.READY else self.imposed


class Beat(NamedTuple):
    at_ms: int
    lead_ms: float
    task: str
    liveness: str
    duty: Duty


class Twin:
    def __init__(self, base_ms: list[float], defaults: list[tuple[str, ...]]) -> None:
        self.agents: dict[int, Agent] = {}
        self._base_ms = base_ms
        self._defaults = defaults

    def insert(self, row: int, agent: Agent) -> bool:
        there = self.agents.get(row)
        if there and there.liveness not in ("left", "offline") and there.host != agent.host:
            return False
        agent.capabilities |= set(self._defaults[agent.class_code])
        agent.lead_ms = self._base_ms[agent.class_code]
        self.agents[row] = agent
        return True

    def heartbeat(self, row: int, host: str, beat: Beat) -> str:
        """The liveness before, `refused` or `late`."""
        agent = self.agents.get(row)
        if agent is None or agent.host != host or agent.liveness == "left":
            return "refused"
        if agent.heartbeat_ms > beat.at_ms:
            return "late"
        if agent.average_ms > 0:
            agent.average_ms += (agent.lead_ms - agent.average_ms) * 2 / 101
        else:
            agent.average_ms = 0.0 if agent.average_ms < 0 else agent.lead_ms
        agent.lead_ms, agent.heartbeat_ms, agent.task = beat.lead_ms, beat.at_ms, beat.task
        agent.reported = beat.duty
        before, agent.liveness = agent.liveness, beat.liveness
        return before

    def sweep(self, now_ms: int) -> dict[int, tuple[str, str]]:
        moved = {}
        for row, agent in self.agents.items():
            profile = HEARTBEAT_PROFILES[profile_code(agent.profile)]
            silence_ms = now_ms - agent.heartbeat_ms
            before = agent.liveness
            if before in ("joining", "active", "suspect") and silence_ms >= profile.dead_ms:
                agent.liveness = "offline"
            elif before == "active" and silence_ms >= profile.suspect_ms:
                agent.liveness = "suspect"
            if agent.liveness != before:
                moved[row] = (before, agent.liveness)
        return moved
