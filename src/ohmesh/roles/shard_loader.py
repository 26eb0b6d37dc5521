"""What a successor reads before it may act: the newest snapshot, then the log from there on.

A snapshot is trusted when the log still holds the entry that it was taken after and that entry has the digest noted in
it, or when that entry was trimmed. A snapshot, a projector or the word of a dispatcher ahead of the log shows that the
log has lost its tail (a power cut with `durability: interval`): the snapshot then holds more than the log, and is used,
unless the log has gone on in a later epoch, whose dispatcher had the choice. An entry of a lower epoch than the one
before it is the ghost of an append whose writer had been replaced (see log_writer.py); its rows were never told to
anyone and are passed over.

Others write and trim meanwhile: where an entry or a snapshot is gone between two reads, reading begins again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ohmesh.errors import EngineUnavailable, LogCorrupt
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.log import Bounds, Log
from ohmesh.ports.state import State
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.rows import EpochStarted, decode_log_frame, digest
from ohmesh.protocols.queue.task_table import TaskTable

if TYPE_CHECKING:
    from ohmesh.protocols.queue.snapshot import Decoded

READ_LIMIT = 64
LOAD_TRIES = 10
YIELD_BYTES = 64_000  # of the log are applied before others have their turn


def snapshot_prefix(shard: int) -> str:
    return f"snapshot.{shard}."


def snapshot_key(shard: int, sequence: int, previous: bytes = b"") -> str:
    """Keys sort by sequence. `previous`, the digest of the entry at `sequence`, tells histories apart: after a lost
    tail sequences are given out again."""
    key = f"{snapshot_prefix(shard)}{sequence:020d}"
    return f"{key}-{previous[:8].hex()}" if previous else key


def snapshot_sequence(key: str) -> int:
    return int(key.rpartition(".")[2].partition("-")[0])


def part_prefix(shard: int) -> str:
    return f"snapshot-part.{shard}."


def part_key(key: str, number: int) -> str:
    """Of the snapshot `key`; `snapshot_sequence` reads this one too."""
    shard, _, name = key.removeprefix("snapshot.").partition(".")
    return f"{part_prefix(int(shard))}{number}.{name}"


def projector_key(shard: int) -> str:
    return f"projector.{shard}"


def acknowledged_key(shard: int) -> str:
    return f"acknowledged.{shard}"


@dataclass(slots=True)
class Loaded:
    """The table after the entry at `last`, whose digest is `previous`; `lost_tail` says what is missing, or "".

    orphans: snapshots of what is not in the log (any more), in the order in which they are to be deleted: the newest,
    which a successor would use if we did not come that far, last."""

    table: TaskTable
    last: int
    previous: bytes
    lost_tail: str = ""
    orphans: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShardSource:
    """Where one shard is kept."""

    log: Log
    blobs: Blobs
    state: State
    name: str
    shard: int

    async def projected(self) -> int:
        """The last sequence that is safely in the ledger."""
        return await self._sequence_at(projector_key(self.shard))

    async def acknowledged(self) -> int:
        """Where the log had been acknowledged to reach, by a dispatcher that found it shorter; 0: nobody did."""
        return await self._sequence_at(acknowledged_key(self.shard))

    async def leave_word(self, acknowledged: int) -> None:
        """For whoever takes over: the log has lost its tail, and nothing else may show it."""
        await self.state.put(acknowledged_key(self.shard), b"%d" % acknowledged)

    async def take_word(self) -> None:
        """The loss stands in the log now."""
        await self.state.delete(acknowledged_key(self.shard))

    async def _sequence_at(self, key: str) -> int:
        entry = await self.state.get(key)
        return int(entry.value) if entry is not None and entry.value else 0


async def load(source: ShardSource, parking: Parking | None = None) -> Loaded:
    """Read the shard as it is now; `parking` is that of its table. Raises LogCorrupt, EngineUnavailable."""
    for _ in range(LOAD_TRIES):
        bounds = await source.log.bounds(source.name)
        try:
            return await _load(source, bounds, parking)
        except LogCorrupt:
            if (await source.log.bounds(source.name)).first == bounds.first:
                raise
    raise EngineUnavailable(f"Log {source.name} was trimmed {LOAD_TRIES} times while it was read.")


async def _load(source: ShardSource, bounds: Bounds, parking: Parking | None) -> Loaded:
    loaded = await _newest_snapshot(source, bounds, parking)
    if loaded.lost_tail:
        return loaded
    await replay(source, loaded)
    projected, acknowledged = await source.projected(), await source.acknowledged()
    if acknowledged > loaded.last:
        loaded.lost_tail = f"The log ends at {loaded.last}; entry {acknowledged} had been acknowledged."
    elif projected > loaded.last:
        loaded.lost_tail = f"The log ends at {loaded.last}, the ledger has history up to {projected}."
    return loaded


async def replay(source: ShardSource, loaded: Loaded) -> None:
    """Apply every entry after `loaded.last`, checking that each follows its predecessor."""
    applied_bytes = 0
    while True:
        entries = await source.log.read(source.name, first=loaded.last + 1, limit=READ_LIMIT)
        for entry in entries:
            applied_bytes += len(entry.data)
            if applied_bytes >= YIELD_BYTES:
                applied_bytes = 0
                await asyncio.sleep(0)
            if entry.sequence != loaded.last + 1:
                raise LogCorrupt(
                    f"Log {source.name} goes on at {entry.sequence} after {loaded.last}.",
                    hint="The entries between were trimmed and no snapshot covers them: restore from a backup.",
                )
            frame = decode_log_frame(entry.data, entry.sequence)
            if frame.epoch >= loaded.table.epoch:
                if frame.previous != loaded.previous:
                    raise LogCorrupt(
                        f"Entry {entry.sequence} of log {source.name} does not follow the one before it.",
                        hint="Restore the data directory from a backup, or start the mesh with a new one.",
                    )
                loaded.table.apply_all(frame.rows)
            loaded.last = entry.sequence
            loaded.previous = digest(entry.data)
        if len(entries) < READ_LIMIT:
            bounds = await source.log.bounds(source.name)
            if bounds.last <= loaded.last:
                return


async def _newest_snapshot(source: ShardSource, bounds: Bounds, parking: Parking | None) -> Loaded:
    """What the newest usable snapshot holds; with a lost tail, brought to the end of the log already."""
    end: _End | None = None
    orphans: list[str] = []
    for key in sorted(await source.blobs.list(snapshot_prefix(source.shard)), reverse=True):
        if snapshot_sequence(key) < bounds.first - 1:
            break
        found = await read_snapshot(source.blobs, key, parking)
        if found is None:
            continue
        table, sequence, previous = found
        if sequence <= bounds.last and await _is_of_this_log(source, bounds, sequence, previous):
            return Loaded(table, sequence, previous, orphans=orphans)
        orphans.insert(0, key)
        end = end or await _end(source, bounds)
        if sequence > end.sequence and table.epoch >= end.epoch:
            table.apply_all(end.beginnings)
            lost_tail = f"The log ends at {end.sequence}, before its snapshot at {sequence}."
            return Loaded(table, bounds.last, end.previous, lost_tail, orphans)
    if bounds.first > 1 and bounds.last > 0:
        raise LogCorrupt(
            f"Log {source.name} begins at {bounds.first} and no snapshot covers what came before.",
            hint="Restore the data directory from a backup.",
        )
    return Loaded(TaskTable(parking), 0, b"", orphans=orphans)


async def read_snapshot(blobs: Blobs, key: str, parking: Parking | None = None) -> Decoded | None:
    """What it holds, part by part and while others have their turn; None where it, or some of it, is gone. Raises
    LogCorrupt."""
    data = await blobs.get(key)
    if data is None:
        return None
    from ohmesh.protocols.queue.snapshot import SnapshotReader  # with NumPy, which a client seldom needs

    reader = SnapshotReader(data, parking)
    for number in range(reader.parts):
        part = await blobs.get(part_key(key, number))
        if part is None:
            return None
        for _ in reader.take(part):
            await asyncio.sleep(0)
    for _ in reader.rest():
        await asyncio.sleep(0)
    return reader.decoded()


async def _is_of_this_log(source: ShardSource, bounds: Bounds, sequence: int, previous: bytes) -> bool:
    if sequence < bounds.first:
        return True
    entries = await source.log.read(source.name, first=sequence, limit=1)
    return bool(entries) and entries[0].sequence == sequence and digest(entries[0].data) == previous


@dataclass(frozen=True, slots=True)
class _End:
    """The last entry that does more than begin an epoch (who only began one has decided nothing), the epochs that were
    begun after it, and the digest of the very last entry."""

    sequence: int
    epoch: int
    beginnings: list[EpochStarted]
    previous: bytes


async def _end(source: ShardSource, bounds: Bounds) -> _End:
    beginnings: list[EpochStarted] = []
    last = b""
    for sequence in range(bounds.last, bounds.first - 1, -1):
        entries = await source.log.read(source.name, first=sequence, limit=1)
        if not entries:
            break
        last = last or digest(entries[0].data)
        frame = decode_log_frame(entries[0].data, sequence)
        begun = [row for row in frame.rows if isinstance(row, EpochStarted)]
        if len(begun) < len(frame.rows):
            return _End(sequence, frame.epoch, beginnings, last)
        beginnings[:0] = begun
    return _End(0, 0, beginnings, last)
