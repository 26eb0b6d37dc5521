"""Where new agents go: to the sectors with the fewest, into clusters that have room, then into new clusters.

So a thousand agents on an empty fleet are 34 clusters of 30, each in another sector.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology


class PlannedPlaces(NamedTuple):
    """rows: ascending. filled: clusters that had somebody; created: that had nobody."""

    rows: NDArray[np.intp]
    filled: int
    created: int


def plan_places(is_taken: NDArray[np.bool_], topology: Topology, count: int) -> PlannedPlaces:
    """is_taken: of every row. Raises InvalidArgument: there is no room for so many."""
    room = int(np.count_nonzero(~is_taken))
    if count > room:
        raise InvalidArgument(
            f"{count} agents do not fit: the fleet has {room} free places.",
            hint="A fleet of more sectors or larger clusters has more: fleet.sectors, fleet.cluster_size.",
        )
    by_cluster = is_taken.reshape(topology.sectors, topology.clusters, topology.agents)
    held = by_cluster.sum(axis=2)
    loads = [(int(load), sector) for sector, load in enumerate(held.sum(axis=1).tolist())]
    heapq.heapify(loads)
    found: list[NDArray[np.intp]] = []
    filled = created = 0
    while count:
        load, sector = heapq.heappop(loads)
        roomy = np.flatnonzero(held[sector] < topology.agents)
        if not len(roomy):
            continue
        # The fullest that has room: one that was begun is filled before another is.
        cluster = int(roomy[np.argmax(held[sector, roomy])])
        free = np.flatnonzero(~by_cluster[sector, cluster])[:count]
        filled, created = (filled + 1, created) if held[sector, cluster] else (filled, created + 1)
        found.append((sector * topology.clusters + cluster) * topology.agents + free)
        held[sector, cluster] = topology.agents  # it is not looked at again
        count -= len(free)
        heapq.heappush(loads, (load + len(free), sector))
    return PlannedPlaces(np.sort(np.concatenate(found)), filled, created)
