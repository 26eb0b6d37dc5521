"""Keeps a shard's log short: snapshots as blobs, then trimming, never past what the ledger has.

A snapshot is put as a blob first and exists once a row of the log names it. The log is trimmed up to the newest
snapshot that the projector has passed, because the projector itself starts from one; older snapshots are deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ohmesh.errors import EngineError
from ohmesh.protocols.queue.frozen_table import FrozenTable
from ohmesh.protocols.queue.rows import SnapshotTaken
from ohmesh.protocols.queue.snapshot_form import head
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.shard_loader import (
    ShardSource,
    part_key,
    part_prefix,
    snapshot_key,
    snapshot_prefix,
    snapshot_sequence,
)


@dataclass(frozen=True, slots=True)
class SnapshotConfig:
    """after_bytes: how much of the log a successor has to replay at most, roughly; where the last snapshot was larger
    than twice this, half of that. A smaller figure costs processor time: encoding a million tasks takes a second or
    two of it, in slices of a few milliseconds with a pause of slice_pause_s after each.
    part_bytes: about so large is one blob of a snapshot.
    retry_s: pause before what could not be stored is stored again. told_failures: after so many in a row people hear.
    kept_tasks: where storing takes so long that copies of so many changed tasks are held, it is begun anew."""

    after_bytes: int = 64_000_000
    part_bytes: int = 8_000_000
    slice_pause_s: float = 0.001
    trim_interval_s: float = 5.0
    retry_s: float = 1.0
    told_failures: int = 5
    kept_tasks: int = 200_000


class Snapshot:
    """The table as it was after the entry at `sequence`, and the key to store it under."""

    def __init__(self, key: str, sequence: int, frozen: FrozenTable) -> None:
        self.key = key
        self.sequence = sequence
        self.frozen = frozen
        self.size_bytes = 0


class Snapshots:
    def __init__(self, source: ShardSource, config: SnapshotConfig) -> None:
        self.notice: Callable[[str], None] = logging.getLogger("ohmesh.dispatcher").warning
        self._source = source
        self._config = config
        self.taken = 0
        self.failures = 0
        self.given_up = 0
        self.trimmed_before = 0
        self._has_swept = False

    def freeze(self, table: TaskTable, sequence: int, previous: bytes) -> Snapshot:
        """Call only when the table is exactly what the log says up to `sequence`; it may change from then on."""
        key = snapshot_key(self._source.shard, sequence, previous)
        return Snapshot(key, sequence, FrozenTable(table, sequence, previous).freeze())

    async def store(self, snapshot: Snapshot) -> bool:
        """Returns when it is stored, however long the engine is away: it does not become wrong by waiting. False: it
        was given up, since too much would have to be held for it; it is to be begun anew."""
        frozen = snapshot.frozen
        try:
            await self._store(snapshot)
        except _TooMuchKept:
            self.given_up += 1
            return False
        finally:
            frozen.thaw()
        self.taken += 1
        return True

    async def _store(self, snapshot: Snapshot) -> None:
        gathered: list[bytes] = []
        size = parts = 0
        for piece in snapshot.frozen.slices():
            gathered.append(piece)
            size += len(piece)
            snapshot.size_bytes += len(piece)
            if size >= self._config.part_bytes:
                await self._put(snapshot, part_key(snapshot.key, parts), b"".join(gathered))
                gathered, size, parts = [], 0, parts + 1
            await asyncio.sleep(self._config.slice_pause_s)
        await self._put(snapshot, snapshot.key, head(snapshot.frozen.header, parts, gathered))

    async def _put(self, snapshot: Snapshot, key: str, data: bytes) -> None:
        async def put() -> None:
            if snapshot.frozen.kept > self._config.kept_tasks:
                raise _TooMuchKept
            await self._source.blobs.put(key, data)

        await self._until_done(put)

    async def delete(self, keys: Sequence[str]) -> None:
        """One after the other, each until it is gone; then their parts."""
        for key in keys:
            await self._until_done(partial(self._source.blobs.delete, key))
        sequences = set(map(snapshot_sequence, keys))
        if sequences:
            await self._until_done(partial(self._delete_parts, sequences.__contains__))

    async def _delete_parts(self, is_meant: Callable[[int], bool]) -> None:
        """Parts of snapshots at these sequences."""
        blobs = self._source.blobs
        for key in await blobs.list(part_prefix(self._source.shard)):
            if is_meant(snapshot_sequence(key)):
                await blobs.delete(key)

    async def leave_word(self, acknowledged: int) -> None:
        """The log is shorter than it was acknowledged to be: whoever takes over must hear of it."""
        await self._until_done(partial(self._source.leave_word, acknowledged))

    async def take_word(self) -> None:
        """That loss stands in the log now, and is told once."""
        await self._until_done(self._source.take_word)

    async def _until_done(self, action: Callable[[], Awaitable[None]]) -> None:
        """However long it takes; who looks after the mesh hears of it when it takes long."""
        failed = 0
        while True:
            try:
                await action()
            except EngineError as error:
                failed += 1
                self.failures += 1
                if failed == self._config.told_failures:
                    self.notice(
                        f"Shard {self._source.shard} could not store a snapshot of its tasks {failed} times: {error}. "
                        "It is tried again; nothing is lost, but its log grows and a takeover takes longer."
                    )
                await asyncio.sleep(self._config.retry_s)
            else:
                if failed >= self._config.told_failures:
                    self.notice(f"Shard {self._source.shard} stores snapshots of its tasks again.")
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
        # Those of snapshots that were never completed too.
        if passed[:-1] or not self._has_swept:
            await self._delete_parts(lambda sequence: sequence < before - 1)
            self._has_swept = True


class _TooMuchKept(Exception):
    pass
