"""Keeps a shard's log short: snapshots as blobs, then trimming, never past what the ledger has.

A snapshot is put as a blob first and exists once a row of the log names it. The log is trimmed up to the newest
snapshot that the projector has passed, because the projector itself starts from one; older snapshots are deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ohmesh.errors import EngineError
from ohmesh.protocols.queue.rows import SnapshotTaken
from ohmesh.protocols.queue.snapshot import encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.shard_loader import ShardSource, snapshot_key, snapshot_prefix, snapshot_sequence


@dataclass(frozen=True, slots=True)
class SnapshotConfig:
    """after_bytes: how much of the log a successor has to replay at most, roughly. A smaller figure costs pauses:
    encoding a table of 100,000 tasks holds the dispatcher for about 0.1 s.
    retry_s: pause before a snapshot that could not be stored is stored again."""

    after_bytes: int = 128_000_000
    trim_interval_s: float = 5.0
    retry_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The table as it was after the entry at `sequence`, in bytes, and the key to store it under."""

    key: str
    sequence: int
    data: bytes


class Snapshots:
    def __init__(self, source: ShardSource, config: SnapshotConfig) -> None:
        self._source = source
        self._config = config
        self.taken = 0
        self.failures = 0
        self.trimmed_before = 0

    def encode(self, table: TaskTable, sequence: int, previous: bytes) -> Snapshot:
        """Call only when the table is exactly what the log says up to `sequence`."""
        key = snapshot_key(self._source.shard, sequence, previous)
        return Snapshot(key, sequence, encode_snapshot(table, sequence, previous))

    async def store(self, snapshot: Snapshot) -> None:
        """Returns when it is stored, however long the engine is away: it does not become wrong by waiting."""
        await self._until_done(partial(self._source.blobs.put, snapshot.key, snapshot.data))
        self.taken += 1

    async def delete(self, keys: Sequence[str]) -> None:
        """One after the other, each until it is gone."""
        for key in keys:
            await self._until_done(partial(self._source.blobs.delete, key))

    async def leave_word(self, acknowledged: int) -> None:
        """The log is shorter than it was acknowledged to be: whoever takes over must hear of it."""
        await self._until_done(partial(self._source.leave_word, acknowledged))

    async def take_word(self) -> None:
        """That loss stands in the log now, and is told once."""
        await self._until_done(self._source.take_word)

    async def _until_done(self, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await action()
            except EngineError:
                self.failures += 1
                await asyncio.sleep(self._config.retry_s)
            else:
                return

    async def trim(self, named: SnapshotTaken | None) -> None:
        """Drop what neither a successor nor the projector needs. `named`: the newest snapshot a row names."""
        if named is None:
            return
        source = self._source
        projected = await source.projected()
        keys = sorted(await source.blobs.list(snapshot_prefix(source.shard)))
        passed = [key for key in keys if snapshot_sequence(key) <= min(projected, named.sequence)]
        if not passed:
            return
        keep = passed[-1]
        before = snapshot_sequence(keep) + 1
        if before > self.trimmed_before:
            await source.log.trim(source.name, before=before)
            self.trimmed_before = before
        for key in passed[:-1]:
            await source.blobs.delete(key)
