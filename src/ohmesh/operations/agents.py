"""The verb about agents: what lives in the workers, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.model.agent import AgentView, HostView
from ohmesh.operations import arguments as a
from ohmesh.registry.fields import AGENTS
from ohmesh.registry.rows import AGENT_SOURCES, matcher
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.client import Client


class AgentList(Struct, frozen=True):
    """`total` counts all that are known, whether they match `filter` or not."""

    agents: list[AgentView]
    total: int = 0
    filter: str = ""

    def __iter__(self) -> Iterator[AgentView]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    def __str__(self) -> str:
        return "\n".join(
            f"{one.agent} {one.kind} {one.liveness} {one.running}/{one.slots} {', '.join(one.capabilities)}".rstrip()
            for one in self.agents
        )


async def list_agents(client: Client, arguments: a.ListAgents) -> AgentList:
    """Those of workers that are offline too, by worker and name."""
    agents = [agent for worker in await client.requests.list_hosts() for agent in agents_of(worker)]
    if not arguments.filter:
        return AgentList(agents, total=len(agents))
    selector = compile_selector(arguments.filter, AGENTS)
    is_meant = matcher(selector, AGENT_SOURCES, client.requests.now_ms())
    return AgentList([agent for agent in agents if is_meant(agent)], len(agents), str(selector))


def agents_of(worker: HostView) -> list[AgentView]:
    """Its agents by name, each with its own share of the load."""
    found: list[AgentView] = []
    for spec in sorted(worker.agents, key=lambda spec: spec.agent):
        running, slots = worker.agent_loads.get(spec.agent, (0, 0))
        found.append(
            AgentView(
                agent=spec.agent,
                worker=worker.host,
                name=spec.agent.rpartition("/")[2],
                kind=spec.kind,
                capabilities=spec.capabilities,
                running=running,
                slots=slots,
                liveness=worker.liveness,
                duty=worker.duty,
                last_seen_ms=worker.last_seen_ms,
            )
        )
    return found
