"""Keeps a shard's log short: snapshots as blobs, then trimming, never past what the ledger has.

A snapshot is put as a blob first and exists once a row of the log names it. The log is trimmed up to the newest
snapshot that the projector has passed, because the projector itself starts from one; older snapshots are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.protocols.queue.rows import SnapshotTaken
from ohmesh.protocols.queue.snapshot import encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.shard_loader import ShardSource, snapshot_key, snapshot_prefix, snapshot_sequence


@dataclass(frozen=True, slots=True)
class SnapshotConfig:
    """after_bytes: how much of the log a successor has to replay at most, roughly. A smaller figure costs pauses:
    encoding a table of 100,000 tasks holds the dispatcher for about 0.1 s."""

    after_bytes: int = 128_000_000
    trim_interval_s: float = 5.0


class Snapshots:
    def __init__(self, source: ShardSource) -> None:
        self._source = source
        self.taken = 0
        self.trimmed_before = 0

    def encode(self, table: TaskTable, sequence: int, previous: bytes) -> tuple[SnapshotTaken, bytes]:
        """The row and the blob. Call only when the table is exactly what the log says up to `sequence`."""
        key = snapshot_key(self._source.shard, sequence)
        return SnapshotTaken(table.time_ms, key, sequence), encode_snapshot(table, sequence, previous)

    async def store(self, row: SnapshotTaken, data: bytes) -> None:
        await self._source.blobs.put(row.key, data)
        self.taken += 1

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

    async def discard_beyond(self, sequence: int) -> None:
        """After a lost tail: snapshots of a history that the log no longer continues must not be found again."""
        for key in await self._source.blobs.list(snapshot_prefix(self._source.shard)):
            if snapshot_sequence(key) > sequence:
                await self._source.blobs.delete(key)
