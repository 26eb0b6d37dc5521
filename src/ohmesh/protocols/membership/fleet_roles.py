"""Who leads which cluster and who coordinates which sector, from the processes that are there.

Nobody is elected by votes: everybody who knows the same view computes the same roles, and the view's revision is their
term. A cluster is led by the process in which most of its agents live, a sector coordinated by the one that leads most
of its clusters; where several have as many, rendezvous hashing (Thaler and Ravishankar, 1998) chooses, so that a
process that comes or goes moves no role but its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_operation import Member
from ohmesh.model.topology import Topology

NOBODY = -1

Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class FleetRoles:
    """Each entry is the place of a process among `processes`, or NOBODY. homes: of each agent, shape (size,). leads: of
    each cluster, shape (sectors * clusters,). coordinators: of each sector, shape (sectors,)."""

    processes: tuple[str, ...]
    homes: Places
    leads: Places
    coordinators: Places

    def place_of(self, process: str) -> int:
        return self.processes.index(process) if process in self.processes else NOBODY


def fleet_roles(topology: Topology, members: Sequence[Member]) -> FleetRoles:
    """Where two say that an agent lives with them, the later incarnation is believed."""
    processes = tuple(sorted(member.process for member in members))
    place = {process: at for at, process in enumerate(processes)}
    homes = np.full(topology.size, NOBODY, np.int32)
    for member in sorted(members, key=lambda member: (member.incarnation, member.process)):
        for first, count in member.spans:
            homes[first : first + count] = place[member.process]
    leads = _most_frequent(homes.reshape(-1, topology.agents), processes)
    coordinators = _most_frequent(leads.reshape(-1, topology.clusters), processes)
    return FleetRoles(processes, homes, leads, coordinators)


def _most_frequent(groups: Places, processes: Sequence[str]) -> Places:
    """Of each line of `groups`, shape (n, m), the value that stands there most often; NOBODY does not count."""
    first = groups[:, :1]
    found = np.array(first[:, 0], np.int32)
    mixed = np.flatnonzero((groups != first).any(axis=1))
    for line in mixed:  # few: where all live in one process there is nothing to choose
        found[line] = _winner(groups[line], int(line), processes)
    return found


def _winner(group: Places, line: int, processes: Sequence[str]) -> int:
    present = group[group != NOBODY]
    if not len(present):
        return NOBODY
    values, counts = np.unique(present, return_counts=True)
    best = values[counts == counts.max()]
    return max((int(value) for value in best), key=lambda value: _weight(line, processes[value]))


def _weight(line: int, process: str) -> tuple[bytes, str]:
    return hashlib.blake2b(f"{line}:{process}".encode(), digest_size=8).digest(), process
