"""Where an agent of the fleet stands: sector, cluster, number. `s007.c04.a12` is its id.

An agent is a row of columns wherever the fleet as a whole is meant: its place is found by counting. Sectors may differ
in the number of clusters, clusters in that of agents; Topology says what the largest may have, and leaves holes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from ohmesh.errors import InvalidArgument

MAX_SECTORS = 1_000
MAX_CLUSTERS = 100
MAX_AGENTS = 1_000

# As older systems wrote it: SECTOR7-CLUSTER4-AGENT-12, GPU-SECTOR3-CLUSTER7-A12, SECTOR3-GPU-CLUSTER2-AGENT-07.
_CANONICAL = re.compile(r"s(\d{1,3})\.c(\d{1,2})\.a(\d{1,3})\Z")
_OLDER = re.compile(r"(?:[A-Z]+-)?SECTOR(\d{1,3})-(?:[A-Z]+-)?CLUSTER(\d{1,2})-(?:AGENT-|A)(\d{1,3})\Z")


class AgentPlace(NamedTuple):
    """Counted from 0, as the id shows it."""

    sector: int
    cluster: int
    number: int

    def __str__(self) -> str:
        return f"s{self.sector:03}.c{self.cluster:02}.a{self.number:02}"


def parse_place(text: str) -> AgentPlace:
    """From `s007.c04.a12` or one of the older shapes. Raises InvalidArgument."""
    found = _CANONICAL.match(text) or _OLDER.match(text)
    if found is None:
        raise InvalidArgument(
            f"{text!r} is not the id of an agent of the fleet.",
            hint="Write sector, cluster and number, as s007.c04.a12.",
        )
    return AgentPlace(*map(int, found.groups()))


@dataclass(frozen=True, slots=True)
class Topology:
    """The shape of a fleet: so many sectors of so many clusters of so many agents at most."""

    sectors: int = 100
    clusters: int = 10
    agents: int = 30

    def __post_init__(self) -> None:
        if not (
            0 < self.sectors <= MAX_SECTORS
            and 0 < self.clusters <= MAX_CLUSTERS
            and 0 < self.agents <= MAX_AGENTS
        ):
            raise InvalidArgument(
                f"A fleet of {self.sectors} sectors, {self.clusters} clusters each and {self.agents} agents in a "
                "cluster cannot be addressed.",
                hint=f"At most {MAX_SECTORS} sectors, {MAX_CLUSTERS} clusters and {MAX_AGENTS} agents, at least one.",
            )

    @property
    def sector_size(self) -> int:
        return self.clusters * self.agents

    @property
    def size(self) -> int:
        return self.sectors * self.sector_size

    def row(self, place: AgentPlace) -> int:
        """Its place in the columns. Raises InvalidArgument where there is none."""
        sector, cluster, number = place
        if sector >= self.sectors or cluster >= self.clusters or number >= self.agents:
            raise InvalidArgument(
                f"{place} lies outside this fleet of {self.sectors} sectors, {self.clusters} clusters each and "
                f"{self.agents} agents in a cluster."
            )
        return (sector * self.clusters + cluster) * self.agents + number

    def place(self, row: int) -> AgentPlace:
        """The inverse of `row`."""
        cluster_row, number = divmod(row, self.agents)
        sector, cluster = divmod(cluster_row, self.clusters)
        return AgentPlace(sector, cluster, number)

    def rows_of_sector(self, sector: int) -> slice:
        return slice(sector * self.sector_size, (sector + 1) * self.sector_size)

    def rows_of_cluster(self, sector: int, cluster: int) -> slice:
        first = (sector * self.clusters + cluster) * self.agents
        return slice(first, first + self.agents)
