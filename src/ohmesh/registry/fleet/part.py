"""A part of the fleet: the mesh, a sector or a cluster; and its number in columns that hold parts."""

from __future__ import annotations

import re
from typing import NamedTuple

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology

_TEXT = re.compile(r"s(\d{1,3})(?:\.c(\d{1,2}))?\Z")


class Part(NamedTuple):
    """MESH is the whole, `Part(7)` a sector, `Part(7, 4)` a cluster. As text: mesh, s007, s007.c04."""

    sector: int | None = None
    cluster: int | None = None

    def __str__(self) -> str:
        if self.sector is None:
            return "mesh"
        return f"s{self.sector:03}" + ("" if self.cluster is None else f".c{self.cluster:02}")

    def rows(self, topology: Topology) -> slice:
        """Of its agents. Raises InvalidArgument where there is no such part."""
        self._check(topology)
        if self.sector is None:
            return slice(0, topology.size)
        if self.cluster is None:
            return topology.rows_of_sector(self.sector)
        return topology.rows_of_cluster(self.sector, self.cluster)

    def number(self, topology: Topology) -> int:
        """0 the mesh, then the sectors, then the clusters. Raises InvalidArgument where there is no such part."""
        self._check(topology)
        if self.sector is None:
            return 0
        if self.cluster is None:
            return 1 + self.sector
        return 1 + topology.sectors + self.sector * topology.clusters + self.cluster

    def _check(self, topology: Topology) -> None:
        sector, cluster = self.sector or 0, self.cluster or 0
        is_known = 0 <= sector < topology.sectors and 0 <= cluster < topology.clusters
        if not is_known or (self.sector is None and self.cluster is not None):
            raise InvalidArgument(
                f"{self} is no part of this fleet of {topology.sectors} sectors, {topology.clusters} clusters each."
            )


MESH = Part()


def count_of_parts(topology: Topology) -> int:
    return 1 + topology.sectors + topology.sectors * topology.clusters


def parse_part(text: str) -> Part:
    """From `mesh`, `s007` or `s007.c04`. Raises InvalidArgument."""
    if text == "mesh":
        return MESH
    found = _TEXT.match(text)
    if found is None:
        raise InvalidArgument(f"{text!r} is no part of a fleet.", hint="Write mesh, s007 or s007.c04.")
    sector, cluster = found.groups()
    return Part(int(sector), None if cluster is None else int(cluster))
