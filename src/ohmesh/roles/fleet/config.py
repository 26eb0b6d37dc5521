"""Settings of the fleet's roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ohmesh.errors import InvalidArgument
from ohmesh.model.subject import Subjects
from ohmesh.model.topology import MAX_SECTORS, Topology
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy


@dataclass(frozen=True, slots=True)
class Seat:
    """Who a process is, and in which fleet."""

    name: str
    subjects: Subjects
    topology: Topology


@dataclass(frozen=True, slots=True)
class FleetPorts:
    """blobs: where the state of agents is kept; without them nobody is frozen, and contexts end with the process."""

    bus: Bus
    clock: Clock
    entropy: Entropy
    blobs: Blobs | None = None


DEFAULT_SECTORS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """enabled: nodes take the role of the orchestrator of a fleet. agents: so many simulated ones are started here, in
    so many `hosts`. remote: places behind them for agents with a connection of their own, where there is room.
    faults: parts of the simulated ones that are unfit, as in "dead=0.03, drifting=0.01" (docs/fleet.md).
    sectors, clusters, cluster_size: the shape of the fleet, the same in every process; 0 sectors is as many as the
    agents need."""

    enabled: bool = False
    agents: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    hosts: Annotated[int, Meta(ge=1, le=64)] = 2
    faults: str = ""
    remote: Annotated[int, Meta(ge=0, le=100_000)] = 300
    sectors: Annotated[int, Meta(ge=0, le=1_000)] = 0
    clusters: Annotated[int, Meta(ge=1, le=100)] = 10
    cluster_size: Annotated[int, Meta(ge=1, le=1_000)] = 30

    @property
    def has_orchestrator(self) -> bool:
        return self.enabled or self.agents > 0

    @property
    def topology(self) -> Topology:
        """Raises InvalidArgument: more agents than the fleet has places."""
        size = self.clusters * self.cluster_size
        needed = -(-self.agents // size)
        sectors = self.sectors or max(
            DEFAULT_SECTORS, needed, min(MAX_SECTORS, needed + -(-self.remote // size))
        )
        if needed > sectors or sectors > MAX_SECTORS:
            raise InvalidArgument(
                f"{self.agents} agents do not fit into {min(sectors, MAX_SECTORS)} sectors of {size}.",
                hint="Make clusters larger: fleet.cluster_size.",
            )
        return Topology(sectors, self.clusters, self.cluster_size)

    @property
    def remote_places(self) -> tuple[int, int]:
        """(first row, how many) of those that are kept for agents with a connection of their own."""
        size = self.clusters * self.cluster_size
        first = -(-self.agents // size) * size
        return first, max(0, min(self.remote, self.topology.size - first))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHostConfig:
    """beat_ms: a process says so often that it lives. heartbeat_ms: each agent is heard of so often, in frames of one
    sector, spread over that time. operations: so many are remembered, to know what was asked already. asked_ms: of who
    has not answered after this long it is told that it was asked. fold_ms: answers that come within this time are told
    together, and at once when nobody is waited for."""

    beat_ms: int = 1_000
    heartbeat_ms: int = 5_000
    operations: int = 2_000
    asked_ms: int = 50
    fold_ms: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorConfig:
    """dead_ms: a process that has not been heard of for so long is gone, and its roles are others'. view_ms: the view
    is told again so often. settle_ms: after it took over it waits so long for processes to present themselves before it
    takes anybody for gone. repeat_ms: who has not said that it took an operation is told again after this long.
    operations: so many are held; older ones are in history. late_ms: so long after its decision answers are waited for.
    look_ms: it looks so often who is silent, and tries again so soon what the engine did not take. recall_ms: of an
    operation of its predecessor it waits so long for what others know, before it judges it. replica_ms: what changes
    in the registry is told so often to those who keep a replica of it. leads_ms: what was learnt about leads is kept so
    often, and less often where keeping it takes long.
    """

    dead_ms: int = 3_000
    view_ms: int = 2_000
    settle_ms: int = 3_000
    repeat_ms: int = 150
    operations: int = 1_000
    late_ms: int = 2_000
    look_ms: int = 500
    recall_ms: int = 700
    replica_ms: int = 500
    leads_ms: int = 60_000
