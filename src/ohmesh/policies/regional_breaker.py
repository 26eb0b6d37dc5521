"""Circuit breakers of the regions of a fleet: clusters, sectors and the mesh as a whole.

A failure of an agent counts for its cluster and its sector. A cluster opens at the 6th failure within 60 s, a sector at
the 51st, the mesh when 11 sectors are open at a time. What goes to an agent has to be let through by all three.

The mesh has no timer of its own: probes of the sectors go on while it is open, and it closes when none of them is open
any more (HALF_OPEN will do: then trials flow again), or by hand. It opens when a further sector does, so a person who
closes it while many are still open is not overruled at the next failure. One that was opened by hand is closed by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Scope
from ohmesh.model.topology import Topology
from ohmesh.policies.breaker import BreakerState
from ohmesh.policies.region_breakers import (
    CLOSED,
    CLUSTER_BREAKERS,
    OPEN,
    SECTOR_BREAKERS,
    RegionBreakers,
    RegionConfig,
    Regions,
    Transition,
)

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalConfig:
    """open_sectors: so many open at a time open the mesh."""

    clusters: RegionConfig = CLUSTER_BREAKERS
    sectors: RegionConfig = SECTOR_BREAKERS
    open_sectors: int = 11

    def __post_init__(self) -> None:
        if self.open_sectors < 1:
            raise InvalidArgument(
                f"RegionalConfig.open_sectors is {self.open_sectors}.", hint="Give at least 1."
            )


class RegionalEvent(Struct, frozen=True):
    """One transition. target: `s007.c04`, `s007`, or empty for the mesh, whose `failures` are its open sectors."""

    scope: Scope
    target: str
    before: BreakerState
    after: BreakerState
    at_ms: int
    failures: int
    by_hand: bool = False


class DueProbes(NamedTuple):
    """Numbers of sectors, and of clusters counted through the fleet."""

    sectors: Regions
    clusters: Regions


class RegionalBreaker:
    """`now_ms` of every call is monotonic and never falls. Each call returns the transitions that it made."""

    def __init__(self, topology: Topology, config: RegionalConfig | None = None) -> None:
        self.topology = topology
        self.config = config or RegionalConfig()
        self.clusters = RegionBreakers(topology.sectors * topology.clusters, self.config.clusters)
        self.sectors = RegionBreakers(topology.sectors, self.config.sectors)
        self.mesh = BreakerState.CLOSED
        self.is_by_hand = False  # the mesh was opened by hand

    def failed(self, rows: Rows, now_ms: int) -> list[RegionalEvent]:
        """`rows`: the agents, in the columns of the fleet, that failed; one entry for each failure."""
        clusters, sectors = self._regions(rows)
        events = self._told(Scope.CLUSTER, self.clusters.failed(clusters, now_ms))
        return events + self._sectors_became(self.sectors.failed(sectors, now_ms), now_ms)

    def look(self, now_ms: int) -> list[RegionalEvent]:
        """Regions that were watched long enough close."""
        events = self._told(Scope.CLUSTER, self.clusters.look(now_ms))
        return events + self._sectors_became(self.sectors.look(now_ms), now_ms)

    def due_probes(self, now_ms: int) -> DueProbes:
        """To be probed now; told again later when no answer comes."""
        return DueProbes(self.sectors.due_probes(now_ms), self.clusters.due_probes(now_ms))

    def sector_probed(self, sector: int, *, is_healthy: bool, now_ms: int) -> list[RegionalEvent]:
        return self._sectors_became(self.sectors.probed(sector, is_healthy=is_healthy, now_ms=now_ms), now_ms)

    def cluster_probed(self, cluster: int, *, is_healthy: bool, now_ms: int) -> list[RegionalEvent]:
        return self._told(Scope.CLUSTER, self.clusters.probed(cluster, is_healthy=is_healthy, now_ms=now_ms))

    def admit(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these may be sent to, one entry for each message. What goes to a HALF_OPEN region uses its quota."""
        if self.mesh is BreakerState.OPEN:
            return np.zeros(len(rows), bool)
        clusters, sectors = self._regions(rows)
        admitted: NDArray[np.bool_] = self.clusters.state[clusters] != OPEN
        admitted[admitted] = self.sectors.admit(sectors[admitted])
        admitted[admitted] = self.clusters.admit(clusters[admitted])
        return admitted

    def is_open(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of these would not be let through because something is open; no quota is used."""
        if self.mesh is BreakerState.OPEN:
            return np.ones(len(rows), bool)
        clusters, sectors = self._regions(rows)
        found: NDArray[np.bool_] = (self.clusters.state[clusters] == OPEN) | (
            self.sectors.state[sectors] == OPEN
        )
        return found

    def restore_mesh(self, state: BreakerState, *, by_hand: bool) -> None:
        """As another process left it."""
        self.mesh, self.is_by_hand = state, by_hand

    def set_mesh(self, state: BreakerState, now_ms: int) -> list[RegionalEvent]:
        """By hand; the mesh is OPEN or CLOSED. Raises InvalidArgument: HALF_OPEN."""
        if state is BreakerState.HALF_OPEN:
            raise InvalidArgument("The mesh as a whole is open or closed.", hint="Sectors may be half open.")
        self.is_by_hand = state is BreakerState.OPEN
        return [self._mesh_becomes(state, now_ms, by_hand=True)] if state is not self.mesh else []

    def set_sector(self, sector: int, *, is_open: bool, now_ms: int) -> list[RegionalEvent]:
        """By hand. One that is opened so is probed like any other."""
        return self._sectors_became(
            self.sectors.force(sector, OPEN if is_open else CLOSED, now_ms), now_ms, by_hand=True
        )

    def isolate(self, sector: int, now_ms: int) -> list[RegionalEvent]:
        """Opened at once, whatever its failures came to."""
        return self._sectors_became(self.sectors.force(sector, OPEN, now_ms), now_ms)

    def set_cluster(self, cluster: int, *, is_open: bool, now_ms: int) -> list[RegionalEvent]:
        made = self.clusters.force(cluster, OPEN if is_open else CLOSED, now_ms)
        return self._told(Scope.CLUSTER, made, by_hand=True)

    @property
    def open_sectors(self) -> int:
        return int(np.count_nonzero(self.sectors.state == OPEN))

    def next_ms(self) -> int | None:
        """When `look` and `due_probes` have something to do next; None when all is closed."""
        times = [each for each in (self.clusters.next_ms(), self.sectors.next_ms()) if each is not None]
        return min(times, default=None)

    def _regions(self, rows: Rows) -> tuple[Regions, Regions]:
        return rows // self.topology.agents, rows // self.topology.sector_size

    def _sectors_became(
        self, made: list[Transition], now_ms: int, *, by_hand: bool = False
    ) -> list[RegionalEvent]:
        events = self._told(Scope.SECTOR, made, by_hand=by_hand)
        opened = any(each.after is BreakerState.OPEN for each in made)
        count = self.open_sectors
        if self.mesh is BreakerState.CLOSED and opened and count >= self.config.open_sectors:
            events.append(self._mesh_becomes(BreakerState.OPEN, now_ms))
        elif self.mesh is BreakerState.OPEN and not count and not self.is_by_hand:
            events.append(self._mesh_becomes(BreakerState.CLOSED, now_ms))
        return events

    def _mesh_becomes(self, after: BreakerState, now_ms: int, *, by_hand: bool = False) -> RegionalEvent:
        before, self.mesh = self.mesh, after
        return RegionalEvent(Scope.ALL, "", before, after, now_ms, self.open_sectors, by_hand)

    def _told(self, scope: Scope, made: list[Transition], *, by_hand: bool = False) -> list[RegionalEvent]:
        return [
            RegionalEvent(
                scope,
                self._name(scope, each.region),
                each.before,
                each.after,
                each.at_ms,
                each.failures,
                by_hand,
            )
            for each in made
        ]

    def _name(self, scope: Scope, region: int) -> str:
        if scope is Scope.SECTOR:
            return f"s{region:03}"
        sector, cluster = divmod(region, self.topology.clusters)
        return f"s{sector:03}.c{cluster:02}"
