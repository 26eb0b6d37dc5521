"""The hosts of a shard and the slots of their agents, as the dispatcher of this epoch knows them.

A slot is taken by a live lease and by nothing else: what is free is the width less the leases, so no counter can leak.
All of it is volatile: a new epoch starts with the leases of the table, the widths come with the first report, and only
a host that reported in this epoch is granted anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ohmesh.model.agent import AgentSpec, Duty, host_capability
from ohmesh.model.envelope import slots_of
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.task_record import Task


@dataclass(slots=True, eq=False)
class AgentSlots:
    """One agent. `leases`: lease -> number of the Grants frame it went out in (0: an earlier epoch).
    wide: those of them that are of envelopes -> slots that they take.

    offers: what a task may require here: the agent's capabilities, and its host by name."""

    spec: AgentSpec
    host: HostSlots
    width: int = 0
    leases: dict[int, int] = field(default_factory=dict)
    wide: dict[int, int] = field(default_factory=dict)
    is_offered: bool = False
    offers: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.announce(self.spec)

    def announce(self, spec: AgentSpec) -> None:
        self.spec = spec
        self.offers = offers_of(spec)

    def free(self) -> int:
        if not self.host.takes_work:
            return 0
        taken = len(self.leases)
        if self.wide:
            taken += sum(self.wide.values()) - len(self.wide)
        return self.width - taken


@dataclass(slots=True, eq=False)
class HostSlots:
    """told: the last frame of grants that was sent; awaited: the one that its reports are to name, and since when."""

    name: str
    incarnation: int
    last_seen_ms: int
    lease_ms: int
    agents: dict[str, AgentSlots] = field(default_factory=dict)
    frames_sent: int = 0
    told: int = 0
    awaited: int = 0
    awaited_since_ms: int = 0
    is_deaf: bool = False
    reported: bool = False
    takes_envelopes: bool = False
    duty: Duty = Duty.READY
    completed: int = 0
    failed: int = 0

    @property
    def takes_work(self) -> bool:
        return self.reported and self.duty is Duty.READY and not self.is_deaf

    def leases(self) -> Iterator[tuple[int, AgentSlots]]:
        for agent in self.agents.values():
            for lease in agent.leases:
                yield lease, agent


class Fleet:
    """Who can take a task. For each kind a rotation of the agents with a free slot, so choosing never scans."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostSlots] = {}
        self.agents: dict[str, AgentSlots] = {}
        self._frames_sent: dict[str, int] = {}
        self._offered: dict[str, deque[AgentSlots]] = {}

    def join(self, name: str, incarnation: int, now_ms: int, lease_ms: int) -> HostSlots:
        """A host that is not here (new, or back after a silence). Its frames go on being counted where they were, so
        that one that comes back does not take new frames for repeated ones."""
        host = HostSlots(name, incarnation, now_ms, lease_ms, frames_sent=self._frames_sent.get(name, 0))
        self.hosts[name] = host
        return host

    def admit(self, host: HostSlots, specs: Iterable[AgentSpec]) -> None:
        """Take the agents of a host as they are announced; leases of agents that stayed are kept."""
        announced = {spec.agent: spec for spec in specs}
        for name, agent in list(host.agents.items()):
            if name not in announced:
                agent.width = 0
                if not agent.leases:
                    del self.agents[name]
                    del host.agents[name]
        for name, spec in announced.items():
            agent = host.agents.get(name) or AgentSlots(spec, host)
            if agent.spec.kind != spec.kind:
                # It stays in the rotation of its former kind, where it takes nothing any more.
                agent.width = 0
                agent = AgentSlots(spec, host, leases=agent.leases, wide=agent.wide)
            agent.announce(spec)
            agent.width = spec.slots
            host.agents[name] = self.agents[name] = agent
            self._offer(agent)

    def remove(self, host: HostSlots) -> None:
        """The host is gone. Its leases must have been ended before."""
        for name, agent in host.agents.items():
            agent.width = 0
            if agent.is_offered:
                # Where nothing waits nobody would take it out of the rotation.
                self._offered[agent.spec.kind].remove(agent)
            if self.agents.get(name) is agent:
                del self.agents[name]
        if self.hosts.get(host.name) is host:
            del self.hosts[host.name]
        self._frames_sent[host.name] = host.frames_sent

    def forget(self, host_name: str) -> None:
        """It is not expected back."""
        self._frames_sent.pop(host_name, None)

    def adopt(self, task: Task, record: HostRecord | None, *, now_ms: int, lease_ms: int) -> None:
        """A lease of an earlier epoch: it starts anew now, whether or not its host still lives."""
        name = task.agent
        agent = self.agents.get(name)
        if agent is None:
            host_name = name.rpartition("/")[0]
            host = self.hosts.get(host_name)
            if host is None:
                host = self.join(host_name, record.incarnation if record else 0, now_ms, lease_ms)
            known = [spec for spec in record.agents if spec.agent == name] if record else []
            agent = AgentSlots(known[0] if known else AgentSpec(name, task.submission.kind), host)
            host.agents[name] = self.agents[name] = agent
        agent.leases[task.lease] = 0
        if task.submission.items:
            agent.wide[task.lease] = slots_of(task.submission.items)

    def resize(self, agent_name: str, width: int) -> None:
        agent = self.agents.get(agent_name)
        if agent is not None:
            agent.width = width
            self._offer(agent)

    def release(self, agent_name: str, lease: int) -> None:
        agent = self.agents.get(agent_name)
        if agent is not None:
            agent.leases.pop(lease, None)
            if agent.wide:
                agent.wide.pop(lease, None)
            if not agent.is_offered:
                self._offer(agent)

    def offered(self, kind: str) -> deque[AgentSlots] | None:
        """The rotation of this kind; an agent whose slots are full by now is still in it and is to be dropped."""
        return self._offered.get(kind)

    def _offer(self, agent: AgentSlots) -> None:
        if not agent.is_offered and agent.free() > 0:
            agent.is_offered = True
            self._offered.setdefault(agent.spec.kind, deque()).append(agent)


def offers_of(spec: AgentSpec) -> frozenset[str]:
    """What a task may require of this agent."""
    return frozenset((*spec.capabilities, host_capability(spec.agent.rpartition("/")[0])))
