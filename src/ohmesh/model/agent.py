"""Agents and the hosts that run them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

HOST_CAPABILITY = "host:"


def host_capability(host: str) -> str:
    """What every agent of this host offers beside what it declares: a task that requires it runs there, or waits."""
    return HOST_CAPABILITY + host


class Liveness(StrEnum):
    JOINING = "joining"
    ACTIVE = "active"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    LEFT = "left"


class Duty(StrEnum):
    READY = "ready"
    DEGRADED = "degraded"
    QUARANTINED = "quarantined"
    DRAINING = "draining"
    FROZEN = "frozen"


class AgentSpec(Struct, array_like=True, frozen=True):
    """What an agent does and how much of it: declared by `@agent`, announced by its host.

    agent: its id, unique in the mesh: `<host>/<name>`.
    slots: how many tasks it may hold at once now; its host widens and narrows it by the measured duration.
    timeout_ms, max_attempts: the kind's defaults for tasks that do not say; 0 leaves it to the mesh.
    """

    agent: str
    kind: str
    capabilities: tuple[str, ...] = ()
    slots: int = 1
    timeout_ms: int = 0
    max_attempts: int = 0


class AgentView(Struct, frozen=True):
    """An agent as a person asks for it; state, duty and last sight are those of its worker.

    slots: how many tasks it may hold at once now; 0 while its worker is not heard of.
    """

    agent: str
    worker: str
    name: str
    kind: str
    capabilities: tuple[str, ...]
    running: int
    slots: int
    liveness: Liveness
    duty: Duty
    last_seen_ms: int

    @property
    def free(self) -> int:
        return max(0, self.slots - self.running)


class HostView(Struct, frozen=True):
    """A worker as a person asks for it; kept while it is offline too.

    agent_loads: agent -> (tasks that it holds, tasks that it may hold at once); only while the worker is heard of.
    """

    host: str
    liveness: Liveness
    duty: Duty
    last_seen_ms: int
    running: int
    slots: int
    completed: int
    failed: int
    kinds: tuple[str, ...] = ()
    agents: tuple[AgentSpec, ...] = ()
    pid: int = 0
    version: str = ""
    agent_loads: dict[str, tuple[int, int]] = {}
