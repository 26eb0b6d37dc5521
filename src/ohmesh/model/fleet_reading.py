"""What a registry says of agents, sectors and clusters, and whose registry it was."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.model.fleet_agent import FleetAgent
from ohmesh.model.fleet_request import OperationView

HOSTS_NAMED = 6


class Source(Struct, frozen=True):
    """Whose registry was read: of the orchestrator (""), or a replica of it, and how long ago that last heard of it."""

    replica: str = ""
    age_ms: float = 0.0

    def __str__(self) -> str:
        """\"\" where it is the registry itself."""
        if not self.replica:
            return ""
        return f"the orchestrator does not answer; this is what {self.replica} knew {self.age_ms / 1000:.1f} s ago"


ITSELF = Source()


class AgentsPage(Struct, frozen=True):
    agents: tuple[FleetAgent, ...]
    total: int
    after: int = -1
    source: Source = ITSELF


class ScopeView(Struct, frozen=True):
    """A sector or a cluster. lead: the process that leads or coordinates it.

    Of those that are heard of, people left out: impedance_ms is the mean, p50_ms and p95_ms come from sketches that
    add up (off by at most 1 %); None where there is nobody. health: 0..1. drift: the mean. degraded, unstable, spike:
    how many carry that flag. healthiest, sickest, fastest, slowest: of the clusters of a sector, of the agents of a
    cluster; "" where there is none.
    """

    scope: str
    agents: int
    active: int
    impedance_ms: float | None
    p95_ms: float | None
    lead: str
    mode: str = ""
    p50_ms: float | None = None
    health: float | None = None
    degraded: int = 0
    unstable: int = 0
    spike: int = 0
    drift: float | None = None
    healthiest: str = ""
    sickest: str = ""
    fastest: str = ""
    slowest: str = ""


class ScopesPage(Struct, frozen=True):
    scopes: tuple[ScopeView, ...]
    source: Source = ITSELF


class FleetDescription(Struct, frozen=True, kw_only=True):
    """now_us: mesh time of the answer.

    active: of the agents that the fleet has, those that are heard of and on duty. mode: what that allows. impedance:
    people are left out. healthiest, sickest, fastest, slowest: sectors, "" where there is none. shape: sectors,
    clusters of each, agents of each of those. conflicts_last_hour: how many were first reported in it, as the
    orchestrator remembers. conflict_rate: the part of the answers that it has heard that was a conflict."""

    agents: int
    active: int
    offline: int
    sectors: int
    healthy_sectors: int
    mode: str
    impedance_p50_ms: float
    impedance_p95_ms: float
    hosts: tuple[str, ...]
    orchestrator: str
    era: int
    view: int
    simulated: int
    operations: int
    last_operation: OperationView | None = None
    heartbeats: int = 0
    now_us: int = 0
    impedance_mean_ms: float = 0.0
    healthiest: str = ""
    sickest: str = ""
    fastest: str = ""
    slowest: str = ""
    shape: tuple[int, int, int] = (0, 0, 0)
    source: Source = ITSELF
    last_cascade: OperationView | None = None
    conflicts_last_hour: int = 0
    conflict_rate: float = 0.0

    @property
    def summary(self) -> str:
        """One line."""
        share = f" ({self.active / self.agents:.1%})" if self.agents else ""
        unreal = "all SIMULATED" if self.simulated == self.agents else f"{self.simulated:,} SIMULATED"
        return (
            f"{self.active:,} of {self.agents:,} agents active{share}, "
            f"{f'{unreal}, ' if self.simulated else ''}mode {self.mode}"
        )

    def __str__(self) -> str:
        hosts = ", ".join(self.hosts[:HOSTS_NAMED]) + (", ..." if len(self.hosts) > HOSTS_NAMED else "")
        named = ("healthiest", "sickest", "fastest", "slowest")
        outstanding = [f"{name} {getattr(self, name)}" for name in named if getattr(self, name)]
        of_sectors = ", ".join([f"{self.healthy_sectors:,} of {self.sectors:,} healthy", *outstanding])
        rate = f"{self.conflict_rate:.2%}"
        figures = f"p50 {self.impedance_p50_ms:.0f} ms, p95 {self.impedance_p95_ms:.0f} ms"
        lines = [
            f"fleet         {self.summary}",
            f"sectors       {of_sectors}",
            f"impedance     mean {self.impedance_mean_ms:.0f} ms, {figures}",
            f"processes     {len(self.hosts)}: {hosts}",
            f"orchestrator  {self.orchestrator}, era {self.era}, view {self.view}",
            f"conflicts     {self.conflicts_last_hour} in the last hour, {rate} of answers (K5: <= 1%)",
            f"last          {self.last_operation or 'no operation yet'}",
        ]
        if self.last_cascade is not None and self.last_cascade != self.last_operation:
            lines.append(f"last cascade  {self.last_cascade}")
        return "\n".join(lines)
