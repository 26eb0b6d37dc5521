"""The projector: writes what the shard logs mean into the ledger, so that history outlives the logs.

    log of each shard --stretches--> history fold --batches--> ledger --position--> state (holds the trimming back)

It decides nothing and nobody waits for it: the ledger being away only lets it fall behind, and it says so. What it has
written is known by the ledger alone, each batch naming the position it follows, so it may be stopped anywhere, and two
of them at once cannot write anything twice. It is gentle: bounded stretches, the loop has its turn between frames, and
it looks less often while there is nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ohmesh.model.subject import Subjects
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.roles.shard_follower import ShardFollower

__all__ = ["Projector", "ProjectorConfig", "ProjectorPorts"]


class Projector:
    """`notice` hears what a person should know (default: the log)."""

    def __init__(
        self, ports: ProjectorPorts, *, subjects: Subjects, shards: int, config: ProjectorConfig | None = None
    ) -> None:
        self.notice: Callable[[str], None] = logging.getLogger("ohmesh.projector").warning
        self.term = 0
        self._ports = ports
        self._subjects = subjects
        self._shards = shards
        self._config = config or ProjectorConfig()
        self._followers: list[ShardFollower] = []

    def positions(self) -> dict[int, int]:
        """shard -> last sequence whose history is safe in the ledger, once the ledger has said where it ends."""
        return {
            shard: follower.position
            for shard, follower in enumerate(self._followers)
            if follower.knows_position
        }

    async def run(self, term: int) -> None:
        """Follow every shard until cancelled. The ledger fences by position, so the term is only for people."""
        self.term = term
        self._followers = [self._follower(shard) for shard in range(self._shards)]
        try:
            async with asyncio.TaskGroup() as group:
                for shard, follower in enumerate(self._followers):
                    group.create_task(follower.run(), name=f"projector of shard {shard}")
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _follower(self, shard: int) -> ShardFollower:
        log = self._subjects.log(shard)
        return ShardFollower(self._ports, self._config, log=log, shard=shard, notice=self.notice)
