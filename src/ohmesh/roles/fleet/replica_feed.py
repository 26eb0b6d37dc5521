"""The orchestrator tells those who keep a replica of its registry what has changed, so often that they are at most a
second behind; without changes too, so that they know that they are not.

A new term begins with everything. Until processes have presented themselves, or have had their time to, it says
nothing: replicas go on with what the predecessor knew, and say how old that is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from ohmesh.model.fleet_replica import Changes, Follow
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.replica import Position, Replica, decode_changes, encode_changes
from ohmesh.registry.fleet.table import FleetTable

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator


class ReplicaFeed:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._of = orchestrator
        self._told: Position | None = None

    async def run(self) -> None:
        config, registry = self._of.config, self._of.registry
        while True:
            if self._of.knows_the_fleet:
                after, self._told = self._told, Position(self._of.era, registry.version)
                self._tell(self._of.subjects.fleet_changes(), after)
            await asyncio.sleep(config.replica_ms / 1000)

    def follow(self, wish: Follow) -> None:
        """What one follower lacks. Who comes before a new term has told anything hears it with all others."""
        if self._told is None:
            return
        after = Position(wish.term, wish.version) if wish.term >= 0 else None
        subject = self._of.subjects.fleet_changes(wish.process)
        self._of.tell(subject, self._of.view())
        self._tell(subject, after)

    def _tell(self, subject: str, after: Position | None) -> None:
        for data in encode_changes(self._of.registry, self._of.era, after=after):
            self._of.tell(subject, Changes(data, self._of.mode.name))


def inherit(registry: FleetTable, before: FleetTable, term: int) -> np.ndarray:
    """Fill `registry` with what a replica of the predecessor's knows; the rows that have an agent."""
    replica = Replica(registry)
    for data in encode_changes(before, term):
        replica.take(decode_changes(data))
    return np.flatnonzero(registry.columns.liveness != VACANT)
